"""What the terminal can show, and showing images there."""

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

from mmml.cli import terminal_graphics

MAX_ROWS = 20  # an image leaves room for the command
VARIABLE = "MMML_PICTURES"  # overrides detection
_ANSWER_TIMEOUT = 0.3  # seconds
_SIXEL = re.compile(rb"\x1b\[\?[\d;]*;4[;c]")

Renderer = Callable[[Image.Image, tuple[int, int]], str]
RENDERERS: dict[str, Renderer] = {
    "kitty": terminal_graphics.kitty,
    "iterm2": terminal_graphics.iterm2,
    "sixel": terminal_graphics.sixel,
    "blocks": terminal_graphics.blocks,
}


def show_images(images: Sequence[Image.Image], requested: bool | None) -> None:
    """Show images on stdout, side by side, where it is a terminal or ``requested``."""
    kind = protocol(os.environ, sys.stdout.isatty(), requested)
    if kind is None or not images:
        return
    row = terminal_graphics.side_by_side([image.convert("RGB") for image in images])
    columns, rows = shutil.get_terminal_size()
    size = terminal_graphics.cells(row, columns, max(min(MAX_ROWS, rows - 4), 1))
    click.echo(RENDERERS[kind](row, size), nl=False, color=True)


def protocol(
    environment: Mapping[str, str],
    terminal: bool,
    requested: bool | None = None,
    query: Callable[[], bytes] | None = None,
) -> str | None:
    """Name of the renderer to use; None to show nothing. ``query`` asks the terminal itself."""
    forced = environment.get(VARIABLE, "")
    if requested is False or forced == "none" or not (requested or terminal):
        return None
    if forced in RENDERERS:
        return forced
    dumb = environment.get("TERM", "") in ("", "dumb") or "NO_COLOR" in environment
    if dumb and not requested:
        return None
    known = _known_terminal(environment)
    if known and "TMUX" not in environment:
        return known
    return "sixel" if terminal and _SIXEL.search((query or device_attributes)()) else "blocks"


def _known_terminal(environment: Mapping[str, str]) -> str | None:
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
    answer, deadline = b"", time.monotonic() + _ANSWER_TIMEOUT
    while not answer.endswith(b"c"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            break
        answer += os.read(descriptor, 64)
    return answer
