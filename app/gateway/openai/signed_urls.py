"""Addresses of pictures that work without a key, for an hour.

Users of this API hand ``url`` to whatever fetches pictures, which has no key to show. So the
address itself carries the permission: for one picture, until a moment that is part of it, signed
with a secret that never leaves the service. A key is never part of an address.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable

from app.gateway.problems import Problem
from jobs.redis_store import JobStore


class UrlSigner:
    """Signs and checks addresses. Methods block."""

    def __init__(
        self, store: JobStore, lifetime: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._lifetime, self._clock = store, lifetime, clock

    def sign(self, job_id: str, index: int) -> dict[str, str]:
        """The query of an address that works from now on."""
        expires = int(self._clock() + self._lifetime)
        return {"expires": str(expires), "signature": self._signature(job_id, index, expires)}

    def check(self, job_id: str, index: int, expires: int, signature: str) -> None:
        """Problem 403 when the signature is not ours, 410 when its time is over."""
        right = self._signature(job_id, index, expires)
        if not hmac.compare_digest(right.encode(), signature.encode("utf-8", "replace")):
            raise Problem(403, "This address is not signed by this service; use it unchanged.")
        if self._clock() >= expires:
            raise Problem(410, "This address has expired. GET /jobs lists your jobs' pictures.")

    def _signature(self, job_id: str, index: int, expires: int) -> str:
        secret = self._store.service_secret("links", secrets.token_hex(32))
        return hmac.digest(
            secret.encode(), f"{job_id}/{index} until {expires}".encode(), "sha256"
        ).hex()
