"""Where the API and Temporal are: what was given, the environment, or what runs in the data folder."""

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

from comfychain.client.errors import Invalid

URL_VARIABLE = "COMFYCHAIN_API_URL"
TOKEN_VARIABLE = "COMFYCHAIN_API_TOKEN"  # noqa: S105 - the variable's name
TEMPORAL_VARIABLE = "COMFYCHAIN_TEMPORAL_ADDRESS"
_DATA_VARIABLE = "COMFYCHAIN_DATA_DIR"
_USUAL_URL = "http://127.0.0.1:8800"
_USUAL_TEMPORAL = "127.0.0.1:7233"


def api_url(given: str | None) -> str:
    """``given``, or COMFYCHAIN_API_URL, or what ``running.json`` says, or the usual port on this machine.

    Without a slash at the end. Raises ``Invalid`` unless it is an http or https URL with a host, and for a
    URL that holds a password: it would stand in logs.
    """
    url = given or os.environ.get(URL_VARIABLE) or _running("api_url") or _USUAL_URL
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Invalid("invalid_input", f"{url!r} is no URL of an API", hint="write it as http://host:8800")
    if parts.password is not None or parts.query or parts.fragment:
        raise Invalid(
            "invalid_input",
            f"the URL of the API at {parts.hostname} holds more than scheme, host, port and path",
            hint=f"a token is given as token=, or as {TOKEN_VARIABLE}",
        )
    return url.rstrip("/")


def api_token(given: str | None) -> str | None:
    """``given``, or COMFYCHAIN_API_TOKEN; None where the API needs none."""
    return given or os.environ.get(TOKEN_VARIABLE) or None


def temporal_address(given: str | None) -> str:
    """``given``, or COMFYCHAIN_TEMPORAL_ADDRESS, or what ``running.json`` says, or Temporal's usual port."""
    return given or os.environ.get(TEMPORAL_VARIABLE) or _running("temporal_address") or _USUAL_TEMPORAL


def _running(field: str) -> str | None:
    """A field of ``running.json`` in the data folder, while the process that wrote it lives."""
    path = Path(os.environ.get(_DATA_VARIABLE) or "data") / "running.json"
    try:
        running = json.loads(path.read_bytes())
        os.kill(int(running["pid"]), 0)
    except PermissionError:
        pass  # it lives, under another user
    except (OSError, ValueError, KeyError, TypeError):
        return None
    value = running.get(field)
    return value if isinstance(value, str) else None
