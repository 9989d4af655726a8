"""Settings keep working under the names that they had before."""

from __future__ import annotations

import logging

import pytest

from app.settings import GatewaySettings


@pytest.mark.parametrize("name", GatewaySettings.renamed)
def test_earlier_names_work_with_a_warning(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    earlier = f"MMML_{GatewaySettings.renamed[name]}".upper()
    monkeypatch.setenv(earlier, "77")
    with caplog.at_level(logging.WARNING):
        assert getattr(GatewaySettings(), name) == 77
    assert f"{earlier} is called MMML_{name.upper()} now" in caplog.text


@pytest.mark.parametrize("name", GatewaySettings.renamed)
def test_present_names_win(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"MMML_{GatewaySettings.renamed[name]}".upper(), "77")
    monkeypatch.setenv(f"MMML_{name}".upper(), "78")
    assert getattr(GatewaySettings(), name) == 78
