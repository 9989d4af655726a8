"""What the terminal can show, and pictures shown there."""

from __future__ import annotations

import os
import re
import select
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import click
from PIL import Image

from app.cli import drawing

MOST_ROWS = 20  # a picture leaves room for what was asked
VARIABLE = "MMML_PICTURES"  # overrules what is found out
_ANSWER_WITHIN = 0.3  # seconds
_SIXEL = re.compile(rb"\x1b\[\?[\d;]*;4[;c]")

Drawing = Callable[[Image.Image, tuple[int, int]], str]
DRAWINGS: dict[str, Drawing] = {
    "kitty": drawing.kitty,
    "iterm2": drawing.iterm2,
    "sixel": drawing.sixel,
    "blocks": drawing.blocks,
}


def show(pictures: Sequence[Image.Image], asked: bool | None) -> None:
    """Pictures on stdout: side by side, where it is a terminal or they are ``asked`` for."""
    kind = protocol(os.environ, sys.stdout.isatty(), asked)
    if kind is None or not pictures:
        return
    row = drawing.side_by_side([picture.convert("RGB") for picture in pictures])
    columns, rows = shutil.get_terminal_size()
    size = drawing.cells(row, columns, max(min(MOST_ROWS, rows - 4), 1))
    click.echo(DRAWINGS[kind](row, size), nl=False, color=True)


def protocol(
    environment: Mapping[str, str],
    terminal: bool,
    asked: bool | None = None,
    query: Callable[[], bytes] | None = None,
) -> str | None:
    """Name of the drawing to use; None to show nothing. ``query`` asks the terminal itself."""
    forced = environment.get(VARIABLE, "")
    if asked is False or forced == "none" or not (asked or terminal):
        return None
    if forced in DRAWINGS:
        return forced
    dumb = environment.get("TERM", "") in ("", "dumb") or "NO_COLOR" in environment
    if dumb and not asked:
        return None
    named = _by_name(environment)
    if named and "TMUX" not in environment:
        return named
    return "sixel" if terminal and _SIXEL.search((query or device_attributes)()) else "blocks"


def _by_name(environment: Mapping[str, str]) -> str | None:
    program = environment.get("TERM_PROGRAM", "")
    if "KITTY_WINDOW_ID" in environment or program == "ghostty":
        return "kitty"
    if program in ("iTerm.app", "WezTerm", "mintty"):
        return "iterm2"
    return "iterm2" if environment.get("LC_TERMINAL") == "iTerm2" else None


def device_attributes() -> bytes:
    """The terminal's answer to "what are you" (DA1); empty when it stays silent."""
    if sys.platform == "win32":
        return b""
    import termios
    import tty

    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return b""
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        os.write(descriptor, b"\033[c")
        return _read_answer(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
        os.close(descriptor)


def _read_answer(descriptor: int) -> bytes:
    answer, deadline = b"", time.monotonic() + _ANSWER_WITHIN
    while not answer.endswith(b"c"):
        patience = deadline - time.monotonic()
        if patience <= 0 or not select.select([descriptor], [], [], patience)[0]:
            break
        answer += os.read(descriptor, 64)
    return answer
