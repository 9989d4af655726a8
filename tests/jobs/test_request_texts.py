"""Several captions: mixed by weights, or one after the other."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.request_texts import WeightedText, form_to_json, morph_blends, to_blend
from jobs.requests import Inpaint, Manipulate, Synthesize


def test_weights_become_shares() -> None:
    request = Synthesize(text=["a  bird", WeightedText(text="a crown", weight=3)])
    assert request.frame_blends == ((("a bird", 0.25), ("a crown", 0.75)),)
    assert request.texts == ("a bird", "a crown")
    assert request.drawn_count == 1


def test_a_request_is_shown_as_it_was_given() -> None:
    given = {"text": ["a bird", {"text": "a crown", "weight": 3.0}], "count": 2}
    request = Synthesize.model_validate(given, strict=True)
    assert request.model_dump(mode="json", exclude_none=True) == {
        **given,
        "format": "png",
        "explain": False,
        "priority": "normal",
    }
    again = Synthesize.model_validate(request.model_dump(mode="json"))
    assert again == request


@given(st.lists(st.floats(1e-300, 1000), min_size=2, max_size=8))
def test_shares_sum_to_one(weights: list[float]) -> None:
    shares = [share for _, share in to_blend([WeightedText(text="a", weight=w) for w in weights])]
    assert sum(shares) == pytest.approx(1)
    assert all(0 <= share <= 1 for share in shares)


@given(st.integers(2, 64))
def test_a_morph_begins_and_ends_with_its_captions(frames: int) -> None:
    shown = morph_blends(["from", "to"], frames)
    assert len(shown) == frames
    assert (shown[0], shown[-1]) == ((("from", 1.0),), (("to", 1.0),))
    ways = [dict(blend).get("to", 0.0) for blend in shown]
    steps = [b - a for a, b in itertools.pairwise(ways)]
    assert steps == pytest.approx([1 / (frames - 1)] * (frames - 1))


def test_frames_count_as_pictures() -> None:
    request = Synthesize(text=["a bird", "a crown"], frames=8, count=16)
    assert (request.drawn_count, request.format) == (128, "webp")
    assert Synthesize(text=["a bird", "a crown"], frames=2, format="png").format == "png"
    assert Manipulate(text="a bird", count=3).drawn_count == 3


def test_only_synthesis_mixes() -> None:
    for task in (Manipulate, Inpaint):
        with pytest.raises(ValueError, match="valid string"):
            task.model_validate({"text": ["a bird", "a crown"]})


def test_forms_repeat_fields() -> None:
    assert form_to_json({"text": ["a"], "seed": "1"}) == {"text": "a", "seed": "1"}
    assert form_to_json({"text": ["a", "b"]}) == {"text": ["a", "b"]}
    weighted = [{"text": "a", "weight": "1"}, {"text": "b", "weight": "2"}]
    assert form_to_json({"text": ["a", "b"], "weight": ["1", "2"]}) == {"text": weighted}
    assert form_to_json({"count": "2"}) == {"count": "2"}
    for texts, weights in ((["a", "b"], ["1"]), (["a"], ["1"]), ([], ["1"])):
        with pytest.raises(ValueError, match="as many weight fields as text fields"):
            form_to_json({"text": texts, "weight": weights})
