"""One tiny bundle for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.tiny import tiny_bundle


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("weights") / "tiny").folder


@pytest.fixture(scope="session")
def tiny_detailed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with a detail stage."""
    return tiny_bundle(tmp_path_factory.mktemp("weights") / "tiny", detail=True).folder
