"""Training steps as the presets run them against the same networks in plain float32, contiguous,
with the default allocator; two threads, one run, in turns.

Usage: ``python -m benchmarks.training [ROUNDS]``.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.interleaved import Child, answer
from jobs.captions import END, Vocabulary
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
from models.synthesis.efficient_t2i.recipe import SynthesisObjective
from models.synthesis.efficient_t2i.supervised_recipe import RenderingObjective, RenderingOptions
from models.training.batch import Batch
from models.training.config import LoopOptions, build_options, read_preset
from models.training.loop import Loop, build_fabric
from models.training.objective import Objective
from models.training.parts import parse_options
from models.training.run import Run

THREADS, WORDS = 2, 16
STEPS = 2  # of one turn


class Random:
    """Pictures and captions of noise: only the networks' time counts."""

    name, domain, licence, fingerprint = "noise", "noise", "", "noise"
    tokenizer, max_words, attributes, latent = "regexp", WORDS, (6, 10), "n94"

    def __init__(self, size: int, captions: int) -> None:
        self.size, self.captions = size, captions
        self.vocabulary = Vocabulary([END, *(f"w{k}" for k in range(999))])

    def __len__(self) -> int:
        return 1000

    def batch(
        self,
        part: str,  # noqa: ARG002
        indices: Sequence[int],  # noqa: ARG002
        sources: Sequence[np.random.Generator],
    ) -> Batch:
        count, captions = len(sources), self.captions
        lengths = torch.full((count,), WORDS)
        ids = torch.randint(1, 1000, (count, WORDS))
        images = torch.rand(count, 3, self.size, self.size) * 2 - 1
        shown = torch.randint(0, self.attributes[1], (count, self.attributes[0]))
        result = {"image_attributes": shown, "caption_attributes": shown}
        result["negative_attributes"] = shown.roll(1, 0)
        result["code"] = torch.randn(count, 94)
        result["labels"] = torch.randint(0, 10, (count, self.size, self.size))
        batch = Batch(images, ids, lengths, torch.arange(count), ids.roll(1, 0), lengths, **result)
        if not captions:
            return batch
        more = ids[:, None].repeat(1, captions, 1)
        return replace(batch, more_ids=more, more_lengths=lengths[:, None].repeat(1, captions))


def child(preset: str, tuned: bool) -> None:
    """Steps of a preset's synthesis."""
    values = read_preset(preset, "synthesis")
    options = build_options(LoopOptions, values["loop"], "loop")
    options = replace(options, minutes=0.0, settle_batches=0, log_every=10**9, preview_every=10**9)
    options = replace(options, snapshot_every=10**9, threads=THREADS)
    if not tuned:
        options = replace(options, precision="32-true", channels_last=False)
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    data = Random(options.size, options.captions)
    text = TextEncoder(TextEncoderConfig(1000, 64, 256)).eval().requires_grad_(False)
    fabric = build_fabric(options, "cpu")
    fabric.launch()
    with tempfile.TemporaryDirectory() as folder:
        objective = _objective(values["options"], data, text)
        loop = Loop(objective, data, "synthesis", options, Run(Path(folder)), fabric)

        def turn() -> None:
            for _ in range(STEPS):
                loop.advance()

        answer(turn)


def _objective(options: dict[str, Any], data: Random, text: TextEncoder) -> Objective:
    chosen = parse_options("synthesis", options)
    if isinstance(chosen, RenderingOptions):
        return RenderingObjective(chosen, data.size, text, data.latent)
    chosen = replace(chosen, warmup_steps=0)  # steps in which all networks learn
    return SynthesisObjective(chosen, data.size, text)


def main(rounds: int) -> None:
    """Print one line per preset: medians in milliseconds for one step, and their ratio."""
    for preset in ("aviary", "cub"):
        ways = {
            kind: Child("benchmarks.training", preset, kind, tuned=kind == "tuned")
            for kind in ("plain", "tuned")
        }
        times = [[way.time() / STEPS for way in ways.values()] for _ in range(rounds)]
        for way in ways.values():
            way.end()
        plain, tuned = (statistics.median(row) for row in zip(*times, strict=True))
        sys.stdout.write(
            f"{preset} synthesis: plain {plain:.0f} ms a step, as preset {tuned:.0f} ms, "
            f"{plain / tuned:.2f} times faster\n"
        )


if __name__ == "__main__":
    if len(sys.argv) > 2:
        child(sys.argv[1], sys.argv[2] == "tuned")
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
