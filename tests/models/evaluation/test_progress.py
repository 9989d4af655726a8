"""What who waits for an evaluation reads."""

from __future__ import annotations

import time

import pytest

from models.evaluation.progress import track


def test_lines_say_how_far_a_step_is(capsys: pytest.CaptureFixture[str]) -> None:
    for start in track(range(0, 10, 4), "inpaint: by telea", 10, every=0):
        assert start in (0, 4, 8)
        time.sleep(0.02)
    assert capsys.readouterr().err.splitlines() == [
        "inpaint: by telea: 3 of 10, 0 s left",
        "inpaint: by telea: 6 of 10, 0 s left",
    ]


def test_what_is_soon_over_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track("abc", "drawn")) == ["a", "b", "c"]
    assert list(track("", "drawn", every=0)) == []
    assert capsys.readouterr().err == ""
