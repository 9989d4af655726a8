"""``Idempotency-Key``: a request sent twice is done once
(draft-ietf-httpapi-idempotency-key-header).

Only accepted requests are remembered, so what was refused can be put right and sent again under the
same key.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from app.gateway.problems import Problem
from app.gateway.services import Services
from app.gateway.uploads import AlphaMask, ImageInput, UploadedFile
from jobs.job import Job, Status
from jobs.store import IdempotencyKey

HEADER = "Idempotency-Key"
PATTERN = r'^"?([\x21\x23-\x5b\x5d-\x7e]{1,255})"?$'
_KEY = re.compile(PATTERN, re.ASCII)


def read_idempotency_key(
    request: Request,
    fields: Mapping[str, Any],
    pictures: Mapping[str, ImageInput],
    ttl: float,
    owner: str = "",
) -> IdempotencyKey | None:
    """The key that the request carries. ``owner`` keeps the keys of different callers apart.
    Blocking: hashes the pictures.
    """
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    found = _KEY.match(given[0].strip())
    if len(given) > 1 or not found:
        detail = (
            f"{HEADER} must be one value of 1 to 255 visible characters, such as a random UUID."
        )
        raise Problem(400, detail)
    name = hashlib.sha256(f"{owner}\0{found[1]}".encode()).hexdigest()
    return IdempotencyKey(name, _fingerprint(request.url.path, fields, pictures), ttl)


def _fingerprint(path: str, fields: Mapping[str, Any], pictures: Mapping[str, ImageInput]) -> str:
    """What was asked for, whatever the order of the fields and the form's boundary."""
    contents = {
        name: hashlib.sha256(p.data).hexdigest()
        if isinstance(p, UploadedFile | AlphaMask)
        else repr(p)
        for name, p in pictures.items()
    }
    try:
        asked = json.dumps([path, dict(fields), contents], sort_keys=True, default=repr)
    except RecursionError as error:
        raise Problem(400, "The body is nested too deeply.") from error
    return hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()


def find_earlier_job(services: Services, key: IdempotencyKey) -> Job | None:
    """Blocking: the job that this very request created before. 422 when the key was used for
    another request, 410 when the job is gone.
    """
    record = services.store.get_idempotency_record(key.name)
    if record is None:
        return None
    if record.fingerprint != key.fingerprint:
        raise Problem(
            422, f"This {HEADER} was used for another request. Use a new key for a new request."
        )
    job = services.store.get(record.job_id)
    if job is None or job.status is Status.expired:
        raise Problem(
            410,
            f"The job that this {HEADER} created has expired or was deleted. Use a new key.",
            job=record.job_id,
        )
    return job
