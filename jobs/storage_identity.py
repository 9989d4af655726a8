"""Whether a process stores pictures where all others of its service look for them: a random id lies
in the blob store and in Redis, written by whoever comes first, and both must be the same.
"""

from __future__ import annotations

import logging
import secrets
from typing import cast

import redis

from jobs.blobs import BlobStore
from jobs.connections import connect, unreachable, wait_until_ready
from jobs.errors import BlobError, BlobMissing, WrongStorage
from jobs.settings import SharedSettings

log = logging.getLogger(__name__)
BLOB_KEY = "service-id"
_LOCK_SECONDS = 60.0  # for which the first process may take to write the id


def require_own_storage(
    settings: SharedSettings, blobs: BlobStore | None = None, timeout: float = 60.0
) -> None:
    """WrongStorage unless the blob store is the one that the service's Redis knows; StoreError when
    Redis does not answer within ``timeout`` seconds. A store that can't be reached just now is let
    pass: jobs say so. ``blobs``: those that the settings name.
    """
    if settings.storage_url.startswith("memory:"):
        raise WrongStorage(
            "MMML_STORAGE_URL is memory://, which no other process can read. Name a store that the "
            "gateways, workers and reconcilers all reach: file:///folder on one machine, or s3://…"
        )
    client = connect(settings.redis_url)
    try:
        wait_until_ready(settings.redis_url, timeout)
        _compare(settings, blobs or BlobStore.from_url(settings.storage_url), client)
    except redis.RedisError as error:
        raise unreachable(error) from error
    except BlobError as error:
        log.warning("not known yet whether this is the service's storage: %s", error)
    finally:
        client.close()


def _compare(settings: SharedSettings, blobs: BlobStore, client: redis.Redis) -> None:
    key = f"{settings.redis_prefix}storage"
    stored, known = _stored_id(blobs), _known_id(client, key)
    if stored is None or known is None:
        with client.lock(f"{key}:lock", timeout=_LOCK_SECONDS):  # two may be the first
            stored, known = _stored_id(blobs), _known_id(client, key)
            if known is None:
                if stored is None:
                    stored = secrets.token_hex(16)
                    blobs.put(BLOB_KEY, stored.encode())
                client.set(key, stored)
                return
    if stored != known:
        there = "holds no id" if stored is None else f"has the id {stored}"
        raise WrongStorage(
            f"{settings.storage_url} is not this service's storage: it {there}, and Redis knows "
            f"{known}. Give all processes the same MMML_STORAGE_URL; a folder of one machine is "
            f"seen by no other. If the storage was replaced on purpose, delete {key} in Redis."
        )


def _stored_id(blobs: BlobStore) -> str | None:
    try:
        return blobs.get(BLOB_KEY).decode("ascii", "replace").strip()
    except BlobMissing:
        return None


def _known_id(client: redis.Redis, key: str) -> str | None:
    found = cast("bytes | None", client.get(key))
    return found.decode() if found else None
