"""Bytes kept outside the queue, on a local folder, in memory, or in S3, GCS or Azure by URL
(obstore).

A cloud's credentials come from its usual environment (``AWS_…``, ``GOOGLE_…``, ``AZURE_…``) or
from the machine's own identity there.
"""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, MemoryStore, ObjectStore, from_url

from jobs.errors import BlobError, BlobMissing

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*", re.ASCII)
_MAX_KEY = 512
_JOBS = "jobs/"
_PART = 256 * 1024  # bytes of a large file that are held at a time
# A store that is away must not hold a request for long; whole photos must still get through.
# Whether the connection is encrypted follows from the endpoint's own scheme.
_CLIENT: Any = {"connect_timeout": "3s", "timeout": "30s", "allow_http": True}
_RETRY: Any = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=8),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=1),
        "base": 2,
    },
}


def input_key(job_id: str, name: str, extension: str = "png") -> str:
    """Where the normalised upload ``name`` of a job lies."""
    return f"{input_prefix(job_id)}{name}.{extension}"


def input_prefix(job_id: str) -> str:
    """How the keys of a job's uploads begin."""
    return f"{job_folder(job_id)}in-"


def job_folder(job_id: str) -> str:
    """Where everything of a job lies, and nothing below it: on a local disk each folder costs more
    than writing a picture.
    """
    return f"{_JOBS}{job_id}/"


def output_prefix(job_id: str, token: str) -> str:
    """How the keys of one run's pictures begin. The lease token keeps two runs of one job apart."""
    return f"{job_folder(job_id)}{token.replace(':', '.')}-"


def output_key(job_id: str, token: str, index: int, extension: str) -> str:
    """Where picture ``index`` lies, or with "json" its explanation."""
    return f"{output_prefix(job_id, token)}{index}.{extension}"


class BlobStore:
    """Keys are made by the server only. Every method raises BlobError on a fault of the storage,
    and for a key that could lead anywhere else.
    """

    def __init__(self, store: ObjectStore, folder: Path | None = None) -> None:
        """``folder``: where a local store keeps its files."""
        self._store, self._folder = store, folder

    @classmethod
    def from_url(cls, url: str) -> BlobStore:
        """``memory://``, ``file:///folder`` (made if absent), or any URL that obstore knows."""
        parts = urlsplit(url)
        try:
            if parts.scheme == "memory":
                return cls(MemoryStore())
            if parts.scheme == "file":
                folder = Path(unquote(parts.path))
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                return cls(LocalStore(prefix=folder), folder)
            return cls(from_url(url, client_options=_CLIENT, retry_config=_RETRY))
        except (BaseError, OSError, ValueError) as error:
            raise BlobError(f"the blob store {url} can't be opened: {error}") from error

    def put(self, key: str, data: bytes) -> None:
        """Store ``data``; a reader sees the old or the new bytes, never a part."""
        with _translate_errors(f"{key} could not be stored"):
            if self._folder is not None:
                _write_file(self._folder / _check_key(key), data)
            else:
                obstore.put(self._store, _check_key(key), data)

    def free_bytes(self) -> int | None:
        """What is left of the disk; None when that is not known, as of what is no folder."""
        with suppress(OSError):
            return None if self._folder is None else shutil.disk_usage(self._folder).free
        return None

    @property
    def is_local(self) -> bool:
        """Whether reading takes no network."""
        return self._folder is not None or isinstance(self._store, MemoryStore)

    def get(self, key: str) -> bytes:
        """The bytes; BlobMissing when there are none."""
        with _translate_errors(f"{key} could not be read"), _missing(key):
            return self._read(_check_key(key))

    def open(self, key: str) -> tuple[int, Generator[bytes]]:
        """The number of bytes, and the bytes in parts; BlobMissing when there are none."""
        with _translate_errors(f"{key} could not be read"), _missing(key):
            if self._folder is not None:
                file = (self._folder / _check_key(key)).open("rb")
                return os.fstat(file.fileno()).st_size, _parts(file)
            found = obstore.get(self._store, _check_key(key))
            return found.meta["size"], _cut(found.stream(min_chunk_size=_PART))

    def exists(self, key: str) -> bool:
        with _translate_errors(f"{key} could not be looked up"):
            try:
                obstore.head(self._store, _check_key(key))
            except FileNotFoundError:
                return False
            return True

    def _read(self, key: str) -> bytes:
        if self._folder is not None:  # a sixth of what it takes by way of the library's threads
            return (self._folder / key).read_bytes()
        return bytes(obstore.get(self._store, key).bytes())

    def list_job_ids(self) -> list[str]:
        """The jobs of which anything is stored."""
        with _translate_errors("jobs could not be listed"):
            found: Any = obstore.list_with_delimiter(self._store, prefix=_JOBS)
            return [path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"]]

    def delete_prefix(self, prefix: str) -> None:
        """Erase everything whose key starts with ``prefix``: all of a folder, when it ends with a
        slash, or what lies in a folder under such names.
        """
        with _translate_errors(f"{prefix} could not be erased"):
            _check_key(prefix.rstrip("/"))
            folder, _, name = prefix.rpartition("/")
            if self._folder is not None:
                # Folders and half-written files, which a store does not list, go too.
                inside = self._folder / _check_key(folder)
                if not name:
                    _remove_tree(inside)
                    return
                for file in inside.glob(f"{name}*"):
                    file.unlink(missing_ok=True)
                return
            for chunk in obstore.list(self._store, prefix=f"{_check_key(folder)}/"):
                paths = [meta["path"] for meta in chunk if meta["path"].startswith(prefix)]
                if paths:
                    obstore.delete(self._store, paths)


def _check_key(key: str) -> str:
    """The key, if it can't lead out of the store."""
    if len(key) > _MAX_KEY or not _KEY.fullmatch(key):
        raise BlobError(f"{key[:80]!r} is not a key of this store", lasting=True)
    return key


def _write_file(path: Path, data: bytes) -> None:
    """As the library does, but without another thread. No key has a ``#``, and the library lists no
    file whose name ends with one and a number.
    """
    part = path.with_name(f"{path.name}#{random.getrandbits(32)}")
    try:
        try:
            part.write_bytes(data)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def _remove_tree(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        # Never there, or erased by somebody else at the same time.
        if folder.exists():
            shutil.rmtree(folder)


def _cut(chunks: Iterable[Any]) -> Generator[bytes]:
    for chunk in chunks:
        view = memoryview(chunk)
        for start in range(0, len(view), _PART):
            yield bytes(view[start : start + _PART])


def _parts(file: BinaryIO) -> Generator[bytes]:
    with file:
        while part := file.read(_PART):
            yield part


@contextmanager
def _missing(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if is_missing_bucket(error):
            raise
        raise BlobMissing(f"nothing is stored under {key}") from error


@contextmanager
def _translate_errors(action: str) -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        raise blob_error(action, error) from error


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
    first_line = str(error).strip().split("\n", 1)[0]  # obstore appends a dump of its own data
    message = f"{action}: {first_line}"
    reason = _lasting_reason(error)
    return BlobError(message, reason, lasting=True) if reason else BlobError(message)


def is_missing_bucket(error: Exception) -> bool:
    """Not the object is missing, but the bucket or container that it should lie in."""
    text = str(error)
    return any(mark in text for mark in ("NoSuchBucket", "ContainerNotFound", "bucket does not"))


def _lasting_reason(error: Exception) -> str | None:
    """Why it will not work before an operator acts; None for a fault that may pass."""
    text = _OS_ERROR.search(str(error))
    number = getattr(error, "errno", None) or (int(text[1]) if text else 0)
    if number in _BY_ERRNO:
        return _BY_ERRNO[number]
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return REFUSED
    if isinstance(error, NotFoundError) or is_missing_bucket(error):
        return NO_STORE
    return None
