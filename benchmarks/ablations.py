"""Each module with and without, trained alike and measured on birds never seen.

Rows of one part share their data, seed, steps and everything else that their options don't say, so
that a difference is the module's. What is done is kept in ``--runs``: the same command goes on
where it was stopped. Writes ``benchmarks/results/ablations.json`` and ``ablations.md``.

Usage: ``python -m benchmarks.ablations --runs DIR [--only PART …] [--share 0.5]``
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.runtime.cpu.allocator import tuned_environment

Table = dict[str, dict[str, dict[str, float]]]  # part -> row -> metric -> value
RESULTS = Path(__file__).parent / "results"
SAMPLES = 200  # evaluated per row


@dataclass(frozen=True)
class Row:
    """One training: name, part of a bundle, what differs from the preset."""

    name: str
    part: str
    options: tuple[str, ...] = ()


# At 32 pixels, where two cores see enough pictures in minutes.
COMMON = {
    "manipulation": ("loop.size=32",),
    "inpainting": ("loop.size=32",),
    # The photos' adversarial recipe with what helps drawings: sentences are mixed in no other.
    "synthesis": (
        *("loop.size=32", 'widths="16,16,8,4"', "loop.samples=6000", "alone=300", "rebuild=30.0"),
        *('discriminator="own"', "ndf=24", "z=64", "attributes=1.0", 'penalty="r1"', "damsm=0.0"),
        *('augment=""', "mismatched=0.2", "rate_g=1e-3", "rate_d=1e-3", "beta1=0.5"),
    ),
    "damsm": ("loop.size=32",),
}
PRESETS = {"synthesis": ("--preset", "cub", "--encoders", "weights/aviary")}
STEPS = {"manipulation": 400, "inpainting": 400, "synthesis": 1200, "damsm": 200}
# part -> the metrics shown, as ``task.method.metric`` of a report
METRICS = {
    "manipulation": ("attribute_accuracy", "kept_diff"),
    "inpainting": ("attribute_accuracy", "psnr_hole", "ssim_center"),
    "synthesis": ("attribute_accuracy", "diversity"),
    "damsm": ("named colours read",),
}
METHODS = {"manipulation": "manigan", "inpainting": "tdanet", "synthesis": "efficient-t2i"}
TASKS = {"manipulation": "manipulate", "inpainting": "inpaint", "synthesis": "synthesize"}
ROWS = (
    Row("ManiGAN", "manipulation"),
    Row("without ACM", "manipulation", ('combination="none"',)),
    Row("concatenation for ACM", "manipulation", ('combination="concat"',)),
    Row("without main module", "manipulation", ('modules="dcm"',)),
    Row("without DCM", "manipulation", ('modules="main"',)),
    Row("TDANet", "inpainting"),
    Row("without text", "inpainting", ("text=false",)),
    Row("dilated convolutions", "inpainting", ('convolution="dilated"',)),
    Row("gated convolutions", "inpainting", ('convolution="gated"',)),
    Row("partial convolutions", "inpainting", ('convolution="partial"',)),
    Row("Efficient-T2I", "synthesis", ("loop.captions=3", "interpolate=true")),
    Row("without sentence interpolation", "synthesis", ("interpolate=false",)),
    Row("LSTM", "damsm"),
    Row("GRU for LSTM", "damsm", ('rnn="gru"',)),
    Row("LSTM, word vectors mixed", "damsm", ("mix_words=0.5", "loop.captions=1")),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="train and measure every ablation")
    parser.add_argument("--runs", type=Path, required=True, help="folder for the trainings")
    parser.add_argument("--only", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--share", type=float, default=1.0, help="of the steps that are usual here")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    kept = RESULTS / "ablations.json"
    found: Table = json.loads(kept.read_text()) if kept.exists() else {}
    for row in ROWS:
        if row.part in arguments.only:
            steps = round(STEPS[row.part] * arguments.share)
            numbers = _row(row, arguments.runs, steps, arguments.threads)
            found.setdefault(row.part, {})[row.name] = numbers
            sys.stdout.write(f"{row.part}  {row.name}  {numbers}\n")
            sys.stdout.flush()
    RESULTS.mkdir(exist_ok=True)
    kept.write_text(json.dumps(found, indent=2) + "\n")
    (RESULTS / "ablations.md").write_text(table(found))


def _row(row: Row, runs: Path, steps: int, threads: int) -> dict[str, float]:
    """Train the row unless it is, measure it unless it is."""
    folder = runs / f"{row.part}-{row.name.replace(' ', '-')}-{steps}"
    done = folder / "numbers.json"
    if not done.exists():
        sets = (f"loop.threads={threads}", "loop.preview_every=1000000")
        sets += COMMON[row.part] + row.options
        chosen = [x for one in sets for x in ("--set", one)]
        chosen += PRESETS.get(row.part, ())
        _call("models", "train", row.part, "--steps", str(steps), "--out", str(folder), *chosen)
        done.write_text(json.dumps(_measured(row, folder)))
    numbers: dict[str, float] = json.loads(done.read_text())
    return numbers


def _measured(row: Row, folder: Path) -> dict[str, float]:
    seconds = json.loads((folder / "stats.jsonl").read_text().splitlines()[-1])["seconds"]
    if row.part == "damsm":
        printed = _call("benchmarks.sentence_probe", str(folder / "bundle"))
        return {METRICS["damsm"][0]: float(printed.split()[-1]), "minutes": seconds / 60}
    task, out = TASKS[row.part], folder / "report"
    options = ("--data", "aviary", "--tasks", task, "--samples", str(SAMPLES), "--no-features")
    _call("models", "evaluate", str(folder / "bundle"), "--out", str(out), *options)
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    numbers = report[task][METHODS[row.part]]
    kept = {name: numbers[name] for name in METRICS[row.part] if name in numbers}
    return {**kept, "minutes": seconds / 60}


def _call(module: str, *arguments: str) -> str:
    """What a command of this project prints."""
    command = [sys.executable, "-m", module, *arguments]
    environment = tuned_environment(os.environ)
    return subprocess.run(  # noqa: S603
        command, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def table(found: Table) -> str:
    """Markdown, one table for each part."""
    lines: list[str] = []
    for part, rows in found.items():
        names = _columns(list(rows.values()))
        lines += [f"| {part} | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        for name, numbers in rows.items():
            cells = [f"{numbers[k]:.3f}" if k in numbers else "–" for k in names]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _columns(rows: Sequence[dict[str, float]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


if __name__ == "__main__":
    main()
