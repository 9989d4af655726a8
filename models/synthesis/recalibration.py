"""Batch statistics of a generator estimated again from captions, as Efficient-T2I's authors do
before they score a checkpoint.

Their averaged weights are saved with the statistics of the live network. Their scripts for IS and
FID first run the network in train mode over training captions, which makes running means and
variances (momentum 0.1) and the singular vectors of spectral norms those of the averaged weights;
their notebook takes the file as it is.
"""

from __future__ import annotations

from pathlib import Path

import torch

from models.bundle import Bundle, load_strict, save_task
from models.collect import collect
from models.data.opening import open_photos
from models.errors import InputProblem, ModelsError
from models.pipeline import config_from, generator
from models.registry import load
from models.synthesis.network import Generator, GeneratorConfig
from models.synthesis.pipeline import SynthesisPipeline

TASK = "synthesize"


def recalibrate_batch_norm(
    folder: Path, where: str, out: Path, *, passes: int = 100, batch: int = 8, seed: int = 0
) -> Bundle:
    """Write the bundle in ``folder`` to ``out`` with new statistics, from ``passes`` batches of the
    first captions of the photos in ``where``; the defaults are the authors'.

    Raises ModelsError when the bundle synthesises by another method or knows no caption's words.
    """
    pipeline = load(folder, TASK, None, "cpu")
    if not isinstance(pipeline, SynthesisPipeline):
        raise ModelsError(f"Bundle {pipeline.bundle.name!r} has no batch statistics to estimate.")
    captions = _first_captions(pipeline, where)
    config = config_from(GeneratorConfig, pipeline.spec.network, TASK)
    network = Generator(config).train()
    load_strict(network, pipeline.bundle.state(TASK, "generator"), TASK)
    source = generator(seed)
    with torch.no_grad():
        for k in range(passes):
            rows = [captions[(k * batch + row) % len(captions)] for row in range(batch)]
            _, sentences = pipeline.text(*pipeline.captions(rows))
            network(torch.randn(batch, config.z, generator=source), sentences)
    made = collect(out, [folder])
    spec = {**made.task(TASK).raw, "recalibrated": {"passes": passes, "batch": batch, "seed": seed}}
    states = {role: made.stored(TASK, role) for role in made.task(TASK).files}
    return save_task(out, TASK, spec, {**states, "generator": network.state_dict()})


def _first_captions(pipeline: SynthesisPipeline, where: str) -> list[tuple[int, ...]]:
    """In the order of the training photos, those without a known word left out."""
    photos = open_photos(where, size=pipeline.spec.size)
    found = []
    for index in range(len(photos)):
        try:
            found.append(pipeline.encode(photos.caption_texts(index)[0]).ids)
        except InputProblem:
            continue
    if not found:
        raise ModelsError(f"Bundle {pipeline.bundle.name!r} knows no word of these captions.")
    return found
