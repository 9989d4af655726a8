"""The trainable parts of a bundle: which objective, fed with which encoders, exported as which
task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from models.bundle import Bundle, load_strict, save_task
from models.damsm.image_encoder import CompactEncoderConfig, CompactImageEncoder
from models.damsm.objective import DamsmObjective, DamsmOptions
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
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
    """The frozen DAMSM pair of a bundle, taken from whichever task holds it."""

    def __init__(self, folder: Path) -> None:
        bundle = Bundle.open(folder)
        task = next((t for t, s in bundle.tasks.items() if "image_encoder" in s.files), None)
        if task is None:
            raise ConfigError(f"{folder} holds no image encoder; train damsm first.")
        spec = bundle.tasks[task]
        self.text = TextEncoder(TextEncoderConfig(**spec.text_encoder))
        image = dict(spec.image_encoder or {})
        image["taps"] = tuple(image["taps"])
        self.image = CompactImageEncoder(CompactEncoderConfig(**image))
        load_strict(self.text, bundle.state(task, "text_encoder"), "text encoder")
        load_strict(self.image, bundle.state(task, "image_encoder"), "image encoder")
        for module in (self.text, self.image):
            module.eval().requires_grad_(False)


def _damsm(options: Mapping[str, Any], data: TrainingData, _: Encoders | None) -> Objective:
    return DamsmObjective(build(DamsmOptions, options, "damsm"), len(data.vocabulary))


def _synthesis(
    options: Mapping[str, Any], data: TrainingData, encoders: Encoders | None
) -> Objective:
    from models.synthesis.objective import SynthesisObjective, SynthesisOptions

    pair = _need(encoders, "synthesis")
    chosen = build(SynthesisOptions, options, "synthesis")
    return SynthesisObjective(chosen, data.size, pair.text, pair.image)


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
        "classical": ["telea", "navier-stokes"] if part == "inpainting" else [],
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
