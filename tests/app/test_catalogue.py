"""Bundles come and go while the gateway runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import app.catalogue as room
from app.catalogue import LiveCatalogue
from jobs.errors import BundlesError
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


def test_the_folder_has_defaults_of_its_own(weights: Path) -> None:
    live = Impatient(weights, {})
    write_paper_bundle(weights / "other", ("synthesize",))
    (weights / "defaults.json").write_text('{"synthesize": "paper", "inpaint": "gone"}')
    assert live.now().default("synthesize") == "paper"  # type: ignore[attr-defined]
    assert live.now().default("inpaint") == "paper"  # type: ignore[attr-defined]
    set_otherwise = LiveCatalogue(weights, {"synthesize": "other"})
    assert set_otherwise.now().default("synthesize") == "other"


@pytest.mark.parametrize("text", ["{broken", "[]", '{"inpaint": 1}'])
def test_defaults_that_say_nothing_are_refused(weights: Path, text: str) -> None:
    (weights / "defaults.json").write_text(text)
    with pytest.raises(BundlesError, match=r"defaults\.json"):
        LiveCatalogue(weights, {})


def test_what_ships_serves_drawings_by_drawings_and_photos_by_photos() -> None:
    shipped = LiveCatalogue(Path(__file__).parents[2] / "weights", {}).now()
    chosen = {task: shipped.default(task) for task in ("synthesize", "manipulate", "inpaint")}
    assert chosen == {"synthesize": "aviary", "manipulate": "cub", "inpaint": "cub"}
