"""Settings whose value lies in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.settings import SharedSettings


def test_a_file_holds_the_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MMML_REDIS_URL", raising=False)
    (tmp_path / "url").write_text("redis://:secret@redis:6379/0\n")
    monkeypatch.setenv("MMML_REDIS_URL_FILE", str(tmp_path / "url"))
    assert SharedSettings().redis_url == "redis://:secret@redis:6379/0"
    monkeypatch.setenv("MMML_REDIS_URL", "redis://other:6379/0")
    assert SharedSettings().redis_url == "redis://other:6379/0"


def test_an_absent_file_is_not_an_absent_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MMML_REDIS_URL", raising=False)
    monkeypatch.setenv("MMML_REDIS_URL_FILE", "/nowhere")
    with pytest.raises(ValueError, match="MMML_REDIS_URL_FILE: /nowhere can't be read"):
        SharedSettings()
    monkeypatch.setenv("MMML_REDIS_URL_FILE", "")
    assert SharedSettings().redis_url.startswith("redis://127.0.0.1")
