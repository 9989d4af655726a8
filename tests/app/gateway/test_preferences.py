"""Headers in the forms that their specifications allow."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from app.gateway.image_responses import (
    accepted_types,
    has_current,
    preferred_image_format,
    wait_seconds,
)


def request(*headers: tuple[str, str]) -> Request:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return Request({"type": "http", "headers": raw, "query_string": b""})


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (["wait=30"], 30),
        (['wait="7.5"'], 7.5),
        (["respond-async", "wait=3"], 3),
        (["return=representation, WAIT = 4; x=y"], 4),
        (["respond-async;wait=5"], 5),
        (["wait=9000"], 60),
        (['wait="30'], None),
        (["wait=-1"], None),
        (["wait=1e3"], None),
        (["await=3", "x-wait=3"], None),
    ],
)
def test_prefer_wait(lines: list[str], seconds: float | None) -> None:
    assert wait_seconds(request(*[("prefer", line) for line in lines]), 60) == seconds


@pytest.mark.parametrize(
    ("lines", "current"),
    [
        (['"a"'], True),
        (['W/"a"'], True),
        (['"b", "a"'], True),
        (['"b"', 'W/"c", "a"'], True),
        (["*"], True),
        (['"aa"', "a"], False),
        (['"b"'], False),
        ([], False),
    ],
)
@pytest.mark.parametrize("tag", ['"a"', 'W/"a"'])
def test_if_none_match(lines: list[str], current: bool, tag: str) -> None:
    assert has_current(request(*[("if-none-match", line) for line in lines]), tag) is current


def test_accept_in_several_lines() -> None:
    given = request(("accept", "text/html;q=0.2"), ("accept", "image/webp, */*;q=0.1"))
    assert accepted_types(given) == ["image/webp", "text/html", "*/*"]


@pytest.mark.parametrize("name", ["image/jpg", "IMAGE/JPG; q=0.9", "image/pjpeg", "image/jpeg"])
def test_jpeg_under_its_other_names(name: str) -> None:
    assert preferred_image_format(request(("accept", name))) == "jpeg"
