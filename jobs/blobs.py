"""Bytes kept outside the queue, on a local folder, in memory, or in S3, GCS or Azure by URL
(obstore).
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, ObjectStore, from_url

from jobs.errors import BlobError, BlobMissing


def input_key(job_id: str, name: str) -> str:
    """Where the normalised upload ``name`` of a job lies."""
    return f"jobs/{job_id}/in/{name}.png"


def job_folder(job_id: str) -> str:
    """Where everything of a job lies."""
    return f"jobs/{job_id}/"


def output_folder(job_id: str, token: str) -> str:
    """Where one run's pictures lie. The lease token keeps two runs of one job apart."""
    return f"jobs/{job_id}/out/{token}/"


def output_key(job_id: str, token: str, index: int, extension: str) -> str:
    """Where picture ``index`` lies."""
    return f"{output_folder(job_id, token)}{index}.{extension}"


class BlobStore:
    """Keys are made by the server only. Every method raises BlobError on a fault of the storage."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @classmethod
    def at(cls, url: str) -> BlobStore:
        """``memory://``, ``file:///folder`` (made if absent), or any URL that obstore knows."""
        parts = urlsplit(url)
        try:
            if parts.scheme == "memory":
                return cls(MemoryStore())
            if parts.scheme == "file":
                folder = Path(unquote(parts.path))
                folder.mkdir(parents=True, exist_ok=True)
                return cls(LocalStore(prefix=folder, automatic_cleanup=True))
            return cls(from_url(url))
        except (BaseError, OSError, ValueError) as error:
            raise BlobError(f"the blob store {url} can't be opened: {error}") from error

    def put(self, key: str, data: bytes) -> None:
        """Store ``data``; a reader sees the old or the new bytes, never a part."""
        try:
            obstore.put(self._store, key, data)
        except (BaseError, OSError) as error:
            raise BlobError(f"{key} could not be stored: {error}") from error

    def get(self, key: str) -> bytes:
        """The bytes; BlobMissing when there are none."""
        try:
            return bytes(obstore.get(self._store, key).bytes())
        except FileNotFoundError as error:
            raise BlobMissing(f"nothing is stored under {key}") from error
        except (BaseError, OSError) as error:
            raise BlobError(f"{key} could not be read: {error}") from error

    def delete_prefix(self, prefix: str) -> None:
        """Erase everything whose key starts with the folder ``prefix``."""
        try:
            for chunk in obstore.list(self._store, prefix=prefix):
                paths = [meta["path"] for meta in chunk]
                if paths:
                    obstore.delete(self._store, paths)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise BlobError(f"{prefix} could not be erased: {error}") from error
