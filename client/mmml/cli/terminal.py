"""What the terminal can show, and showing images there: by the protocols of kitty, iTerm2 and DEC
(sixel), and as half blocks in 24-bit colours on all others.

Sizes are in character cells, taken to be twice as high as wide.
"""

from __future__ import annotations

import base64
import io
import os
import re
import select
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

import click
from PIL import Image

CELL = 10, 20  # pixels of a cell, for sixel, whose pictures have a size of their own
_CHUNK = 4096  # kitty takes no more at a time


def side_by_side(pictures: Sequence[Image.Image], gap: int = 4) -> Image.Image:
    """Pictures of any sizes in a row, as high as the first."""
    height = pictures[0].height
    scaled = [p.resize((max(p.width * height // p.height, 1), height)) for p in pictures]
    row = Image.new("RGB", (sum(p.width + gap for p in scaled) - gap, height))
    x = 0
    for picture in scaled:
        row.paste(picture, (x, 0))
        x += picture.width + gap
    return row


def cells(picture: Image.Image, columns: int, rows: int) -> tuple[int, int]:
    """(columns, rows) that the picture takes within ``columns`` by ``rows``, in its proportions."""
    scale = min(columns / picture.width, 2 * rows / picture.height)
    return max(round(picture.width * scale), 1), max(round(picture.height * scale / 2), 1)


def kitty(picture: Image.Image, size: tuple[int, int]) -> str:
    """Kitty's graphics protocol: a PNG in base64, in chunks, no answer wanted (q=2)."""
    data = base64.b64encode(_png(picture)).decode()
    parts = [data[k : k + _CHUNK] for k in range(0, len(data), _CHUNK)]
    chunks = []
    for number, part in enumerate(parts):
        first = f"a=T,f=100,q=2,c={size[0]},r={size[1]}," if number == 0 else ""
        chunks.append(f"\033_G{first}m={int(number < len(parts) - 1)};{part}\033\\")
    return "".join(chunks) + "\n"


def iterm2(picture: Image.Image, size: tuple[int, int]) -> str:
    """iTerm2's inline images, which WezTerm and mintty know too."""
    data = base64.b64encode(_png(picture)).decode()
    return f"\033]1337;File=inline=1;width={size[0]};height={size[1]}:{data}\a\n"


def sixel(picture: Image.Image, size: tuple[int, int]) -> str:
    """DEC's sixels: bands of six rows, one run-length coded line per colour of a band."""
    picture = picture.convert("RGB").resize((size[0] * CELL[0], size[1] * CELL[1]))
    indexed = picture.quantize(255)
    palette = (indexed.getpalette() or [])[: 3 * 255]
    colours = "".join(
        f"#{k};2;" + ";".join(str(round(v * 100 / 255)) for v in palette[3 * k : 3 * k + 3])
        for k in range(len(palette) // 3)
    )
    raster = f'"1;1;{indexed.width};{indexed.height}'
    return f"\033Pq{raster}{colours}{'-'.join(_bands(indexed))}\033\\\n"


def blocks(picture: Image.Image, size: tuple[int, int]) -> str:
    """Upper half blocks: the foreground is the upper pixel of a cell, the background the lower."""
    small = picture.convert("RGB").resize((size[0], 2 * size[1]), Image.Resampling.LANCZOS)
    data = small.tobytes()
    rows = [data[k : k + 3 * size[0]] for k in range(0, len(data), 3 * size[0])]
    lines = []
    for top, bottom in zip(rows[::2], rows[1::2], strict=True):
        pairs = ((top[k : k + 3], bottom[k : k + 3]) for k in range(0, len(top), 3))
        lines.append("".join(_half_block(*pair) for pair in pairs))
    return "\033[0m\n".join(lines) + "\033[0m\n"


def _half_block(top: bytes, bottom: bytes) -> str:
    above, below = ";".join(map(str, top)), ";".join(map(str, bottom))
    return f"\033[38;2;{above};48;2;{below}m▀"


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def _bands(indexed: Image.Image) -> Iterator[str]:
    data, width = indexed.tobytes(), indexed.width
    rows = [data[k : k + width] for k in range(0, len(data), width)]
    for top in range(0, len(rows), 6):
        band = rows[top : top + 6]
        used = sorted(set().union(*band))
        yield "$".join(f"#{colour}{_runs(_sixels(band, colour))}" for colour in used)


def _sixels(band: Sequence[bytes], colour: int) -> str:
    """One character per column: which of its six pixels have the colour."""
    columns = zip(*band, strict=True)
    return "".join(
        chr(63 + sum((pixel == colour) << bit for bit, pixel in enumerate(column)))
        for column in columns
    )


def _runs(text: str) -> str:
    runs = ((character, len(list(same))) for character, same in groupby(text))
    return "".join(f"!{n}{character}" if n > 3 else character * n for character, n in runs)


MAX_ROWS = 20  # an image leaves room for the command
VARIABLE = "MMML_PICTURES"  # overrides detection
_ANSWER_TIMEOUT = 0.3  # seconds
_SIXEL = re.compile(rb"\x1b\[\?[\d;]*;4[;c]")

Renderer = Callable[[Image.Image, tuple[int, int]], str]
RENDERERS: dict[str, Renderer] = {
    "kitty": kitty,
    "iterm2": iterm2,
    "sixel": sixel,
    "blocks": blocks,
}


def show_images(images: Sequence[Image.Image], requested: bool | None) -> None:
    """Show images on stdout, side by side, where it is a terminal or ``requested``."""
    kind = protocol(os.environ, sys.stdout.isatty(), requested)
    if kind is None or not images:
        return
    row = side_by_side([image.convert("RGB") for image in images])
    columns, rows = shutil.get_terminal_size()
    size = cells(row, columns, max(min(MAX_ROWS, rows - 4), 1))
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
