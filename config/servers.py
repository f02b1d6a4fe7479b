"""A ComfyUI server as its operator describes it: in ``[[servers]]``, or as ``--server [name=]url``."""

import base64
import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from contracts.failures import ComfychainError, FailureCategory

_NAME_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_HEADER_FORM = re.compile(r"[A-Za-z0-9-]+")
_AUTH_FORMS = 'it holds basic:USER:PASSWORD, bearer:TOKEN, or headers as JSON such as {"X-Api-Key": "…"}'


def _checked_name(name: str) -> str:
    if name and not _NAME_FORM.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a server: use letters, digits, '.', '_' and '-'")
    return name


def _checked_url(url: str) -> str:
    shown = re.sub(r"//[^/@]*@", "//…@", url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{shown!r} is not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(f"{shown!r} is not the URL of a server: write it as http://host:8188")
    if any(letter.isspace() or not letter.isprintable() for letter in url):
        raise ValueError(f"{shown!r} holds a space or a control character")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"{shown!r} holds a password: put it in an environment variable named by `auth`")
    if parts.query or parts.fragment:
        raise ValueError(f"{shown!r} has a query or a fragment, which the URL of a server has not")
    return url.rstrip("/")


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class ServerSettings(BaseModel):
    """One ComfyUI server. ``name`` defaults to the URL's host.

    ``auth`` names an environment variable, so that no secret stands in a file; ``input_dir``,
    ``output_dir`` and ``models_dir`` are the server's folders where they are mounted here.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, AfterValidator(_checked_name)] = ""
    url: Annotated[str, AfterValidator(_checked_url)]
    tags: tuple[str, ...] = ()
    auth: str | None = None
    input_dir: AbsolutePath | None = None
    output_dir: AbsolutePath | None = None
    models_dir: AbsolutePath | None = None
    ca_file: AbsolutePath | None = None
    """PEM file of the authority that signed an https server's certificate, where the system knows it not."""
    slots: int = Field(default=2, ge=1, le=64)
    """How many prompts it may have at once: one renders, the next waits there, so the GPU never idles."""

    @model_validator(mode="before")
    @classmethod
    def _default_name(cls, values: object) -> object:
        if isinstance(values, dict) and not values.get("name") and isinstance(values.get("url"), str):
            return {**values, "name": _host(values["url"])}
        return values

    def headers(self, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The headers that ``auth`` stands for; none without it.

        The variable holds ``basic:USER:PASSWORD``, ``bearer:TOKEN`` or a JSON object of headers. Raises
        ``ComfychainError`` (invalid_input) that names the variable, never its value.
        """
        if self.auth is None:
            return {}
        value = environ.get(self.auth)
        if not value:
            raise self._wrong_auth("is not set")
        form, _, rest = value.partition(":")
        if form == "basic" and ":" in rest:
            return {"Authorization": "Basic " + base64.b64encode(rest.encode()).decode()}
        if form == "bearer" and rest and rest.isprintable():
            return {"Authorization": f"Bearer {rest.strip()}"}
        if value.lstrip().startswith("{"):
            return self._json_headers(value)
        raise self._wrong_auth("has none of the known forms")

    def _json_headers(self, value: str) -> dict[str, str]:
        try:
            headers = json.loads(value)
        except ValueError:
            raise self._wrong_auth("is not JSON") from None
        for name, content in headers.items():
            if not _HEADER_FORM.fullmatch(name) or not isinstance(content, str) or not content.isprintable():
                raise self._wrong_auth(f"has a header {name!a} that cannot be sent")
        return dict(headers)

    def _wrong_auth(self, problem: str) -> ComfychainError:
        return ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"the environment variable {self.auth}, which `auth` of the server {self.name} names, {problem}",
            hint=_AUTH_FORMS,
        )


def parse_server_option(option: str) -> ServerSettings:
    """``[name=]url`` as ``--server`` takes it. Raises ``ComfychainError`` (invalid_input)."""
    name, url = _split(option)
    try:
        return ServerSettings(name=name, url=url)
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ComfychainError(
            FailureCategory.INVALID_INPUT, f"--server: {problem}", hint="write it as [name=]http://host:8188"
        ) from None


def parse_server_options(options: Sequence[str]) -> list[ServerSettings]:
    """All ``--server`` of one command. Unnamed ones on the same host are named ``host-port``.

    Raises ``ComfychainError`` (invalid_input), also where two have one name.
    """
    servers = [parse_server_option(option) for option in options]
    unnamed = Counter(
        server.name for server, option in zip(servers, options, strict=True) if not _split(option)[0]
    )
    named = [
        server.model_copy(update={"name": f"{server.name}-{urlsplit(server.url).port or server.url[:5]}"})
        if not _split(option)[0] and unnamed[server.name] > 1
        else server
        for server, option in zip(servers, options, strict=True)
    ]
    if doubled := doubled_names(named):
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"--server: two servers are named {doubled[0]}",
            hint="name them: --server a=http://… --server b=http://…",
        )
    return named


def doubled_names(servers: Sequence[ServerSettings]) -> list[str]:
    return [name for name, count in Counter(server.name for server in servers).items() if count > 1]


def _split(option: str) -> tuple[str, str]:
    name, equals, url = option.partition("=")
    return (name, url) if equals and "://" not in name else ("", option)


def _host(url: str) -> str:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""  # the check of the URL itself says what is wrong
    return host.replace(":", "-").strip("-")
