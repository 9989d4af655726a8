"""Verification of the service's webhooks, for programs that receive them: signatures of the
Standard Webhooks specification, HMAC-SHA256 over id, time and body.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from collections.abc import Mapping

_PREFIX = "whsec_"
_TOLERANCE = 300.0  # seconds by which a message may be old or early


class BadSignature(ValueError):
    """The message was not signed with that secret, or not lately."""


def verify_webhook(
    secret: str, headers: Mapping[str, str], body: bytes, now: float | None = None
) -> None:
    """Raises BadSignature unless ``body`` was signed with ``secret`` within the last five minutes,
    and ValueError when the secret itself can't be used. Header names are matched in any case;
    ``now`` is in seconds since the epoch.
    """
    by_name = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, stamp = by_name["webhook-id"], by_name["webhook-timestamp"]
        signatures = by_name["webhook-signature"].split()
        age = abs((time.time() if now is None else now) - int(stamp))
    except (KeyError, ValueError, OverflowError) as error:
        raise BadSignature("the webhook headers are missing or malformed") from error
    if age > _TOLERANCE:
        raise BadSignature("the message is too old or from the future")
    signed = f"{message_id}.{stamp}.".encode() + body
    digest = base64.b64encode(hmac.digest(_decode(secret), signed, "sha256"))
    if not any(hmac.compare_digest(b"v1," + digest, s.encode()) for s in signatures):
        raise BadSignature("no signature fits")


def _decode(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(_PREFIX) or not key:
        raise ValueError("a webhook secret is whsec_ and base64: see 'mmml webhook-secret'")
    return key
