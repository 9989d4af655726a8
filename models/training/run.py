"""A run directory: options, statistics, grids, the snapshot to resume from, one bundle."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import metadata
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.files import json_lines, torch_reason, what_it_is, write_whole
from models.training.config import ConfigError, changed_options, with_new_names

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

# What may change when a run is resumed: limits, how the same numbers are computed and reported, and
# learning rates, for a run whose losses are no longer finite.
_CHANGEABLE = {
    f"loop.{name}"
    for name in (
        *("minutes", "steps", "threads", "workers", "log_every", "preview_every", "snapshot_every"),
        *("accumulate", "devices", "nodes", "precision", "channels_last"),
    )
} | {"stage", *(f"options.{name}" for name in ("rate", "rate_g", "rate_d", "rate_classifier"))}


class Run:
    """Everything that one training leaves behind, under ``folder``."""

    def __init__(self, folder: Path) -> None:
        """Raises ConfigError when ``folder`` can't be written into."""
        self.folder = folder
        self.samples = folder / "samples"
        self.bundle = folder / "bundle"
        self._logged = 0  # the last step that stands in the statistics
        try:
            self.samples.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{folder} can't hold a run ({error}); choose another --out."
            ) from error

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """The folder is this process's while entered; a lock ends with its process, however that
        ends. Raises ConfigError when another one trains in it, or when nothing can be written.
        """
        path = self.folder / "lock"
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(path.open("a"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(
                    f"Another process trains in {self.folder}; wait for it, or choose another "
                    "--out."
                ) from error
            except OSError as error:
                raise ConfigError(
                    f"{path} can't be written ({error}); choose another --out."
                ) from error
            yield

    def check_options(self, options: Mapping[str, Any]) -> list[str]:
        """The learning rates that differ from those of the run to resume, as dotted names. Raises
        ConfigError when others than may change differ; those not given yet are not compared.
        """
        if not (self.folder / "snapshot.pt").exists():
            return []
        before = self.options()
        if "options" in before:
            before["options"] = with_new_names(before["options"])
        given = json.loads(json.dumps(options))
        known = {key: before[key] for key in given if key in before and key != "version"}
        different = changed_options(known, {k: v for k, v in given.items() if k != "version"})
        if before and (other := [name for name in different if name not in _CHANGEABLE]):
            raise ConfigError(
                f"{self.folder} holds a run with other options ({', '.join(other)}); resume it "
                "with the options in its options.json, or choose another --out."
            )
        return [name for name in different if name.startswith("options.")]

    def write_options(self, options: Mapping[str, Any]) -> None:
        """Record the resolved options, as :meth:`check_options` allows."""
        if rates := self.check_options(options):
            sys.stderr.write(f"resumes with another {', '.join(rates)}\n")
        write_whole(self.folder / "options.json", json.dumps(options, indent=2) + "\n")

    def options(self) -> dict[str, Any]:
        """What ``options.json`` records, empty before."""
        path = self.folder / "options.json"
        if not path.exists():
            return {}
        try:
            found: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(
                f"{path} is damaged ({error}). Delete it to resume this run without comparing its "
                "options, or choose another --out."
            ) from error
        return found

    @cached_property
    def _board(self) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder / "tensorboard"), purge_step=self._logged + 1)

    def continue_logs(self, step: int) -> None:
        """Forget what was logged after ``step``, where the run goes on: lines of steps that are
        done again, and one that a kill tore.
        """
        self._logged = step
        path = self.folder / "stats.jsonl"
        if path.is_file():  # a device can be read for ever
            kept = [json.dumps(line) for line in json_lines(path, "step") if line["step"] <= step]
            write_whole(path, "".join(line + "\n" for line in kept))

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

    def save_snapshot(self, state: dict[str, Any]) -> None:
        """Replace the snapshot; a crash in between leaves the old one."""
        part = self.folder / f"snapshot.{os.getpid()}.part"
        try:
            with part.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())  # or a power cut leaves a snapshot of zeros
            part.replace(self.folder / "snapshot.pt")
        finally:
            part.unlink(missing_ok=True)

    def load_snapshot(self) -> dict[str, Any] | None:
        """Raises ConfigError when it is damaged."""
        path = self.folder / "snapshot.pt"
        if not path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, ValueError, KeyError, UnpicklingError) as error:
            message = what_it_is(path) or f"can't be read ({torch_reason(error)})"
            raise ConfigError(
                f"{path} {message}. Restore it from a copy, or delete it to train from the start."
            ) from error
        return state

    def clear_bundle(self) -> None:
        """Forget an earlier bundle of this run: a run ends with exactly one."""
        shutil.rmtree(self.bundle, ignore_errors=True)


def grid(pictures: Tensor, columns: int) -> Image.Image:
    """Pictures [N,3,H,W] in [-1,1] side by side."""
    from torchvision.utils import make_grid

    shown = (pictures.detach().float().cpu().clamp(-1, 1) + 1) * 127.5
    sheet = make_grid(shown, columns, padding=0, pad_value=255)
    return Image.fromarray(sheet.round().byte().permute(1, 2, 0).numpy())


def all_finite(state: Any) -> bool:
    """Whether all floats of a nested state are."""
    if isinstance(state, Mapping):
        return all(map(all_finite, state.values()))
    if isinstance(state, list | tuple):
        return all(map(all_finite, state))
    if isinstance(state, Tensor) and state.is_floating_point():
        return bool(state.isfinite().all())
    return not isinstance(state, float) or math.isfinite(state)


def code_version() -> dict[str, str]:
    """``{"mmml": …, "torch": …, "commit": …, "source": …}``: the commit ends in ``+`` where files
    differ; source is the folder that the running code was imported from.
    """
    found = {name: package_version(name) for name in ("mmml", "torch")}
    return {**found, "commit": commit(), "source": str(Path(__file__).resolve().parents[2])}


def package_version(package: str) -> str:
    """Of an installed package, or "unknown"."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def commit() -> str:
    """Of the running code; it ends in ``+`` where files differ."""
    folder = Path(__file__).parent
    git = ["git", "-C", str(folder), "describe", "--always", "--abbrev=12", "--dirty=+"]
    try:
        done = subprocess.run(git, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"
