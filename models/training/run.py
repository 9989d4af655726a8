"""A run directory: options, statistics, sample grids, the snapshot to resume from, and at the end
one bundle.
"""

from __future__ import annotations

import json
import os
import shutil
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.training.config import ConfigError, changed
from models.training.curves import draw

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

# What may change when a run is resumed: limits, and how the same numbers are computed and reported.
_FREE = {
    f"loop.{name}"
    for name in (
        *("minutes", "steps", "threads", "log_every", "preview_every", "snapshot_every"),
        *("accumulate", "devices", "nodes", "precision", "channels_last"),
    )
}


class Run:
    """Everything that one training leaves behind, under ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.samples = folder / "samples"
        self.bundle = folder / "bundle"
        self.samples.mkdir(parents=True, exist_ok=True)

    def write_options(self, options: dict[str, Any]) -> None:
        """Record the resolved options. Raises ConfigError when the folder holds another run."""
        path = self.folder / "options.json"
        options = json.loads(json.dumps(options))
        if path.exists() and (self.folder / "snapshot.pt").exists():
            before = json.loads(path.read_text(encoding="utf-8"))
            before["version"] = options["version"]  # newer code may resume
            other = [name for name in changed(before, options) if name not in _FREE]
            if other:
                raise ConfigError(
                    f"{self.folder} holds a run with other options ({', '.join(other)}); resume it "
                    "with the options in its options.json, or choose another --out."
                )
        path.write_text(json.dumps(options, indent=2) + "\n", encoding="utf-8")

    @cached_property
    def _board(self) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder / "tensorboard"))

    def log(self, step: int, values: dict[str, float]) -> None:
        """Append one line to ``stats.jsonl`` and the same to TensorBoard."""
        with (self.folder / "stats.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def save_grid(self, step: int, pictures: Tensor, columns: int = 8) -> None:
        """Pictures [N,3,H,W] in [-1,1] as ``samples/STEP.png``."""
        sheet = grid(pictures, columns)
        sheet.save(self.samples / f"{step:07d}.png")
        self._board.add_image("samples", np.asarray(sheet), step, dataformats="HWC")

    def draw_curves(self) -> None:
        """``losses.png``: every logged value over the steps."""
        stats = self.folder / "stats.jsonl"
        if stats.exists():
            draw(stats, self.folder / "losses.png", self.folder.name)

    def save_snapshot(self, state: dict[str, Any]) -> None:
        """Replace the snapshot; a crash in between leaves the old one."""
        part = self.folder / f"snapshot.{os.getpid()}.part"
        try:
            torch.save(state, part)
            part.replace(self.folder / "snapshot.pt")
        finally:
            part.unlink(missing_ok=True)

    def load_snapshot(self) -> dict[str, Any] | None:
        path = self.folder / "snapshot.pt"
        if not path.exists():
            return None
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state

    def clear_bundle(self) -> None:
        """Forget an earlier bundle of this run: a run ends with exactly one."""
        shutil.rmtree(self.bundle, ignore_errors=True)


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
