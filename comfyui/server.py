"""A ComfyUI server as configured: where it is, how to speak to it, which of its folders are mounted here."""

import ssl
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Auth(BaseModel):
    """HTTP headers that prove who we are (basic, bearer or custom), already resolved from the environment.

    They never appear in a ``repr``, and are sent to the server's own URL only: redirects are not followed.
    """

    model_config = ConfigDict(frozen=True)

    headers: dict[str, str] = Field(repr=False)

    @field_validator("headers")
    @classmethod
    def _one_line_each(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not name or any(ord(letter) < 32 or ord(letter) == 127 for letter in name + value):
                raise ValueError("a header name is empty, or a header holds a control character")
        return headers


class Tls(BaseModel):
    """How the certificate of an https server is checked; ``ca_file`` names a PEM file to trust besides."""

    model_config = ConfigDict(frozen=True)

    verify: bool = True
    ca_file: str | None = None

    def context(self) -> ssl.SSLContext:
        """Raises ``OSError`` or ``ssl.SSLError`` if ``ca_file`` cannot be read."""
        context = ssl.create_default_context()
        if self.ca_file:
            context.load_verify_locations(self.ca_file)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class Server(BaseModel):
    """One ComfyUI server.

    ``slots`` is how many of our prompts are kept on it: one runs and one waits, so that the GPU never idles.
    ``input_dir``, ``output_dir`` and ``models_dir`` are the server's folders as this machine sees them.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    url: str
    tags: list[str] = Field(default_factory=list)
    auth: Auth | None = Field(default=None, repr=False)
    tls: Tls = Field(default_factory=Tls)
    input_dir: str | None = None
    output_dir: str | None = None
    models_dir: str | None = None
    slots: int = Field(default=2, ge=1)

    @field_validator("url")
    @classmethod
    def _normalised(cls, url: str) -> str:
        return normalise_url(url)

    @property
    def input_path(self) -> Path | None:
        return Path(self.input_dir) if self.input_dir else None

    @property
    def output_path(self) -> Path | None:
        return Path(self.output_dir) if self.output_dir else None


def normalise_url(url: str) -> str:
    """The one spelling of a server's URL: lower-case scheme and host, no default port, no trailing slash.

    Raises ``ValueError`` for anything but http and https, and for credentials, a query or a fragment.
    """
    parts = urlsplit(url.strip())
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https"):
        raise ValueError("a server's URL begins with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a server's URL holds no credentials; name an environment variable under auth")
    if parts.query or parts.fragment:
        raise ValueError("a server's URL has neither a query nor a fragment")
    host = parts.hostname
    if not host or any(letter.isspace() or ord(letter) < 32 for letter in host):
        raise ValueError("a server's URL names a host")
    shown_host = f"[{host}]" if ":" in host else host
    default_port = 443 if scheme == "https" else 80
    port = f":{parts.port}" if parts.port is not None and parts.port != default_port else ""
    return urlunsplit((scheme, shown_host + port, parts.path.rstrip("/"), "", ""))
