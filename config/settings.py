"""comfychain's settings: environment variables ``COMFYCHAIN_…`` first, then ``comfychain.toml``.

The file is looked for in the working directory, or where ``COMFYCHAIN_CONFIG`` says. Its keys are the
variables' names in lower case, and servers stand in it as ``[[servers]]``. Relative paths are taken from
the working directory. A wrong setting is an error at start that names it.
"""

import difflib
import os
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from config.servers import AbsolutePath, ServerSettings, doubled_names
from contracts.failures import ComfychainError, FailureCategory
from contracts.names import DEFAULT_NAMESPACE

ENV_PREFIX = "COMFYCHAIN_"
CONFIG_VARIABLE = "COMFYCHAIN_CONFIG"
DEFAULT_CONFIG_FILE = "comfychain.toml"

_NOT_YET = frozenset({"s3_endpoint", "s3_bucket", "s3_region", "s3_prefix"})
_ASYNC_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


def _split_paths(value: object) -> object:
    """Environment variables list folders like ``PATH`` does; the file has an array."""
    return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value


def _split_names(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


NameList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_names)]
PathList = Annotated[tuple[AbsolutePath, ...], NoDecode, BeforeValidator(_split_paths)]


class Settings(BaseSettings):
    """What an operator decides, complete and checked. Made by ``load_settings``."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, extra="forbid", frozen=True, env_ignore_empty=True
    )

    data_dir: AbsolutePath = Field(default=Path("data"), validate_default=True)
    """Under it ``comfychain.db``, ``temporal.db``, ``artifacts/`` and ``running.json``."""
    database_url: str = Field(default="", validate_default=True, repr=False)
    """SQLAlchemy URL with an async driver; SQLite under ``data_dir`` where none is given."""
    chains_path: PathList = ()
    """Folders where chains are looked up by name, before the shipped examples."""
    graphs_path: PathList = ()
    """Folders where graphs are looked up by name, before the shipped examples."""
    input_dirs: PathList = ()
    """Folders from which a run may take ``file:`` inputs; none means that it may not."""
    store_backend: Literal["local"] = "local"
    temporal_address: str | None = None
    """``host:port`` of a Temporal server; None means the embedded one, or 127.0.0.1:7233 for a worker."""
    temporal_namespace: str = Field(default=DEFAULT_NAMESPACE, min_length=1)
    api_host: str = Field(default="127.0.0.1", min_length=1)
    api_port: int = Field(default=8800, ge=0, le=65535)
    """0 takes any free port; ``running.json`` tells which."""
    api_public_url: str | None = None
    """Where people reach the API, if not at its own address: behind a proxy."""
    api_trusted_hosts: NameList = ()
    """Further names that the API may be asked by."""
    upload_max_bytes: int = Field(default=2 * 2**30, gt=0)
    """Of one file that is uploaded to the API."""
    input_quota_bytes: int = Field(default=100 * 2**30, gt=0)
    """Of all inputs that are uploaded to the API within a day."""
    deletion_grace_seconds: float = Field(default=24 * 3600.0, ge=0)
    """How long the bytes of a deleted chain or artifact stay."""
    webhook_allowed_hosts: NameList = ()
    """Hosts that webhooks may be sent to although they are private, each alone or as ``host:port``."""
    smtp_host: str | None = None
    """The mail server for webhooks of the kind smtp; without it none are sent."""
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str | None = None
    smtp_password: str | None = Field(default=None, repr=False)
    smtp_from: str = "comfychain@localhost"
    servers: Annotated[tuple[ServerSettings, ...], NoDecode] = ()

    def api_url(self, port: int) -> str:
        """Where people reach an API that listens on ``port``, without a slash at the end."""
        if self.api_public_url is not None:
            return self.api_public_url
        host = self.api_host
        if host in ("0.0.0.0", "::"):  # noqa: S104 - recognised, not bound
            host = socket.gethostname()
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def temporal_db_path(self) -> Path:
        return self.data_dir / "temporal.db"

    @property
    def artifacts_dir(self) -> Path:
        return self.data_dir / "artifacts"

    @property
    def api_secret_path(self) -> Path:
        """What signs cookies and reviewer links; made at the first start of the API."""
        return self.data_dir / "api.secret"

    @property
    def running_path(self) -> Path:
        """JSON with the ports in use, written by ``up``."""
        return self.data_dir / "running.json"

    @field_validator("store_backend", mode="before")
    @classmethod
    def _no_s3_yet(cls, value: object) -> object:
        if value == "s3":
            raise ValueError("a store on S3 is not possible yet; local is")
        return value

    @field_validator("database_url")
    @classmethod
    def _with_async_driver(cls, url: str, info: ValidationInfo) -> str:
        if not url and "data_dir" in info.data:
            return f"sqlite+aiosqlite:///{info.data['data_dir'] / 'comfychain.db'}"
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in _ASYNC_DRIVERS:
            raise ValueError(
                "is no database URL of ours: write sqlite+aiosqlite:///PATH or "
                "postgresql+asyncpg://USER:PASSWORD@HOST/NAME"
            )
        return f"{_ASYNC_DRIVERS[scheme]}://{rest}"

    @field_validator("temporal_address")
    @classmethod
    def _host_and_port(cls, address: str | None) -> str | None:
        if address is not None:
            host, _, port = address.rpartition(":")
            if "/" in address or not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise ValueError(f"{address!r} is not an address: write it as host:7233")
        return address

    @field_validator("api_public_url")
    @classmethod
    def _web_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.path.strip("/")
            or parts.query
        ):
            raise ValueError(f"{url!r} is not the address of a site: write it as https://review.example.com")
        return url.rstrip("/")

    @field_validator("servers")
    @classmethod
    def _one_name_each(cls, servers: tuple[ServerSettings, ...]) -> tuple[ServerSettings, ...]:
        if doubled := doubled_names(servers):
            raise ValueError(f"two servers are named {doubled[0]}: give each its `name`")
        return servers

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = config_file()
        written = _read(path) if path else {}
        return init_settings, env_settings, InitSettingsSource(settings_cls, written)


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process; ``overrides`` (command line options, by field) win.

    Raises ``ComfychainError`` (invalid_input) that names every wrong setting by its environment
    variable, its option or its key in the file.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    path = config_file()
    _refuse_unknown(os.environ, _read(path) if path else {}, path)
    try:
        settings = Settings(**given)
    except ValidationError as error:
        problems = [
            f"{_place(problem['loc'], given, path)}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        ]
        raise _wrong("; ".join(problems)) from None
    for server in settings.servers:
        server.headers()  # a missing secret is an error now, not at the first render
    return settings


def config_file() -> Path | None:
    """The settings file in use. Raises ``ComfychainError`` if ``COMFYCHAIN_CONFIG`` names none."""
    named = os.environ.get(CONFIG_VARIABLE)
    path = Path(named or DEFAULT_CONFIG_FILE)
    if path.is_file():
        return path
    if named:
        raise _wrong(f"{CONFIG_VARIABLE}: there is no file {named}")
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _wrong(f"{path}: this is not TOML: {error}") from None
    except OSError as error:
        raise _wrong(f"{path}: cannot be read: {error.strerror}") from error


def _refuse_unknown(environ: Mapping[str, str], written: dict[str, Any], path: Path | None) -> None:
    """Every unknown key of the file is refused; of the environment only what looks like a slip.

    An orchestrator adds variables of its own to a service's environment (``COMFYCHAIN_PORT_8800_TCP``).
    """
    known = set(Settings.model_fields)
    for key in written:
        if key in _NOT_YET:
            raise _wrong(f"{path}: {key}: a store on S3 is not possible yet")
        if key not in known:
            raise _wrong(f"{path}: {key}: there is no such setting", _near(key, known))
    servers = written.get("servers")
    named_by_auth = (
        {server.get("auth") for server in servers if isinstance(server, dict)}
        if isinstance(servers, list)
        else set()
    )
    for variable in environ:
        key = variable.removeprefix(ENV_PREFIX).lower()
        if not variable.startswith(ENV_PREFIX) or variable == CONFIG_VARIABLE or variable in named_by_auth:
            continue
        if key in _NOT_YET:
            raise _wrong(f"{variable}: a store on S3 is not possible yet")
        if key == "servers":
            raise _wrong(
                f"{variable}: servers stand in {DEFAULT_CONFIG_FILE} as [[servers]], or come as --server"
            )
        if key not in known and difflib.get_close_matches(key, known, cutoff=0.8):
            raise _wrong(f"{variable}: there is no such setting", _near(key, known, ENV_PREFIX))


def _near(key: str, known: set[str], prefix: str = "") -> str:
    names = difflib.get_close_matches(key, known, n=1)
    shown = [prefix + name.upper() if prefix else name for name in names or sorted(known)]
    return f"did you mean {shown[0]}?" if names else "there are " + ", ".join(shown)


def _place(location: tuple[int | str, ...], overrides: Mapping[str, Any], path: Path | None) -> str:
    field = str(location[0]) if location else ""
    if field in overrides:
        return "--" + field.replace("_", "-")
    variable = ENV_PREFIX + field.upper()
    if variable in os.environ:
        return variable
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    return f"{path}: {key}" if path else key


def _wrong(message: str, hint: str | None = None) -> ComfychainError:
    return ComfychainError(FailureCategory.INVALID_INPUT, message, hint=hint)
