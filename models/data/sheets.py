"""Sheets of pictures that a bundle made: 8 rows of 8 squares, row by row, without gaps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.errors import ModelsError

SIDE = 8  # pictures along a side of a sheet


def list_sheets(folder: Path) -> list[Path]:
    """The sheets NAME.webp of a folder, by name. Raises ModelsError where there are none."""
    sheets = sorted(folder.glob("*.webp"))
    if not sheets:
        raise ModelsError(f"{folder} has no sheets (NAME.webp) to learn from.")
    return sheets


def read_sheets(folder: Path) -> Tensor:
    """Pictures float32 [N,3,S,S] in [-1,1] of all sheets of a folder. Raises ModelsError."""
    pictures = [_cut(sheet) for sheet in list_sheets(folder)]
    if len({x.shape[-1] for x in pictures}) > 1:
        raise ModelsError(f"The sheets in {folder} hold pictures of several sizes; keep one.")
    return torch.cat(pictures)


def _cut(sheet: Path) -> Tensor:
    """The 64 pictures of a sheet, row by row."""
    with Image.open(sheet) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    side = pixels.shape[0] // SIDE
    if not side or pixels.shape != (side * SIDE, side * SIDE, 3):
        raise ModelsError(f"{sheet} is not {SIDE} rows of {SIDE} square pictures.")
    cells = torch.from_numpy(pixels.copy()).view(SIDE, side, SIDE, side, 3)
    return cells.permute(0, 2, 4, 1, 3).flatten(0, 1).float() / 255 * 2 - 1
