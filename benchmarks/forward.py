"""The networks as served against the same networks built naively (``benchmarks/naive.py``), on the
CPU: the published ones at 256×256 and those of the shipped bundle.

Both live in processes of their own and take turns, so that whatever else happens on the machine
hits both; only the served one has the tuned allocator, as workers have. Writes
``benchmarks/results/forward.{json,md}``; networks that are not measured again keep their rows
there.

Usage: ``python -m benchmarks.forward [--rounds N] [--threads N] [--clock cpu] [--only NAME …]``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from benchmarks import official
from benchmarks.naive import Naive
from models.pipeline import Pipeline, Pixels, to_pixels
from models.registry import load
from models.runtime.autotune import LEAST_PSNR, Memory, psnr, tune
from models.runtime.cpu.process import tuned_environment
from models.tables import markdown_table

Turn = Callable[[], object]
SIZES = (1, 2, 4, 8, 16)
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
PICTURES = 3  # compared between the two
# head of the table -> value of a row
COLUMNS = {
    "network": "name",
    "naive ms": "naive_ms",
    "alone ms": "alone_ms",
    "in its batch ms": "served_ms",
    "times faster alone": "ratio_alone",
    "in its batch": "ratio",
    "bar": "bar",
    "dB": "psnr",
    "precision": "precision",
    "batch": "best_batch",
    f"ms a picture in batches of {', '.join(map(str, SIZES))}": "sweep_ms",
    "step": "batch_step",
}
AVIARY = Path("weights/aviary")
RESULTS = Path("benchmarks/results")
# name -> (task, shipped bundle or None for the published network, how much faster it must be)
NETWORKS: dict[str, tuple[str, Path | None, float]] = {
    "Efficient-T2I 256": ("synthesize", None, 2.5),
    "ManiGAN bird 256": ("manipulate", None, 2.5),
    "TDANet 256": ("inpaint", None, 2.0),
    "aviary synthesize 64": ("synthesize", AVIARY, 2.0),
    "aviary manipulate 64": ("manipulate", AVIARY, 2.0),
    "aviary inpaint 64": ("inpaint", AVIARY, 2.0),
}


class Child:
    """One of the two in its process, ready for its turns. ``report`` is what it reported of itself;
    ``tuned``: with the allocator as workers have it.
    """

    def __init__(self, *arguments: str, tuned: bool) -> None:
        plain = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "benchmarks.forward", "child", *arguments],
            env=tuned_environment(plain) if tuned else plain,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.report: dict[str, Any] = json.loads(self._answer())

    def time(self, turn: str) -> float:
        """Milliseconds of one turn."""
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.write(f"{turn}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def end(self) -> None:
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None  # noqa: S101
        return self._process.stdout.readline()


def answer(
    functions: Mapping[str, Turn], report: Mapping[str, Any], clock: Callable[[], float]
) -> None:
    """The report on standard output, then one turn per line of standard input: its name comes in,
    its milliseconds go out. The first turn is tried a few times before.
    """
    for _ in range(3):
        next(iter(functions.values()))()
    sys.stdout.write(f"{json.dumps(report)}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        started = clock()
        functions[line.strip()]()
        sys.stdout.write(f"{(clock() - started) * 1000}\n")
        sys.stdout.flush()


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu where other work shares the cores"
    )
    parser.add_argument("--only", nargs="*", choices=list(NETWORKS), default=list(NETWORKS))
    options = parser.parse_args(arguments)
    rows = []
    for name in options.only:
        task, shipped, bar = NETWORKS[name]
        with official.opened(task, shipped) as folder:
            rows.append({"name": name, "bar": bar, **row(folder, task, options)})
        rows[-1]["ok"] = rows[-1]["ratio"] >= bar and rows[-1]["psnr"] >= LEAST_PSNR
        sys.stdout.write(f"| {' | '.join(cells(rows[-1]))} |\n")
        sys.stdout.flush()
    write(rows, options)


def row(folder: Path, task: str, options: argparse.Namespace) -> dict[str, Any]:
    """What was measured of one network; times in milliseconds per picture."""
    with tempfile.TemporaryDirectory() as pictures:
        more = (str(folder), task, pictures, str(options.threads), options.clock)
        children = {
            kind: Child(kind, *more, tuned=kind == "served") for kind in ("naive", "served")
        }
        naive, served = children["naive"], children["served"]
        batch = int(served.report["best_batch"])
        times = [
            (naive.time("1"), served.time("1"), served.time(str(batch)) / batch)
            for _ in range(options.rounds)
        ]
        tried = [size for size in SIZES if size <= 4 * batch]
        sweep = {size: min(served.time(str(size)) for _ in range(2)) / size for size in tried}
        wanted, found, together = (
            np.load(Path(pictures) / f"{kind}.npy") for kind in ("naive", "served", "together")
        )
        for child in children.values():
            child.end()
    slow, alone, batched = (statistics.median(x) for x in zip(*times, strict=True))
    return {
        "naive_ms": round(slow, 1),
        "alone_ms": round(alone, 1),
        "served_ms": round(batched, 1),
        "ratio_alone": round(statistics.median(a / b for a, b, _ in times), 2),
        "ratio": round(statistics.median(a / b for a, _, b in times), 2),
        "psnr": round(min(min(psnr(a, b), 99.9) for a, b in zip(wanted, found, strict=True)), 1),
        "batch_step": round(float(np.abs(found - together).max()) * 255, 2),
        "precision": served.report["precision"],
        "best_batch": served.report["best_batch"],
        "sweep_ms": {str(k): round(v, 1) for k, v in sweep.items()},
    }


@torch.inference_mode()
def child(kind: str, folder: str, task: str, pictures: str, threads: str, clock: str) -> None:
    """One of the two: its pictures of a few examples as a file, then turns by batch size."""
    torch.set_num_threads(int(threads))
    plain = _networks(folder, task, "float32")
    prepared = [plain.prepare(item) for item in plain.examples(max(SIZES))]
    if kind == "naive":
        forward = Naive(plain).forward
        made = [to_pixels(forward(p))[0] for p in prepared[:PICTURES]]
        turns: dict[str, Turn] = {"1": lambda: forward(prepared[1])}
    else:
        plain = tune(lambda name: _networks(folder, task, name), "auto", 16, Memory(None))
        made = [first(plain, [p]) for p in prepared[:PICTURES]]
        together = _pixels(plain, prepared[: 2 * PICTURES])[:PICTURES]
        np.save(Path(pictures) / "together.npy", [x.reshape(made[0].shape) for x in together])
        turns = {str(n): served(plain, prepared, n) for n in SIZES}
    np.save(Path(pictures) / f"{kind}.npy", made)
    report = {"precision": plain.precision, "best_batch": plain.best_batch}
    answer(turns, report, CLOCKS[clock])


def _networks(folder: str, task: str, precision: str) -> Pipeline[Any]:
    """The pipeline without a detail stage, whose work both sides would share."""
    pipeline = load(folder, task, None, "cpu", precision)
    pipeline.detail = None
    return pipeline


def served(pipeline: Pipeline[Any], prepared: Sequence[Any], size: int) -> Turn:
    batch = prepared[1:2] if size == 1 else prepared[:size]
    return lambda: pipeline.forward(batch)


def first(pipeline: Pipeline[Any], batch: Sequence[Any]) -> Pixels:
    """[S,S,3] of the first item, of inpainting its first square."""
    pixels = _pixels(pipeline, batch)[0]
    return pixels[0] if pixels.ndim == 4 else pixels


def _pixels(pipeline: Pipeline[Any], batch: Sequence[Any]) -> list[Pixels]:
    """What items that ask for no explanation get."""
    return cast("list[Pixels]", pipeline.forward(batch))


def write(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    simd = torch.backends.cpu.get_cpu_capability()
    clock = f"{options.threads} threads, {options.clock} time"
    machine = f"{simd}, {platform.machine()}, torch {torch.__version__}, {clock}"
    RESULTS.mkdir(exist_ok=True)
    rows = [*rows, *_kept(machine, {r["name"] for r in rows})]
    rows.sort(key=lambda r: list(NETWORKS).index(r["name"]))
    bars = [bar_row(r) for r in rows]
    found = json.dumps({"machine": machine, "networks": rows, "bars": bars}, indent=1)
    (RESULTS / "forward.json").write_text(f"{found}\n")
    table = markdown_table(list(COLUMNS), map(cells, rows))
    (RESULTS / "forward.md").write_text(f"{machine}. {NOTE}\n\n{table}\n")


def bar_row(r: dict[str, Any]) -> dict[str, Any]:
    """The row in the table of all bars."""
    name = f"{r['name']}: times naive float32"
    return {"name": name, "value": r["ratio"], "bar": f"≥ {r['bar']:g}", "ok": r["ok"]}


def _kept(machine: str, measured: set[str]) -> list[dict[str, Any]]:
    """Stored rows of the same machine that were not measured again."""
    try:
        stored = json.loads((RESULTS / "forward.json").read_text())
    except FileNotFoundError:
        return []
    if stored["machine"] != machine:
        return []
    return [r for r in stored["networks"] if r["name"] not in measured]


NOTE = (
    "Medians of turns with the naive networks (`python -m benchmarks.forward`); dB: PSNR of the "
    "pictures against naive float32; batch: the size that the worker chose by itself, which the "
    "bar is about, the naive networks taking one picture at a time; batches are measured up to "
    "four times that size; step: largest difference of a picture alone and in a batch of six, in "
    "255ths."
)


def cells(r: dict[str, Any]) -> list[str]:
    """Of a row in the table."""
    sweep = ", ".join(f"{ms:g}" for ms in r["sweep_ms"].values())
    return [sweep if name == "sweep_ms" else str(r[name]) for name in COLUMNS.values()]


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(*sys.argv[2:])
    else:
        main(sys.argv[1:])
