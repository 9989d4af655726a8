"""One service of fakes for everything that the documents show."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mmml.testing import fake_service

_OWN_RECEIVERS = {
    "MMML_WEBHOOK_ALLOW_HTTP": "1",
    "MMML_WEBHOOK_PORTS": "[]",
    "MMML_WEBHOOK_NETWORKS": '["127.0.0.0/8"]',
}


@pytest.fixture(scope="package")
def fake_url() -> Iterator[str]:
    with fake_service(**_OWN_RECEIVERS) as url:
        yield url
