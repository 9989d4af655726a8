"""Signatures of the Standard Webhooks specification: HMAC-SHA256 over id, time and body.
Receivers verify them with any library of that specification, or with ``mmml.verify_webhook``.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Sequence

from jobs.redis_store import JobStore

PREFIX = "whsec_"


def new_secret() -> str:
    """A random secret of 32 bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def derive_secret(secret: str, owner: str) -> str:
    """The secret of one ``owner``, from which nobody learns another's; the service's own for ""."""
    if not owner:
        return secret
    digest = hmac.digest(secret_key(secret), f"webhooks of {owner}".encode(), "sha256")
    return PREFIX + base64.b64encode(digest).decode()


def signature_headers(
    secret_list: Sequence[str], message_id: str, now: float, body: bytes
) -> dict[str, str]:
    """What goes with ``body``; one signature per secret, so that secrets can be rotated."""
    stamp = str(int(now))
    signatures = [_signature(secret, message_id, stamp, body) for secret in secret_list]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(signatures),
    }


def _signature(secret: str, message_id: str, stamp: str, body: bytes) -> str:
    signed = f"{message_id}.{stamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret_key(secret), signed, "sha256")).decode()


def secret_key(secret: str) -> bytes:
    """What signs. Raises ValueError unless the text is ``whsec_`` and base64 of 24 to 64 bytes."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        key = b""
    if not secret.startswith(PREFIX) or not 24 <= len(key) <= 64:
        raise ValueError("a webhook secret is whsec_ and base64 of 24 to 64 bytes")
    return key


def signing_secrets(configured: str, store: JobStore, owner: str = "") -> Sequence[str]:
    """The secrets of ``owner``, the present one first: those of the settings, else one that is
    drawn once and kept in the job store.
    """
    secrets = configured.split() or [store.service_secret("webhooks", new_secret())]
    return [derive_secret(secret, owner) for secret in secrets]
