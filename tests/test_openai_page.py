"""docs/openai.md says what is true; its examples are run by tests/real/test_openai.py."""

from __future__ import annotations

from pathlib import Path

from app.gateway.openai.requests import EditRequest
from app.settings import GatewaySettings
from jobs.request_texts import MAX_TEXT

PAGE = (Path(__file__).parent.parent / "docs" / "openai.md").read_text()


def test_settings_are_as_said() -> None:
    settings = GatewaySettings()
    assert f"{settings.openai_wait:.0f} seconds (`MMML_OPENAI_WAIT`)" in PAGE
    assert settings.link_ttl == 3600
    assert "after an hour (`MMML_LINK_TTL`, seconds)" in PAGE
    assert f"up to {MAX_TEXT} characters" in PAGE


def test_every_option_is_there() -> None:
    told_as_others = {"complexity", "frame_count", "frame_duration_ms", "seed", "method"}
    for name in EditRequest.model_fields.keys() - told_as_others:
        assert f"`{name}" in PAGE, name
