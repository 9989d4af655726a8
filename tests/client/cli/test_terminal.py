"""Pictures as text that terminals show."""

from __future__ import annotations

import base64
import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import pytest
from PIL import Image

from mmml.cli import terminal as graphics
from mmml.cli.terminal import protocol

PICTURE = Image.fromarray(np.arange(48 * 32 * 3, dtype=np.uint32).reshape(32, 48, 3).astype("u1"))
XTERM = {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("environment", "terminal", "asked", "answer", "kind"),
    [
        (XTERM, True, None, b"\033[?62;22c", "blocks"),
        (XTERM, True, None, b"\033[?62;4;22c", "sixel"),
        (XTERM, True, None, b"\033[?64;4c", "sixel"),
        (XTERM, True, None, b"\033[?64c", "blocks"),
        (XTERM, True, None, b"", "blocks"),
        (XTERM, True, False, b"", None),
        (XTERM, False, None, b"", None),
        (XTERM, False, True, b"", "blocks"),
        ({**XTERM, "NO_COLOR": "1"}, True, None, b"", None),
        ({"TERM": "dumb"}, True, None, b"", None),
        ({"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}, True, None, b"", "kitty"),
        ({**XTERM, "TERM_PROGRAM": "ghostty"}, True, None, b"", "kitty"),
        ({**XTERM, "TERM_PROGRAM": "iTerm.app"}, True, None, b"", "iterm2"),
        ({**XTERM, "TERM_PROGRAM": "iTerm.app", "TMUX": "x"}, True, None, b"", "blocks"),
        ({**XTERM, "LC_TERMINAL": "iTerm2"}, True, None, b"", "iterm2"),
        ({**XTERM, "MMML_PICTURES": "sixel"}, True, None, b"", "sixel"),
        ({**XTERM, "MMML_PICTURES": "none"}, True, None, b"", None),
    ],
)
def test_the_terminal_decides(
    environment: Mapping[str, str],
    terminal: bool,
    asked: bool | None,
    answer: bytes,
    kind: str | None,
) -> None:
    assert protocol(environment, terminal, asked, lambda: answer) == kind


def test_sizes_keep_proportions() -> None:
    assert graphics.cells(Image.new("RGB", (64, 64)), 80, 20) == (40, 20)
    assert graphics.cells(Image.new("RGB", (400, 100)), 80, 20) == (80, 10)
    assert graphics.cells(Image.new("RGB", (1, 4000)), 80, 20) == (1, 20)


def test_kitty_holds_the_picture_in_chunks() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    result = graphics.kitty(noise, (40, 20))
    chunks = re.findall(r"\033_G([^;]*);([^\033]*)\033\\", result)
    assert chunks[0][0].startswith("a=T,f=100,q=2,c=40,r=20,")
    assert [keys.rpartition("m=")[2] for keys, _ in chunks] == ["1"] * (len(chunks) - 1) + ["0"]
    assert all(len(data) <= 4096 for _, data in chunks)
    sent = Image.open(io.BytesIO(base64.b64decode("".join(data for _, data in chunks))))
    assert np.array_equal(np.asarray(sent), np.asarray(noise))


def test_iterm2_holds_the_picture() -> None:
    found = re.fullmatch(
        r"\033]1337;File=inline=1;width=40;height=20:([^\a]*)\a\n",
        graphics.iterm2(PICTURE, (40, 20)),
    )
    assert found
    sent = Image.open(io.BytesIO(base64.b64decode(found[1])))
    assert np.array_equal(np.asarray(sent), np.asarray(PICTURE))


def test_half_blocks_hold_every_pixel() -> None:
    result = graphics.blocks(PICTURE, (48, 16))
    cells = re.findall(r"38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m▀", result)
    pixels = np.asarray(cells, np.uint8).reshape(16, 48, 2, 3).transpose(0, 2, 1, 3)
    assert np.array_equal(pixels.reshape(32, 48, 3), np.asarray(PICTURE))
    assert result.count("\033[0m\n") == 16


def decoded_sixels(text: str) -> np.ndarray:
    """A sixel picture as an array of palette colours, in percent."""
    found = re.fullmatch(r'\033Pq"1;1;(\d+);(\d+)(.*)\033\\\n', text, re.DOTALL)
    assert found
    width, height = int(found[1]), int(found[2])
    pixels = np.full((height + 5, width, 3), -1)
    palette: dict[str, tuple[int, ...]] = {}
    x = y = 0
    colour = ""
    tokens = re.findall(r"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)(.)|([$-])|(.)", found[3])
    for number, red, green, blue, run, repeated, move, single in tokens:
        if red:
            palette[number] = int(red), int(green), int(blue)
        elif number:
            colour = number
        elif move:
            x, y = 0, y + 6 * (move == "-")
        else:
            bits, before = ord(repeated or single) - 63, x
            x += int(run or 1)
            pixels[[y + b for b in range(6) if bits >> b & 1], before:x] = palette[colour]
    return pixels[:height]


def test_sixels_paint_every_pixel() -> None:
    picture = Image.new("RGB", (4, 3), (255, 0, 0))
    picture.paste((0, 0, 255), (0, 0, 2, 3))
    pixels = decoded_sixels(graphics.sixel(picture, (4, 2)))
    assert pixels.shape == (40, 40, 3)
    assert (pixels[:, :5] == (0, 0, 100)).all()
    assert (pixels[:, 35:] == (100, 0, 0)).all()
    assert (pixels >= 0).all()


def test_several_pictures_stand_side_by_side() -> None:
    row = graphics.side_by_side([Image.new("RGB", (10, 20), "red"), Image.new("RGB", (40, 40))])
    assert row.size == (10 + 4 + 20, 20)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a pseudo terminal")
def test_a_terminal_is_asked_what_it_is() -> None:
    """A pseudo terminal that answers as one with sixels would."""
    ours, theirs = pty.openpty()
    code = "from mmml.cli.terminal import device_attributes; print(device_attributes())"
    process = subprocess.Popen(
        [sys.executable, "-c", f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY); {code}"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        question = b""
        while not question.endswith(b"\033[c"):
            question += os.read(ours, 64)
        os.write(ours, b"\033[?62;4c")
        result, _ = process.communicate(timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
    assert result == b"b'\\x1b[?62;4c'\n"
