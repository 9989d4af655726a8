"""One tiny bundle for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.tiny import METHODS, tiny_bundle, tiny_method


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("weights") / "tiny").folder


@pytest.fixture(scope="session")
def tiny_detailed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with a detail stage."""
    return tiny_bundle(tmp_path_factory.mktemp("weights") / "tiny", detail=True).folder


@pytest.fixture(scope="session")
def tiny_methods(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By name, the methods that no task of ``tiny`` has."""
    folder = tmp_path_factory.mktemp("weights")
    return {name: tiny_method(folder / name, name).folder for name in METHODS}
