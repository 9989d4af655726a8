"""Signatures, against the specification's own library."""

from __future__ import annotations

import base64
import json
import time

import pytest
import standardwebhooks

from app.webhooks.signing import (
    derive_secret,
    new_secret,
    secret_key,
    signature_headers,
)
from mmml import verify_webhook

BODY = json.dumps({"type": "job.succeeded", "text": "ein Vögelchen"}).encode()


def test_the_specifications_library_accepts_it() -> None:
    secret = new_secret()
    signed = signature_headers([secret], "msg_1", time.time(), BODY)
    assert standardwebhooks.Webhook(secret).verify(BODY, signed) == json.loads(BODY)
    verify_webhook(secret, signed, BODY)


def test_the_specifications_example() -> None:
    """From its page: https://www.standardwebhooks.com"""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 (published)
    body = b'{"test": 2432232314}'
    signed = signature_headers([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_either_secret_fits_while_they_are_rotated() -> None:
    new, old = new_secret(), new_secret()
    signed = signature_headers([new, old], "msg_1", time.time(), BODY)
    for secret in (new, old):
        standardwebhooks.Webhook(secret).verify(BODY, signed)
        verify_webhook(secret, {k.title(): v for k, v in signed.items()}, BODY)


def test_owners_have_secrets_of_their_own() -> None:
    master = new_secret()
    assert derive_secret(master, "") == master
    one, other = derive_secret(master, "one"), derive_secret(master, "other")
    assert len({master, one, other}) == 3
    assert derive_secret(master, "one") == one
    assert len(secret_key(one)) == 32


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_short", "whsec_!!!", base64.b64encode(bytes(32)).decode()]
)
def test_what_is_no_secret(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_ and base64"):
        secret_key(secret)
