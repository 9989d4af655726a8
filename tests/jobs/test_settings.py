"""Settings keep working under the names that they had before."""

from __future__ import annotations

import logging
from pathlib import Path

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


def test_a_password_in_a_file_is_put_into_the_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("p@ss\n")
    monkeypatch.setenv("MMML_REDIS_PASSWORD_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("MMML_REDIS_PASSWORD", "")  # as an empty line of a file of variables
    for given, meant in [
        ("redis://redis:6379/0", "redis://:p%40ss@redis:6379/0"),
        ("redis://user@redis:6379/0", "redis://user:p%40ss@redis:6379/0"),
        ("redis://:own@redis:6379/0", "redis://:own@redis:6379/0"),
    ]:
        monkeypatch.setenv("MMML_REDIS_URL", given)
        assert GatewaySettings().redis_url == meant


@pytest.mark.parametrize("name", GatewaySettings.renamed)
def test_present_names_win(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"MMML_{GatewaySettings.renamed[name]}".upper(), "77")
    monkeypatch.setenv(f"MMML_{name}".upper(), "78")
    assert getattr(GatewaySettings(), name) == 78
