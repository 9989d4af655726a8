"""Bundles come and go while the gateway runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.gateway.services import LiveCatalogue
from jobs.bundles import Catalogue
from jobs.errors import BundlesError
from tests.conftest import write_paper_bundle


def refreshed(live: LiveCatalogue) -> Catalogue:
    live.refresh()
    return live.current()


def test_a_new_bundle_is_seen_and_a_broken_one_does_no_harm(weights: Path) -> None:
    live = LiveCatalogue(weights, {})
    assert list(live.current().bundles) == ["paper"]
    write_paper_bundle(weights / "second", ("synthesize",))
    assert list(live.current().bundles) == ["paper"]  # asking reads no folder
    assert list(refreshed(live).bundles) == ["paper", "second"]
    (weights / "second/bundle.json").write_text("{broken")
    assert list(refreshed(live).bundles) == ["paper", "second"]


def test_a_running_gateway_sees_a_new_bundle(
    client: TestClient, weights: Path, eventually: Callable[[Callable[[], bool], float], None]
) -> None:
    write_paper_bundle(weights / "second", ("synthesize",))
    eventually(lambda: len(client.get("/models").json()["bundles"]) == 2, 10)


def test_defaults_are_settings(weights: Path) -> None:
    write_paper_bundle(weights / "other", ("synthesize",))
    assert LiveCatalogue(weights, {}).current().default("synthesize") == "other"
    assert (
        LiveCatalogue(weights, {"synthesize": "paper"}).current().default("synthesize") == "paper"
    )


def test_the_folder_has_defaults_of_its_own(weights: Path) -> None:
    live = LiveCatalogue(weights, {})
    write_paper_bundle(weights / "other", ("synthesize",))
    (weights / "defaults.json").write_text('{"synthesize": "paper", "inpaint": "gone"}')
    assert refreshed(live).default("synthesize") == "paper"
    assert live.current().default("inpaint") == "paper"
    set_otherwise = LiveCatalogue(weights, {"synthesize": "other"})
    assert set_otherwise.current().default("synthesize") == "other"


@pytest.mark.parametrize("text", ["{broken", "[]", '{"inpaint": 1}'])
def test_defaults_that_say_nothing_are_refused(weights: Path, text: str) -> None:
    (weights / "defaults.json").write_text(text)
    with pytest.raises(BundlesError, match=r"defaults\.json"):
        LiveCatalogue(weights, {})


def test_what_ships_serves_drawings_by_drawings_and_photos_by_photos() -> None:
    shipped = LiveCatalogue(Path(__file__).parents[3] / "weights", {}).current()
    chosen = {task: shipped.default(task) for task in ("synthesize", "manipulate", "inpaint")}
    assert chosen == {"synthesize": "aviary", "manipulate": "cub", "inpaint": "cub"}
