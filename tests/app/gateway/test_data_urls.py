"""Base64 and data URLs as clients write them."""

from __future__ import annotations

import base64
import textwrap
import tracemalloc
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateway.uploads import decode_text, forgiving_base64

DATA = bytes(range(256)) + b"\xfb\xff\xfe"
PLAIN = base64.b64encode(DATA).decode()
SAFE = base64.urlsafe_b64encode(DATA).decode()


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        SAFE,
        SAFE.rstrip("="),
        "\n".join(textwrap.wrap(PLAIN, 64)) + "\n",
        "\r\n".join(textwrap.wrap(SAFE, 76)),
        f"\t {PLAIN[:9]} {PLAIN[9:]}",
        f"data:;base64,{PLAIN}",
        f"data:image/png;charset=utf-8;base64,{PLAIN}",
        f"data:image/png;name=a.png;BASE64,{SAFE}",
        f"DATA:application/octet-stream; base64 ,{PLAIN}",
        f"data:image/png;base64,{quote(PLAIN)}",
        "data:image/png," + quote(DATA),
    ],
)
def test_what_the_world_calls_base64(text: str) -> None:
    assert decode_text(text) == DATA


@pytest.mark.parametrize(
    "text", ["iVBOR", "ab=cd", "a b*c", "äöüß", "\ud800", "data:x;base64,!", "data"[:1]]
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (its subclasses are what is meant)
        decode_text(text)


@given(
    data=st.binary(max_size=60), spaces=st.lists(st.integers(0, 80), max_size=5), cut=st.booleans()
)
def test_spaces_and_padding_do_not_matter(data: bytes, spaces: list[int], cut: bool) -> None:
    text = base64.b64encode(data).decode()
    for place in spaces:
        text = text[:place] + "\n" + text[place:]
    assert forgiving_base64(text.replace("=", "") if cut else text) == data


def test_large_percent_encoding_takes_little_memory() -> None:
    """And no escape is cut in two, wherever it stands."""
    for lead in range(3):
        text = "data:," + "a" * lead + "%42" * 700_000 + "%4"
        tracemalloc.start()
        found = decode_text(text)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found == b"a" * lead + b"B" * 700_000 + b"%4"
        assert most < 6 * len(text)
