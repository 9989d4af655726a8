"""What a receiver of webhooks accepts, signed by the service."""

from __future__ import annotations

import json

import pytest

from app.webhooks.signing import new_secret, signature_headers
from mmml import BadSignature, verify_webhook

BODY = json.dumps({"type": "job.succeeded", "text": "ein Vögelchen"}).encode()


def test_what_verification_refuses() -> None:
    secret = new_secret()
    signed = signature_headers([secret], "msg_1", 1000.0, BODY)
    verify_webhook(secret, signed, BODY, now=1200.0)
    wrong: list[tuple[str, dict[str, str], bytes, float]] = [
        (new_secret(), signed, BODY, 1000.0),
        (secret, signed, BODY + b" ", 1000.0),
        (secret, signed, BODY, 1301.0),
        (secret, signed, BODY, 600.0),
        (secret, signed | {"webhook-id": "msg_2"}, BODY, 1000.0),
        (secret, signed | {"webhook-timestamp": "1001"}, BODY, 1000.0),
        (secret, signed | {"webhook-timestamp": "now"}, BODY, 1000.0),
        (secret, signed | {"webhook-timestamp": "9" * 400}, BODY, 1000.0),
        (secret, {}, BODY, 1000.0),
    ]
    for given, sent, body, now in wrong:
        with pytest.raises(BadSignature):
            verify_webhook(given, sent, body, now)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!!", "c2VjcmV0"])
def test_what_is_no_secret_is_no_bad_signature(secret: str) -> None:
    signed = signature_headers([new_secret()], "msg_1", 1000.0, BODY)
    with pytest.raises(ValueError, match="whsec_") as caught:
        verify_webhook(secret, signed, BODY, now=1000.0)
    assert not isinstance(caught.value, BadSignature)
