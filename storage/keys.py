"""Which keys exist: one grammar for every backend, strict enough that none of them can disagree.

A key is ``folder/folder/name.extension``: lower-case ASCII letters, digits, ``-`` and ``_``; only the last
part has dots. So a key can never leave the store's folder, no two keys differ only in case or in Unicode
form, and no key is another's folder (``a`` beside ``a/b`` is possible on S3 and not in a file system).
"""

import re

from storage.errors import InvalidRequest

MAX_KEY_BYTES = 512
"""Half of what S3 takes: room for the bucket's prefix."""

#: The end of a sidecar's name in the local store, and so of no key.
RESERVED_SUFFIX = ".meta.json"

_PART = r"[a-z0-9][a-z0-9_-]{0,127}"
_EXTENSION = r"[a-z0-9][a-z0-9_-]{0,31}"
_PART_FORM = re.compile(_PART)
_EXTENSION_FORM = re.compile(_EXTENSION)
_KEY_FORM = re.compile(rf"(?:{_PART}/)*{_PART}(?:\.{_EXTENSION}){{1,4}}")
#: Device names that Windows and its network shares refuse, whatever the extension.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")
_KEY_HINT = "a key is folder/…/name.extension in lower-case letters, digits, - and _"
_MAX_SLUG_CHARACTERS = 64


def check_key(key: str) -> str:
    """Return ``key`` if it is one; raises ``InvalidRequest`` that says what is wrong with it."""
    if not isinstance(key, str) or not _KEY_FORM.fullmatch(key):
        raise InvalidRequest(f"{_shown(key)} is not a key", hint=_KEY_HINT)
    if len(key) > MAX_KEY_BYTES:
        raise InvalidRequest(
            f"the key {_shown(key)} has {len(key)} bytes; at most {MAX_KEY_BYTES} are possible"
        )
    if key.endswith(RESERVED_SUFFIX):
        raise InvalidRequest(f"the key {_shown(key)} ends with {RESERVED_SUFFIX}, which is the store's own")
    if any(_DEVICE.fullmatch(part) for part in key.split("/")):
        raise InvalidRequest(f"the key {_shown(key)} has a part that is a device name on Windows")
    return key


def artifact_key(
    tenant: str, project: str, chain_run: str, step: str, artifact_id: str, extension: str
) -> str:
    """``{tenant}/{project}/{chain run}/{step}/{artifact id}.{extension}``.

    ``step`` is an author's text and is made a slug; the other parts are ids or slugs already and are
    only checked, since two of them must never fall together. Raises ``InvalidRequest``.
    """
    return check_key(
        "/".join(
            [
                _checked("tenant", tenant),
                _checked("project", project),
                _checked("chain run", chain_run),
                slug(step),
                f"{_checked('artifact id', artifact_id)}.{_checked_extension(extension)}",
            ]
        )
    )


def input_key(tenant: str, project: str, input_id: str, extension: str) -> str:
    """``{tenant}/{project}/inputs/{input id}.{extension}``: a file given to a run from outside."""
    return check_key(
        "/".join(
            [
                _checked("tenant", tenant),
                _checked("project", project),
                "inputs",
                f"{_checked('input id', input_id)}.{_checked_extension(extension)}",
            ]
        )
    )


def rendition_key(artifact_key: str, kind: str, extension: str) -> str:
    """``{artifact's key without its extension}.{kind}.{extension}``: beside the artifact, and never another's
    key, since an artifact's own name has one dot. Raises ``InvalidRequest``.
    """
    folder, slash, name = check_key(artifact_key).rpartition("/")
    stem = name.split(".", 1)[0]
    return check_key(f"{folder}{slash}{stem}.{_checked('kind', kind)}.{_checked_extension(extension)}")


def slug(text: str) -> str:
    """A key part that a person recognises: lower case, anything else a hyphen, at most 64 characters.

    Different texts may have the same slug: something unique must stand beside it in the key.
    """
    plain = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-_")[:_MAX_SLUG_CHARACTERS].rstrip("-_")
    return f"{plain}-" if _DEVICE.fullmatch(plain) else plain or "step"


def _checked(what: str, part: str) -> str:
    if not _PART_FORM.fullmatch(part):
        raise InvalidRequest(f"{_shown(part)} cannot be the {what} in a key", hint=_KEY_HINT)
    return part


def _checked_extension(extension: str) -> str:
    if not _EXTENSION_FORM.fullmatch(extension):
        raise InvalidRequest(f"{_shown(extension)} cannot be a file extension in a key", hint="such as png")
    return extension


def _shown(text: object) -> str:
    """``ascii``, because a key with bidirectional or control characters must not reach a terminal."""
    shown = ascii(text)
    return shown if len(shown) <= 100 else shown[:97] + "…'"
