"""A quarter of an hour on a machine with one GPU and no network: the ``gpu`` tests, images per
second of the networks and of the service, and in the rest of the time a training that begins, or
with --init continues, and brings back its weights and sheets.

Each step is a process of its own with a time limit; one that fails is a row of the report and ends
nothing. What comes back is at most eight files of at most 16 MiB: ``report.md``, ``report.json``,
``log.txt``, and of the training its weights and its last sheet.

Usage: ``python -m benchmarks.gpu_report --out FOLDER [--minutes 14] [--part synthesis --preset
aviary --data aviary] [--init BUNDLE] [--dry-run]``. What has to travel: this checkout without
``.git``, the bundle ``weights/aviary`` (and BUNDLE), the photos where a training needs some, and
wheels of what the machine lacks (of ``pyproject.toml``: the extras embedded, worker and train).
--dry-run takes every step on a CPU, in its smallest form.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.tables import markdown_table

_FILES, _BYTES = 8, 16 * 2**20
_RESERVE = 30.0  # seconds for the end of a training and for copying
_SMALLEST = ("batch=2", "samples=8", "settle_batches=1", "threads=1", "log_every=1")
_STEPS = ("tests", "networks", "service", "training")


@dataclass
class Report:
    """What each step found: its rows, or why it has none."""

    out: Path
    ends_at: float
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)

    def left(self) -> float:
        """Seconds."""
        return max(0.0, self.ends_at - time.monotonic())

    def run(self, name: str, step: Callable[[], list[dict[str, Any]]]) -> None:
        started = time.monotonic()
        try:
            found: dict[str, Any] = {"rows": step()}
        except Exception as error:  # the other steps are worth as much
            found = {"rows": [], "failed": f"{type(error).__name__}: {error}"[:2000]}
        self.steps[name] = {**found, "seconds": round(time.monotonic() - started, 1)}
        self._write()

    def _write(self) -> None:
        """After each step: the machine may be gone before the last."""
        (self.out / "report.json").write_text(json.dumps(self.steps, indent=1) + "\n")
        lines = ["".join(_section(name, step)) for name, step in self.steps.items()]
        (self.out / "report.md").write_text("\n".join(lines))


def _section(name: str, step: dict[str, Any]) -> Iterator[str]:
    yield f"## {name} ({step['seconds']} s)\n"
    if "failed" in step:
        yield f"failed: {step['failed']}\n"
    if step["rows"]:
        head = list(step["rows"][0])
        rows = ([str(row.get(key, "")) for key in head] for row in step["rows"])
        yield markdown_table(head, rows) + "\n"


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    report = Report(options.out, time.monotonic() + 60 * options.minutes)
    known = {"tests": _tests, "networks": _networks, "service": _service, "training": _training}
    for name in options.only:
        report.run(name, lambda step=known[name]: step(options, report))  # type: ignore[misc]
    sys.stdout.write((options.out / "report.md").read_text())
    return int(any("failed" in step for step in report.steps.values()))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_report", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=14.0, help="for all steps together")
    parser.add_argument(
        "--rounds", type=int, default=20, help="passes of which a time is the median"
    )
    parser.add_argument("--part", default="synthesis")
    parser.add_argument("--preset", default="aviary")
    parser.add_argument("--data", default="aviary")
    parser.add_argument("--init", type=Path, help="bundle that the training continues")
    parser.add_argument("--only", nargs="*", choices=_STEPS, default=list(_STEPS))
    parser.add_argument("--dry-run", action="store_true", help="on a CPU, in the smallest form")
    options = parser.parse_args(arguments)
    options.device = "cpu" if options.dry_run else "cuda"
    options.rounds = 1 if options.dry_run else options.rounds
    return options


def _python(report: Report, seconds: float, *words: str) -> str:
    """What ``python WORDS`` prints; raises RuntimeError with its last lines when it fails."""
    command = [sys.executable, *words]
    log = report.out / "log.txt"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{' '.join(words)} took longer than {seconds:.0f} s") from error
    with log.open("a") as file:
        file.write(f"$ python {' '.join(words)}\n{done.stdout[-20000:]}\n{done.stderr[-20000:]}\n")
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {(done.stdout + done.stderr)[-1000:]}")
    return done.stdout


def _tests(options: argparse.Namespace, report: Report) -> list[dict[str, Any]]:
    more = ["--collect-only"] if options.dry_run else []
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu", "tests/models", *more)
    return [
        {"gpu tests": _python(report, min(240, report.left()), *words).strip().splitlines()[-1]}
    ]


def _networks(options: argparse.Namespace, report: Report) -> list[dict[str, Any]]:
    code = (
        "import json; from benchmarks.gpu_networks import rows; "
        f"print(json.dumps(list(rows({options.device!r}, {options.rounds}, {options.dry_run}))))"
    )
    found = _python(report, min(300, report.left()), "-c", code)
    return json.loads(found.strip().splitlines()[-1])


def _service(options: argparse.Namespace, report: Report) -> list[dict[str, Any]]:
    """The demo bundle behind gateway, broker and a real worker."""
    from benchmarks.peers.pipelines import SUBJECTS
    from benchmarks.service.stack import running

    seconds, clients = ("1", "4") if options.dry_run else ("8", "256")
    settings = {"MMML_DEVICE": options.device}
    if not options.dry_run:
        settings |= {"MMML_MAX_BATCH": "64", "MMML_CONCURRENCY": "128"}
    with (
        tempfile.TemporaryDirectory(prefix="mmml-gpu-") as folder,
        running(Path(folder), SUBJECTS["demo"], **settings) as service,
    ):
        words = ("-m", "benchmarks.load", service.url, "wait", "--clients", clients)
        found = _python(report, min(120, report.left()), *words, "--seconds", seconds)
    load = json.loads(found)
    return [{key: load[key] for key in ("rate", "p50", "p95", "p99", "answers", "failures")}]


def _training(options: argparse.Namespace, report: Report) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="mmml-gpu-") as name:
        folder = Path(name)
        words = ["-m", "models", "train", options.part, "--preset", options.preset]
        words += ["--data", options.data, "--device", options.device, "--out", str(folder)]
        words += ["--init", str(options.init)] if options.init else []
        if options.dry_run:
            words += ["--steps", "1", *(x for one in _SMALLEST for x in ("--set", f"loop.{one}"))]
        else:
            minutes = max(0.1, (report.left() - 2 * _RESERVE) / 60)
            words += ["--minutes", f"{minutes:.2f}", "--set", "loop.schedule=constant"]
        _python(report, report.left() + _RESERVE, *words)
        stats = folder / "stats.jsonl"
        lines = stats.read_text().splitlines() if stats.exists() else []
        kept = _keep(folder, report.out)
    return [{"last": lines[-1] if lines else "", "kept": ", ".join(kept)}]


def _keep(run: Path, out: Path) -> list[str]:
    """The bundle's description and weights, the largest that fit last, and the last sheet."""
    sheets = sorted((run / "samples").glob("*"), key=lambda path: path.stat().st_mtime)[-1:]
    weights = sorted((run / "bundle").glob("*.safetensors"), key=lambda path: path.stat().st_size)
    wanted = [run / "bundle" / "bundle.json", *sheets, *weights]
    kept: list[str] = []
    for path in wanted:
        full = len(list(out.iterdir())) >= _FILES
        if path.exists() and path.stat().st_size <= _BYTES and not full:
            shutil.copy(path, out / path.name)
            kept.append(path.name)
    return kept


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
