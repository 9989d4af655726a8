"""The trainable parts of a bundle: which objective, fed with which encoders, exported as which
task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from jobs.captions import Vocabulary
from models.bundle import Bundle, load_strict, save_task
from models.damsm.image_encoder import CompactEncoderConfig, CompactImageEncoder
from models.damsm.objective import DamsmObjective, DamsmOptions
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
from models.inpainting.classical import CLASSICAL
from models.pipeline import config_from
from models.training.batch import TrainingData
from models.training.config import ConfigError, build
from models.training.objective import Objective

# part -> (task in the bundle, method)
TASK_OF = {
    "damsm": ("damsm", "damsm"),
    "synthesis": ("synthesize", "efficient-t2i"),
    "manipulation": ("manipulate", "manigan"),
    "inpainting": ("inpaint", "tdanet"),
}


class Encoders:
    """The frozen DAMSM pair of a bundle, taken from whichever task holds it, and its vocabulary."""

    def __init__(self, folder: Path) -> None:
        bundle = Bundle.open(folder)
        task = next((t for t, s in bundle.tasks.items() if "image_encoder" in s.files), None)
        if task is None:
            raise ConfigError(f"{folder} holds no image encoder; train damsm first.")
        spec = bundle.tasks[task]
        self.vocabulary = Vocabulary.load(bundle.vocabulary_path(task))
        self.text = TextEncoder(config_from(TextEncoderConfig, spec.text_encoder, str(folder)))
        image = config_from(CompactEncoderConfig, spec.image_encoder or {}, str(folder))
        self.image = CompactImageEncoder(image)
        load_strict(self.text, bundle.state(task, "text_encoder"), "text encoder")
        load_strict(self.image, bundle.state(task, "image_encoder"), "image encoder")
        for module in (self.text, self.image):
            module.eval().requires_grad_(False)


def _damsm(options: Mapping[str, Any], data: TrainingData, _: Encoders | None) -> Objective:
    chosen = build(DamsmOptions, options, "damsm")
    return DamsmObjective(chosen, len(data.vocabulary), data.attributes)


def _synthesis(
    options: Mapping[str, Any], data: TrainingData, encoders: Encoders | None
) -> Objective:
    from models.synthesis.objective import SynthesisObjective, SynthesisOptions

    pair = _need(encoders, "synthesis")
    chosen = build(SynthesisOptions, options, "synthesis")
    return SynthesisObjective(chosen, data.size, pair.text)


def _manipulation(
    options: Mapping[str, Any], data: TrainingData, encoders: Encoders | None
) -> Objective:
    from models.manipulation.objective import ManipulationObjective, ManipulationOptions

    pair = _need(encoders, "manipulation")
    chosen = build(ManipulationOptions, options, "manipulation")
    return ManipulationObjective(chosen, data.size, pair.text, pair.image)


def _inpainting(
    options: Mapping[str, Any], data: TrainingData, encoders: Encoders | None
) -> Objective:
    from models.inpainting.objective import InpaintingObjective, InpaintingOptions

    pair = _need(encoders, "inpainting")
    return InpaintingObjective(
        build(InpaintingOptions, options, "inpainting"), data.size, pair.text
    )


Builder = Callable[[Mapping[str, Any], TrainingData, Encoders | None], Objective]
PARTS: dict[str, Builder] = {
    "damsm": _damsm,
    "synthesis": _synthesis,
    "manipulation": _manipulation,
    "inpainting": _inpainting,
}


def _need(encoders: Encoders | None, part: str) -> Encoders:
    if encoders is None:
        raise ConfigError(f"{part} needs --encoders BUNDLE, a bundle that holds trained encoders.")
    return encoders


def initialise(objective: Objective, part: str, folder: Path, data: TrainingData) -> None:
    """Start from the weights of a bundle's task; what it lacks, discriminators, stays fresh.

    Raises BundleError when a network of the bundle has other sizes; words that are new to the
    bundle start as the mean of those it knows.
    """
    bundle = Bundle.open(folder)
    task, method = TASK_OF[part]
    spec = bundle.task(task)
    if spec.method != method:
        raise ConfigError(f"{folder} does {task} by {spec.method}, so {part} can't start from it.")
    known = Vocabulary.load(bundle.vocabulary_path(task))
    for role in objective.averaged:
        state = bundle.state(task, role)
        if role == "text_encoder":
            state["encoder.weight"] = _grown(state["encoder.weight"], known, data.vocabulary)
        load_strict(objective.modules[role], state, f"{folder}, {role}")


def _grown(table: Tensor, known: Vocabulary, wanted: Vocabulary) -> Tensor:
    """Rows of an embedding [len(known),D] in the order of another vocabulary."""
    places = {word: k for k, word in enumerate(known.words)}
    mean = table[1:].mean(0)
    return torch.stack([table[places[w]] if w in places else mean for w in wanted.words])


def save(
    folder: Path,
    part: str,
    objective: Objective,
    averaged: Mapping[str, nn.Module],
    data: TrainingData,
    encoders: Encoders | None,
) -> Bundle:
    """Write the trained part as its task of the bundle in ``folder``, with the encoders it was
    trained on.
    """
    task, method = TASK_OF[part]
    network, modules = objective.export(averaged)
    pair = encoders or Encoders.__new__(Encoders)
    if encoders is None:
        pair.text, pair.image = modules["text_encoder"], modules["image_encoder"]  # type: ignore[assignment]
    roles = {**modules, "text_encoder": pair.text}
    if part in ("damsm", "manipulation"):
        roles["image_encoder"] = pair.image
    spec = {
        "method": method,
        "size": data.size,
        "max_words": data.max_words,
        "tokenizer": data.tokenizer,
        "licence": data.licence,
        "network": {} if part == "damsm" else network,
        "text_encoder": asdict(pair.text.config),
        "image_encoder": asdict(pair.image.config) if "image_encoder" in roles else None,
        "classical": list(CLASSICAL) if part == "inpainting" else [],
    }
    states = {role: module.state_dict() for role, module in roles.items()}
    return save_task(
        folder,
        task,
        spec,
        states,
        name=data.name,
        domain=data.domain,
        licence=data.licence,
        words=data.vocabulary.words,
        half=True,
    )
