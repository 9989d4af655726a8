"""What an error of the storage means: a sentence for clients, and whether an operator must act."""

from __future__ import annotations

import errno
import re

from obstore.exceptions import NotFoundError, PermissionDeniedError, UnauthenticatedError

from jobs.errors import BlobError

FULL = "The service's storage is full."
READ_ONLY = "The service's storage does not take writes."
REFUSED = "The service's storage refuses its credentials."
NO_STORE = "The service's storage does not exist."

_BY_ERRNO = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EROFS: READ_ONLY,
    errno.EACCES: READ_ONLY,
    errno.EPERM: READ_ONLY,
    errno.ENOTDIR: NO_STORE,
}
_OS_ERROR = re.compile(r"\(os error (\d+)\)")  # how obstore's local store ends its messages


def blob_error(action: str, error: Exception) -> BlobError:
    """``action`` could not be done, because of ``error``."""
    message = f"{action}: {_first_line(error)}"
    reason = _lasting_reason(error)
    return BlobError(message, reason, lasting=True) if reason else BlobError(message)


def is_missing_bucket(error: Exception) -> bool:
    """Not the object is missing, but the bucket or container that it should lie in."""
    text = str(error)
    return any(mark in text for mark in ("NoSuchBucket", "ContainerNotFound", "bucket does not"))


def _lasting_reason(error: Exception) -> str | None:
    """Why it will not work before an operator acts; None for a fault that may pass."""
    number = _errno(error)
    if number in _BY_ERRNO:
        return _BY_ERRNO[number]
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return REFUSED
    if isinstance(error, NotFoundError) or is_missing_bucket(error):
        return NO_STORE
    return None


def _errno(error: Exception) -> int:
    if isinstance(error, OSError) and error.errno:
        return error.errno
    found = _OS_ERROR.search(str(error))
    return int(found[1]) if found else 0


def _first_line(error: Exception) -> str:
    """obstore appends a dump of its own data structures."""
    return str(error).strip().split("\n", 1)[0]
