"""A run directory: options, statistics, sample grids, the snapshot to resume from, and at the end
one bundle.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor


class Run:
    """Everything that one training leaves behind, under ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.samples = folder / "samples"
        self.bundle = folder / "bundle"
        self.samples.mkdir(parents=True, exist_ok=True)

    def write_options(self, options: dict[str, Any]) -> None:
        (self.folder / "options.json").write_text(json.dumps(options, indent=2) + "\n")

    def log(self, values: dict[str, float]) -> None:
        """Append one line to ``stats.jsonl``."""
        with (self.folder / "stats.jsonl").open("a") as lines:
            lines.write(json.dumps(values) + "\n")

    def save_grid(self, step: int, pictures: Tensor, columns: int = 8) -> None:
        """Pictures [N,3,H,W] in [-1,1] as ``samples/STEP.png``."""
        grid(pictures, columns).save(self.samples / f"{step:07d}.png")

    def save_snapshot(self, state: dict[str, Any]) -> None:
        """Replace the snapshot; a crash in between leaves the old one."""
        part = self.folder / f"snapshot.{os.getpid()}.part"
        torch.save(state, part)
        part.replace(self.folder / "snapshot.pt")

    def load_snapshot(self) -> dict[str, Any] | None:
        path = self.folder / "snapshot.pt"
        if not path.exists():
            return None
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state


def grid(pictures: Tensor, columns: int) -> Image.Image:
    """Pictures [N,3,H,W] in [-1,1] side by side."""
    pixels = ((pictures.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().byte()
    tiles = pixels.permute(0, 2, 3, 1).numpy()
    n, h, w, _ = tiles.shape
    rows = -(-n // columns)
    sheet = np.full((rows * h, columns * w, 3), 255, np.uint8)
    for k, tile in enumerate(tiles):
        y, x = k // columns * h, k % columns * w
        sheet[y : y + h, x : x + w] = tile
    return Image.fromarray(sheet)
