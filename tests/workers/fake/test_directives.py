"""What texts may ask of a fake pipeline."""

from __future__ import annotations

import pytest

from jobs.job import ErrorCode
from models.errors import InputProblem
from models.item import Item
from workers.failures import to_failure
from workers.fake.pipeline import MAX_SECONDS, DrawingLoader, FakeDirectives


def wished(text: str, index: int = 0) -> FakeDirectives:
    return FakeDirectives.parse(Item(text, 1, index))


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_code_can_be_asked_for(code: ErrorCode) -> None:
    with pytest.raises(InputProblem) as caught:
        wished(f"a bird fail:{code}").raise_failure()
    assert to_failure(caught.value).code is code


def test_slowness_has_an_end() -> None:
    assert wished("fail:slow=2.5 a bird").seconds == 2.5
    assert wished("fail:slow").seconds == 1
    assert wished("fail:slow=9999").seconds == MAX_SECONDS
    both = wished("fail:slow=2 fail:model_error")
    assert (both.seconds, both.code) == (2, ErrorCode.model_error)


def test_every_other_picture_fails() -> None:
    assert [wished("fail:partial", n).code for n in range(3)] == [None, ErrorCode.model_error, None]


def test_what_there_is_not_is_said() -> None:
    pipeline = DrawingLoader().get("fake", "synthesize", "fake")
    with pytest.raises(InputProblem, match=r"no fail:nonsense; there are: slow=SECONDS, partial"):
        pipeline.prepare(Item("fail:nonsense", 1))


def test_other_texts_ask_for_nothing() -> None:
    assert wished("a bird that can't fail: slow=5") == FakeDirectives()
