"""What can go wrong with a store: one hierarchy for every backend, each with its failure category."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from contracts.failures import ComfychainError, FailureCategory


class StoreError(ComfychainError):
    """Base of all store errors; ``key`` is the object's key, or '' where no single object is meant."""

    category_of_class: ClassVar[FailureCategory] = FailureCategory.STORAGE_UNAVAILABLE

    def __init__(self, message: str, *, key: str = "", hint: str | None = None) -> None:
        super().__init__(self.category_of_class, message, hint=hint, details={"key": key} if key else None)
        self.key = key


class InvalidRequest(StoreError):
    """A key, range, page, media type or metadata that no backend accepts."""

    category_of_class = FailureCategory.INVALID_INPUT


class ObjectNotFound(StoreError):
    category_of_class = FailureCategory.NOT_FOUND


class ObjectExists(StoreError):
    """``if_absent`` was asked for and another object was first."""

    category_of_class = FailureCategory.ALREADY_USED


class ObjectCorrupt(StoreError):
    """Bytes that do not have the length or the hash they should have."""

    category_of_class = FailureCategory.CORRUPT


class StoreFull(StoreError):
    category_of_class = FailureCategory.STORAGE_FULL


class StoreDenied(StoreError):
    """Missing permission or a read-only file system: passes once an operator has mended it."""

    category_of_class = FailureCategory.STORAGE_UNAVAILABLE


class StoreUnavailable(StoreError):
    """An input/output error that may pass by itself."""

    category_of_class = FailureCategory.STORAGE_UNAVAILABLE


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


def from_os_error(error: OSError, action: str, *, key: str = "") -> StoreError:
    """The store's error for what the operating system refused; ``action`` reads "write 'a/b.png'"."""
    reason = error.strerror or str(error)
    message = f"cannot {action}: {reason}"
    if error.errno in _FULL:
        return StoreFull(message, key=key, hint="free some space, or raise the limit, and try again")
    if error.errno in _DENIED:
        return StoreDenied(message, key=key, hint="make the store's folder writable for this user")
    if error.errno == errno.ENOENT:
        return ObjectNotFound(message, key=key)
    return StoreUnavailable(message, key=key)


@contextmanager
def store_errors(action: str, *, key: str = "") -> Iterator[None]:
    """Turn every ``OSError`` inside into the store's own error."""
    try:
        yield
    except OSError as error:
        raise from_os_error(error, action, key=key) from error
