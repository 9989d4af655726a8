"""The pipelines that every server of a comparison serves."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import official
from models.bundle import MANIFEST
from models.detail.stage import PART as DETAIL
from models.pipeline import Item, Pipeline
from models.registry import load
from models.runtime.autotune import Memory, tune
from tests.chaos.stack import write_bundle
from tests.squares import FakePipeline
from workers.settings import WorkerSettings

TASK = "synthesize"
SHIPPED = Path(__file__).resolve().parents[2] / "weights"


@dataclass(frozen=True)
class Subject:
    """One pipeline under comparison. bundle: which one serves it; batch: pictures that every
    server may give it at once; sleeps: seconds of a batch and of each picture in it, instead of
    networks; clients of a closed loop, and how long it is measured.
    """

    name: str
    title: str
    bundle: str
    batch: int
    sleeps: tuple[float, float] | None = None
    clients: int = 32
    seconds: float = 4.0

    def pipeline(self, weights: Path) -> Pipeline[Any]:
        """Loaded and warm, in the precision that the service's worker has, too."""
        if self.sleeps:
            return sleeping(*self.sleeps)
        settings = WorkerSettings()
        memory = Memory(settings.cache_dir / "tunings.json")
        loading = partial(load, weights / self.bundle, TASK, None, "cpu")
        return tune(loading, settings.precision, self.batch, memory)


SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject("sleep10", "sleeps 10 ms a picture", "null", 8, (0.0, 0.010)),
        Subject("sleep20", "sleeps 20 ms a picture", "null", 8, (0.0, 0.020)),
        Subject("sleep80", "sleeps 80 ms a picture", "null", 8, (0.0, 0.080)),
        Subject("sleep640", "sleeps 640 ms a picture", "null", 8, (0.0, 0.640)),
        Subject("hard", "sleeps 8 ms + 0.5 ms a picture", "null", 16, (0.008, 0.0005)),
        Subject("demo", "demo bundle, 64 px", "aviary", 8),
        Subject("net256", "published network, 256 px", "random256", 4, clients=16, seconds=10.0),
    )
}


def sleeping(batch: float, picture: float) -> FakePipeline:
    """A pipeline without networks that takes ``batch`` seconds, and ``picture`` more for each."""

    def sleep(items: Sequence[Item]) -> None:
        time.sleep(batch + picture * len(items))

    return FakePipeline(on_forward=sleep)


def write_weights(folder: Path, subject: Subject) -> Path:
    """A weights folder that holds the subject's bundle alone."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / subject.bundle
    if subject.sleeps:
        write_bundle(target)
    elif (SHIPPED / subject.bundle).is_dir():
        _link_networks(SHIPPED / subject.bundle, target)
    else:
        official.bundle(target, TASK)
    return folder


def _link_networks(bundle: Path, target: Path) -> None:
    """The bundle without its detail stage: networks are compared at their own size."""
    target.mkdir()
    for path in bundle.iterdir():
        (target / path.name).symlink_to(path)
    raw = json.loads((bundle / MANIFEST).read_text())
    raw["tasks"].pop(DETAIL, None)
    (target / MANIFEST).unlink()
    (target / MANIFEST).write_text(json.dumps(raw))
