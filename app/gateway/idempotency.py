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
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.gateway.auth import Caller
from app.gateway.problems import Problem
from app.gateway.services import Services
from app.gateway.uploads import ImageInput, UploadedFile
from jobs.job import Job, Status
from jobs.store import IdempotencyKey

HEADER = "Idempotency-Key"
PATTERN = r'^"?([\x21\x23-\x5b\x5d-\x7e]{1,255})"?$'
_KEY = re.compile(PATTERN, re.ASCII)


async def read_idempotency_key(
    request: Request,
    services: Services,
    caller: Caller,
    fields: Mapping[str, Any],
    pictures: Mapping[str, ImageInput],
) -> IdempotencyKey | None:
    """The key that the request carries. Those of different callers are kept apart."""
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    found = _KEY.match(given[0].strip())
    if len(given) > 1 or not found:
        detail = (
            f"{HEADER} must be one value of 1 to 255 visible characters, such as a random UUID."
        )
        raise Problem(400, detail)
    name = hashlib.sha256(f"{caller.owner}\0{found[1]}".encode()).hexdigest()
    read = partial(_fingerprint, request.url.path, fields, pictures)
    if pictures:
        fingerprint = await services.decoders.run(caller.rate_limit_key, read, quick=True)
    else:
        fingerprint = await run_in_threadpool(read)
    return IdempotencyKey(name, fingerprint, services.settings.idempotency_ttl)


def _fingerprint(path: str, fields: Mapping[str, Any], pictures: Mapping[str, ImageInput]) -> str:
    """What was asked for, whatever the order of the fields and the form's boundary."""
    contents = {
        name: hashlib.sha256(p.data).hexdigest() if isinstance(p, UploadedFile) else repr(p)
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
