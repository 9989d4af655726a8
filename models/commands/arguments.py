"""What arguments of several commands have to be, checked before any work is done."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable
from pathlib import Path

Wrong = argparse.ArgumentTypeError
_PICTURES = (".png", ".webp", ".jpg", ".jpeg")
_LARGEST = 2**63 - 1  # torch takes no larger numbers
_DEVICE = re.compile(r"(cpu|auto|mps|cuda)(?::(\d+))?")


def whole(least: int, most: int = _LARGEST) -> Callable[[str], int]:
    """A whole number from ``least`` to ``most``."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            end = f"to {most}" if most < _LARGEST or value > most else "up"
            raise Wrong(f"must be a whole number from {least} {end}, not {text}")
        return value

    return parse


def number(
    above: float = -math.inf, least: float = -math.inf, most: float = math.inf
) -> Callable[[str], float]:
    """A finite number above one bound, not below another, and not above the last."""
    end = f"to {most:g}" if most < math.inf else "up"
    message = f" above {above:g}" if above > -math.inf else f" from {least:g} {end}"

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value > above and least <= value <= most):
            raise Wrong(
                f"must be a number{message if max(above, least) > -math.inf else ''}, not {text}"
            )
        return value

    return parse


def new_folder(text: str) -> Path:
    """A folder to write into; it need not exist yet."""
    _check_name(text)
    _check_place(Path(text))
    return Path(text)


def new_file(text: str) -> Path:
    """A file to write, in a folder that need not exist yet."""
    path = Path(text)
    if path.is_dir():
        raise Wrong(f"{path} is a folder; give the name of a file")
    _check_name(text)
    _check_place(path.parent)
    return path


def new_picture(text: str) -> Path:
    """A picture to write."""
    path = new_file(text)
    if path.suffix not in _PICTURES:
        raise Wrong(f"the name ends in one of {', '.join(_PICTURES)}, unlike {path.name!r}")
    return path


def _check_name(text: str) -> None:
    """Bundles and reports hold the names of their folders."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Wrong(f"{text} is no name in UTF-8; choose another")


def _check_place(folder: Path) -> None:
    place = folder.absolute()
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise Wrong(f"{place} is no folder, so nothing can be written to {folder}; choose another")
    if not os.access(place, os.W_OK | os.X_OK):
        raise Wrong(f"nothing can be written to {place}; choose another")


def device(text: str) -> str:
    """``auto``, ``cpu``, or an accelerator that this machine has."""
    match = _DEVICE.fullmatch(text)
    if not match:
        raise Wrong(f"there is no device {text!r}; say cpu, cuda, cuda:1, mps or auto")
    kind, index = match[1], int(match[2] or 0)
    if kind in ("cpu", "auto"):
        return kind
    count = _accelerators(kind)
    if index >= count:
        have = f"{count} of that kind" if count else "none that torch can use"
        raise Wrong(f"there is no device {text}: this machine has {have}; say cpu or auto")
    return text


def _accelerators(kind: str) -> int:
    import torch  # takes seconds, and only those who name a GPU need it

    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return torch.cuda.device_count() if torch.cuda.is_available() else 0
