"""One service of fakes for everything that the documents show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mmml.testing import fake_service

_WEIGHTS = Path(__file__).parents[2] / "weights"  # whose names the documents use
_OWN_RECEIVERS = {
    "MMML_WEBHOOK_ALLOW_HTTP": "1",
    "MMML_WEBHOOK_PORTS": "[]",
    "MMML_WEBHOOK_NETWORKS": '["127.0.0.0/8"]',
}


@pytest.fixture(scope="package")
def fake_url() -> Iterator[str]:
    with fake_service(MMML_WEIGHTS_DIR=str(_WEIGHTS), **_OWN_RECEIVERS) as url:
        yield url
