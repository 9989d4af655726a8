"""What a bundle leaves out of a text, and which other one would read it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.gateway.caption_warnings import caption_warnings
from app.gateway.problems import Problem
from jobs.bundles import Catalogue
from tests.conftest import write_paper_bundle


@pytest.fixture
def garden(tmp_path: Path) -> Path:
    """Weights of birds, of flowers, and of few flowers."""
    for name, words in {
        "birds": ["a", "bird", "red"],
        "flowers": ["a", "red", "the", "petals", "stamen"],
        "meadow": ["a", "petals"],
    }.items():
        write_paper_bundle(tmp_path / name, ("synthesize",))
        vocabulary = {"words": ["<end>", *words]}
        (tmp_path / name / "vocabulary.json").write_text(json.dumps(vocabulary))
    return tmp_path


def result(folder: Path, *texts: str) -> list[str]:
    catalogue = Catalogue.open(folder)
    found = catalogue.find("synthesize", "birds")
    assert found is not None
    return caption_warnings(found, found.method, texts, catalogue)


def test_the_bundle_that_knows_most_of_what_is_left_out_is_named(garden: Path) -> None:
    assert result(garden, "a red bird with zorgly petals", "a stamen") == [
        "Unknown words were left out: with, zorgly, petals, stamen.",
        "Bundle 'flowers' knows petals, stamen.",
    ]


def test_of_two_the_one_with_fewer_words_is_named(garden: Path) -> None:
    assert result(garden, "a bird of petals")[1] == "Bundle 'meadow' knows petals."


def test_grammar_is_no_reason_for_another_bundle(garden: Path) -> None:
    assert result(garden, "the red bird") == ["Unknown words were left out: the."]


def test_known_words_are_no_news(garden: Path) -> None:
    assert result(garden, "a red bird") == []


def test_a_refusal_says_who_would_read_the_text(garden: Path) -> None:
    with pytest.raises(Problem) as refused:
        result(garden, "petals")
    assert refused.value.detail == (
        "Bundle 'birds' knows no word of this text. Bundle 'meadow' knows petals. "
        "GET /models/birds/vocabulary lists the words it knows."
    )


@pytest.mark.parametrize("text", ["{broken", "{}"])
def test_another_bundle_that_is_broken_does_no_harm(garden: Path, text: str) -> None:
    (garden / "flowers/vocabulary.json").write_text(text)
    assert result(garden, "a bird, petals and stamen")[1] == "Bundle 'meadow' knows petals."
