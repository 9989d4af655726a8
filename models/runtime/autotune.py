"""What a pipeline runs fastest with on this machine: its precision and its largest useful batch.

Both are measured by a few forward passes when it is first loaded, and remembered, unless other
programs had the cores meanwhile.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray

from models.files import write_whole
from models.runtime.cpu.threads import Execute, execute_here, seconds_without_core
from models.runtime.device import finish_transfers, hardware
from models.runtime.precision import candidates

if TYPE_CHECKING:
    from models.pipeline import Pipeline

log = logging.getLogger(__name__)

AUTO = "auto"
LEAST_PSNR = 45.0  # dB against float32 or the picture made alone, for either to be left
LARGEST_STEP = 4 / 255  # between nearly all values of a picture made in a batch and alone
LEAST_SHARE = 0.999  # of its values
_GAIN = 0.95  # of the time: less than that is worth neither fewer bits nor waiting for a batch
_LONG = 0.5  # seconds of a forward pass that is not repeated
_BUDGET = 3.0  # seconds after which no larger batch is tried
_BUSY = 0.2  # of the time of all passes that threads waited for a core: 0.01 on a quiet machine
_VERSION = 9  # of what is measured: another number forgets what is remembered
_EXAMPLES = 3
_PROBES = 16  # pictures that are made alone and in batches: it may be one of them that changes

Pixels = NDArray[np.float32]
AnyPipeline: TypeAlias = "Pipeline[Any]"
Loading: TypeAlias = "Callable[[str], AnyPipeline]"
Tuned: TypeAlias = "tuple[AnyPipeline, Tuning]"  # a pipeline, and what it is fastest with
Clock = Callable[[], float]  # seconds


class Stopwatch:
    """Runs forward passes one at a time by ``execute``, so that batches of jobs get their turns
    between them. seconds: what all of them took, without the time that they waited for their turns;
    without_core: of these, by ``waiting``, the seconds that threads waited for a core.
    """

    def __init__(
        self,
        clock: Clock = time.perf_counter,
        execute: Execute = execute_here,
        waiting: Clock = seconds_without_core,
    ) -> None:
        self._clock, self.execute, self._waiting = clock, execute, waiting
        self.seconds = self.without_core = 0.0

    def forward(self, pipeline: AnyPipeline, batch: Sequence[Any]) -> tuple[Sequence[Any], float]:
        """What the pass returns, and the seconds that it took."""

        def timed() -> tuple[Sequence[Any], float]:
            waited, started = self._waiting(), self._clock()
            outputs = pipeline.forward(batch)
            seconds = self._clock() - started
            self.without_core += max(self._waiting() - waited, 0.0)
            return outputs, seconds

        finish_transfers(pipeline.device)  # of weights that this thread has loaded
        outputs, seconds = self.execute(timed)
        self.seconds += seconds
        return outputs, seconds


@dataclass(frozen=True)
class Tuning:
    """precision; psnr in dB of that precision against float32, None for float32 itself; batch: most
    pictures of a forward pass that pay; milliseconds per picture by batch size, as far as tried.
    """

    precision: str
    psnr: float | None
    batch: int
    milliseconds: dict[str, float]


class Memory:
    """Tunings in a JSON file, or with None nowhere."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def get(self, key: str) -> Tuning | None:
        try:
            return Tuning(**self._all()[key])
        except (KeyError, TypeError):
            return None

    def put(self, key: str, tuning: Tuning) -> None:
        """Keep a tuning. A folder that can't be written costs a measurement at the next start."""
        if self._path is None:
            return
        text = json.dumps({**self._all(), key: asdict(tuning)}, indent=1)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, text)
        except OSError as error:
            log.warning("%s can't be written, so speeds are not remembered: %s", self._path, error)

    def _all(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text()) if self._path else {}
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def tune(
    load: Loading,
    precision: str,
    largest: int,
    memory: Memory,
    stopwatch: Stopwatch | None = None,
) -> AnyPipeline:
    """The pipeline as it runs fastest, warm. load takes a precision; ``precision`` may be "auto";
    largest: pictures that a batch may have at most; stopwatch: runs its passes.
    """
    stopwatch = stopwatch or Stopwatch()
    pipeline = load("float32" if precision == AUTO else precision)
    key = _key(pipeline, precision, largest, stopwatch.execute(torch.get_num_threads))
    tuning = memory.get(key)
    if tuning is None:
        pipeline, tuning = measure(pipeline, load, precision, largest, stopwatch)
        log.info("%s of %s: %s", pipeline.task, pipeline.bundle.name, tuning)
        if stopwatch.without_core <= _BUSY * stopwatch.seconds:
            memory.put(key, tuning)
        else:
            log.info("other programs had the cores meanwhile, so it is measured again next time")
    elif tuning.precision != pipeline.precision:
        pipeline = load(tuning.precision)
    pipeline.best_batch = tuning.batch
    for batch in pipeline.warm_up_batches(tuning.batch):
        stopwatch.forward(pipeline, batch)
    return pipeline


def measure(
    first: AnyPipeline, load: Loading, precision: str, largest: int, stopwatch: Stopwatch
) -> Tuned:
    """The faster one of ``first`` and, for "auto", the precisions that this device may prefer, each
    in the batches that pay for it.
    """
    best = _try(first, None, largest, stopwatch)
    names = candidates(first.device) if precision == AUTO else ()
    for other in (load(name) for name in names if name != first.precision):
        if (found := _psnr(first, other, stopwatch)) >= LEAST_PSNR:
            tried = _try(other, found, largest, stopwatch)
            best = tried if _faster(tried, best, stopwatch) else best
    return best


def _try(pipeline: AnyPipeline, psnr: float | None, largest: int, stopwatch: Stopwatch) -> Tuned:
    batch, milliseconds = largest_useful_batch(pipeline, largest, stopwatch)
    return pipeline, Tuning(pipeline.precision, psnr, batch, milliseconds)


def largest_useful_batch(
    pipeline: AnyPipeline, largest: int, stopwatch: Stopwatch
) -> tuple[int, dict[str, float]]:
    """The largest power of two up to ``largest`` at which a picture still gets cheaper, and
    milliseconds per picture by size. Sizes at which a picture is not what it is alone, as far as
    can be seen, are none.
    """
    end = stopwatch.seconds + _BUDGET
    prepared = [pipeline.prepare(item) for item in pipeline.examples(max(largest, _PROBES))]
    alone = _one_by_one(pipeline, prepared[:_PROBES], stopwatch)
    times = {1: _seconds_each(pipeline, prepared[:1], stopwatch)}
    best, size = 1, 2
    while size <= largest and stopwatch.seconds < end:
        # Some may not have been made both ways.
        batched = _in_batches(pipeline, prepared, size, len(alone), stopwatch)
        if not all(map(match_within_bars, alone, batched)):
            break
        times[size] = _seconds_each(pipeline, prepared[:size], stopwatch)
        if times[size] <= _GAIN * times[best]:
            best = size
        elif size > 2 * best or size * times[size] > _LONG:
            break  # twice in a row, since one time may be a busy machine's
        size *= 2
    return best, {str(k): round(v * 1000, 2) for k, v in times.items()}


def _one_by_one(
    pipeline: AnyPipeline, prepared: Sequence[Any], stopwatch: Stopwatch
) -> list[Pixels]:
    """The pictures made one by one: a few at least, and the others while there is time."""
    end = stopwatch.seconds + _BUDGET / 3
    found: list[Pixels] = []
    for one in prepared:
        if len(found) >= _EXAMPLES and stopwatch.seconds > end:
            break
        found += _pixels(pipeline, [one], stopwatch)
    return found


def _in_batches(
    pipeline: AnyPipeline, prepared: Sequence[Any], size: int, count: int, stopwatch: Stopwatch
) -> list[Pixels]:
    """The first ``count`` pictures, or more, made ``size`` at a time."""
    starts = range(0, count, size)
    batches = [prepared[k : k + size] for k in starts if k + size <= len(prepared)]
    return [picture for batch in batches for picture in _pixels(pipeline, batch, stopwatch)]


def _pixels(pipeline: AnyPipeline, batch: Sequence[Any], stopwatch: Stopwatch) -> list[Pixels]:
    # Examples are not explained: pixels alone.
    return [cast("Pixels", made) for made in stopwatch.forward(pipeline, batch)[0]]


def match_within_bars(reference: Pixels, batched: Pixels) -> bool:
    """Whether a picture made in a batch passes for the one made alone: LEAST_PSNR in all, and
    LEAST_SHARE of the values within LARGEST_STEP.
    """
    return psnr(reference, batched) >= LEAST_PSNR and _near(reference, batched)


def _near(reference: Pixels, other: Pixels) -> bool:
    """Whether few single values are far off, which a mean over the picture would hide."""
    return float((np.abs(reference - other) <= LARGEST_STEP).mean()) >= LEAST_SHARE


def _seconds_each(
    pipeline: AnyPipeline, prepared: Sequence[Any], stopwatch: Stopwatch, runs: int = 3
) -> float:
    """Of a picture, as many drawn at a time as are given: the best of a few runs, or the first that
    takes long.
    """
    pipeline.best_batch = len(prepared)  # into which an item's candidates are split
    batch, pictures = pipeline.usual_batch(prepared)
    best = math.inf
    for _ in range(runs):
        best = min(best, stopwatch.forward(pipeline, batch)[1])
        if best > _LONG:
            break
    return best / pictures


def _faster(one: Tuned, other: Tuned, stopwatch: Stopwatch) -> bool:
    """By picture, each in its batches; in turns, so that whatever else runs hits both."""
    times = [math.inf, math.inf]
    prepared = [[p.prepare(item) for item in p.examples(t.batch)] for p, t in (one, other)]
    for _ in range(3):
        for n, (pipeline, _) in enumerate((one, other)):
            times[n] = min(times[n], _seconds_each(pipeline, prepared[n], stopwatch, runs=1))
    return times[0] < _GAIN * times[1]


def _psnr(reference: AnyPipeline, other: AnyPipeline, stopwatch: Stopwatch) -> float:
    """dB of the worst of a few examples, pictures in [0,1]; 0 where single values are far off."""
    worst = math.inf
    for item in reference.examples(_EXAMPLES):
        wanted, found = (_pixels(p, [p.prepare(item)], stopwatch)[0] for p in (reference, other))
        worst = min(worst, psnr(wanted, found) if _near(wanted, found) else 0.0)
    return round(min(worst, 99.9), 1)


def psnr(wanted: Pixels, found: Pixels) -> float:
    """Peak signal-to-noise ratio in dB of values in [0,1]; infinite where both are equal."""
    error = float(np.square(wanted.astype(np.float64) - found).mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def _key(pipeline: AnyPipeline, precision: str, largest: int, threads: int) -> str:
    """What a tuning depends on: hardware, not the machine's name, which every container changes."""
    device = hardware(pipeline.device)
    parts = (
        _VERSION,
        pipeline.bundle.sha256[:16],
        pipeline.task,
        pipeline.method,
        precision,
        largest,
        device,
        threads,
        torch.__version__,
    )
    return "/".join(map(str, parts))
