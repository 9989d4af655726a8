"""Bundles come and go while the gateway runs."""

from __future__ import annotations

from pathlib import Path

import app.catalogue as room
from app.catalogue import LiveCatalogue
from tests.conftest import write_paper_bundle


class Impatient(LiveCatalogue):
    """Looks at every call."""

    def now(self) -> object:  # type: ignore[override]
        self._looked = -room._LOOK_EVERY * 10
        return super().now()


def test_a_new_bundle_is_seen_and_a_broken_one_does_no_harm(weights: Path) -> None:
    live = Impatient(weights, {})
    assert list(live.now().bundles) == ["paper"]  # type: ignore[attr-defined]
    write_paper_bundle(weights / "second", ("synthesize",))
    assert list(live.now().bundles) == ["paper", "second"]  # type: ignore[attr-defined]
    (weights / "second/bundle.json").write_text("{broken")
    assert list(live.now().bundles) == ["paper", "second"]  # type: ignore[attr-defined]


def test_defaults_are_settings(weights: Path) -> None:
    write_paper_bundle(weights / "other", ("synthesize",))
    assert LiveCatalogue(weights, {}).now().default("synthesize") == "other"
    assert LiveCatalogue(weights, {"synthesize": "paper"}).now().default("synthesize") == "paper"
