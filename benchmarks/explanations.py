"""Whether the shipped bundle's words act where they should, and what it costs to know.

Drawn birds of the held-out split are edited by captions that name one part, "a bird with a red
belly". How much of a word's attention, and of the edit itself, falls on that part, is compared with
the part's area: 1.0 is what looking nowhere in particular would give. Costs are medians of the CPU
time of forward passes without and with maps, in turns, in one process.

Usage: ``python -m benchmarks.explanations [--birds 32] [--rounds 15]``; writes
``benchmarks/results/explanations.md``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import models
from models.data.aviary import COLOUR_NAMES, PARTS, bird, generator, layers, render
from models.explanation import LONGER_SIDE
from models.pipeline import Item, Pipeline

RESULT = Path("benchmarks/results/explanations.md")
BUNDLE = Path("weights/aviary")
_KINDS = ("colour", "part", "edit")
_BATCHES = (1, 8)
Plane = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--birds", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pipelines = models.load(BUNDLE)
    lines = [*_places(pipelines["manipulate"], arguments.birds), ""]
    lines += _costs(pipelines, arguments.rounds)
    RESULT.write_text("\n".join(lines) + "\n")
    sys.stdout.write(RESULT.read_text())


def _places(pipeline: Pipeline[Any], birds: int) -> list[str]:
    """A table of parts: how many times its area's share falls on the named part."""
    lifts: dict[str, dict[str, list[float]]] = {p: defaultdict(list) for p in PARTS}
    for part, item, mask in _edits(birds):
        result = pipeline.run([item])
        picture, found = result.pictures[0], result.explanations[0]
        assert isinstance(picture, Image.Image)  # noqa: S101
        change = np.abs(np.asarray(picture, np.float32) - np.asarray(item.images["image"]))
        colour, named = found.words[-2:]
        planes = colour.maps["attention"], named.maps["attention"], change.mean(2)
        for kind, plane in zip(_KINDS, planes, strict=True):
            lifts[part][kind].append(_lift(np.asarray(plane, np.float32), mask))
    head = f"Edits of {birds} drawn birds, `{BUNDLE}`: medians of (share on the part ÷ its area)."
    rows = [
        f"| {part} | " + " | ".join(f"{statistics.median(lifts[part][k]):.1f}" for k in _KINDS)
        for part in PARTS
    ]
    titles = "| named part | attention of the colour's word | of the part's word | edit itself |"
    return [head, "", titles, "|---|---|---|---|", *(f"{row} |" for row in rows)]


def _edits(birds: int) -> Iterator[tuple[str, Item, Plane]]:
    """(part, edit, where the part is) of every part that can be seen."""
    for index in range(birds):
        sample, source = bird("test", index), generator("explanations", index)
        photo = render(sample, LONGER_SIDE)
        masks = layers(sample, LONGER_SIDE).masks
        for part, mask in zip(PARTS, masks, strict=False):
            others = [c for c in COLOUR_NAMES if c != sample.colours[PARTS.index(part)]]
            text = f"a bird with a {source.choice(others)} {part}"
            if mask.sum() >= 20:
                yield part, Item(text, index, images={"image": photo}, explain=True), mask


def _lift(plane: Plane, mask: Plane) -> float:
    inside = float((plane * mask).sum() / max(float(plane.sum()), 1e-9))
    return inside / float(mask.mean())


def _costs(pipelines: Mapping[str, Pipeline[Any]], rounds: int) -> list[str]:
    lines = ["One CPU thread, ms of CPU time per picture of the forward pass.", ""]
    lines += ["| task | pictures at a time | without maps | with maps |", "|---|---|---|---|"]
    for task, pipeline in pipelines.items():
        for batch in _BATCHES:
            plain, asked = _medians(pipeline, batch, rounds)
            lines.append(f"| {task} | {batch} | {plain / batch:.1f} | {asked / batch:.1f} |")
    return lines


def _medians(pipeline: Pipeline[Any], batch: int, rounds: int) -> Sequence[float]:
    given = pipeline.example()
    prepared = [
        [pipeline.prepare(Item("a red bird with a blue crown", 0, 0, given.images, (), ask))]
        * batch
        for ask in (False, True)
    ]
    times: list[list[float]] = [[], []]
    for _ in range(rounds + 1):
        for kind, items in enumerate(prepared):
            started = time.process_time()
            pipeline.forward(items)
            times[kind].append((time.process_time() - started) * 1000)
    return [statistics.median(found[1:]) for found in times]  # the first is for warming up


if __name__ == "__main__":
    main()
