"""What a client may ask for."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from jobs.job import image_seed, new_id
from jobs.request_texts import MAX_TEXT
from jobs.requests import TASKS, Inpaint, Manipulate, Synthesize, TaskRequest


def test_text_is_normalised() -> None:
    assert Synthesize(text="  a\n bird \u0065\u0301 ").text == "a bird é"


@pytest.mark.parametrize("fits", [True, False])
def test_a_text_that_is_accepted_is_read_again_as_it_was(fits: bool) -> None:
    text = "\u0958" * (MAX_TEXT // 2 + (not fits))  # becomes two characters in NFC
    if fits:
        request = Synthesize(text=text)
        assert Synthesize.model_validate(request.model_dump(exclude_none=True)) == request
    else:
        with pytest.raises(ValidationError, match="at most 1000 characters"):
            Synthesize(text=text)


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "a\x00bird", "x" * (MAX_TEXT + 1), "bell\x07"])
def test_unusable_texts(text: str) -> None:
    with pytest.raises(ValidationError):
        Synthesize(text=text)


@pytest.mark.parametrize(
    "values",
    [
        {"seed": -1},
        {"seed": 2**32},
        {"count": 0},
        {"count": 17},
        {"format": "gif"},
        {"size": 100},
        {"size": 512},
        {"size": "large"},
        {"colour": "red"},
        {"noise_scale": -0.1},
        {"noise_scale": 2.1},
        {"noise_scale": float("nan")},
        {"candidates": 0},
        {"candidates": 17},
    ],
)
def test_out_of_range(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Synthesize.model_validate({"text": "a bird", **values})


@pytest.mark.parametrize("task", TASKS.values())
def test_sizes_are_numbers_or_of_a_form_their_text(task: type[TaskRequest]) -> None:
    assert task.model_validate({"text": "a bird", "size": "128"}).size == 128
    assert task.model_validate({"text": "a bird", "size": 64}, strict=True).size == 64
    assert task.model_validate({"text": "a bird"}).size is None
    result = task.model_json_schema()["properties"]["size"]["anyOf"]
    assert result == [{"type": "integer", "enum": [64, 128, 256]}, {"type": "null"}]


def test_three_tasks() -> None:
    assert list(TASKS)[:3] == ["synthesize", "manipulate", "inpaint"]


def test_candidates_are_drawn_and_not_returned() -> None:
    request = Synthesize(text="a bird", count=16, candidates=16)
    assert (request.drawn_count, request.returned_count) == (256, 16)
    assert Synthesize(text="a bird", count=3).drawn_count == 3


def test_fidelity_is_of_tasks_on_photos() -> None:
    for task in (Manipulate, Inpaint):
        assert task(text="a bird").fidelity is None
        assert task(text="a bird").with_bundle_defaults({"fidelity": "photo"}).fidelity == "photo"
        given = task(text="a bird", fidelity="network")
        assert given.with_bundle_defaults({"fidelity": "photo"}).fidelity == "network"
        with pytest.raises(ValidationError, match="fidelity"):
            task(text="a bird", fidelity="high")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="fidelity"):
        Synthesize(text="a bird", fidelity="photo")  # type: ignore[call-arg]


def test_a_bundle_decides_what_is_left_open() -> None:
    bundle = {"noise_scale": 0.5, "candidates": 4}
    left = Synthesize(text="a bird").with_bundle_defaults(bundle)
    assert (left.noise_scale, left.candidates) == (0.5, 4)
    given = Synthesize(text="a bird", noise_scale=0, candidates=1).with_bundle_defaults(bundle)
    assert (given.noise_scale, given.candidates) == (0, 1)
    morph = Synthesize(text=["a bird", "a crown"], frames=8).with_bundle_defaults(bundle)
    assert (morph.noise_scale, morph.candidates) == (0.5, 1)


def test_tasks_on_photos_have_no_candidates() -> None:
    for task in (Manipulate, Inpaint):
        with pytest.raises(ValidationError):
            task.model_validate({"text": "a bird", "candidates": 2})
        left = task(text="a bird").with_bundle_defaults({"candidates": 4, "fidelity": None})
        assert left == task(text="a bird")


def test_seeds_of_one_job_wrap_around() -> None:
    assert [image_seed(2**32 - 1, n) for n in range(3)] == [2**32 - 1, 0, 1]


def test_ids_sort_by_time_and_differ() -> None:
    ids = [new_id() for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(len(i) == 32 for i in ids)
    assert [i[:12] for i in ids] == sorted(i[:12] for i in ids)
