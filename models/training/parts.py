"""The trainable parts of a bundle: which objective, fed with which encoders, exported as which
task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from jobs.captions import Vocabulary
from models.bundle import Bundle, load_strict, save_task
from models.damsm.image_encoder import CompactEncoderConfig, CompactImageEncoder
from models.damsm.inception import InceptionImageEncoder, VggDetail
from models.damsm.objective import DamsmObjective, DamsmOptions
from models.damsm.official import OfficialDamsmObjective, OfficialDamsmOptions, load_detail
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
from models.inpainting.classical import CLASSICAL
from models.inpainting.objective import InpaintingObjective, InpaintingOptions
from models.inpainting.official import OfficialInpaintingObjective, OfficialInpaintingOptions
from models.manipulation.adversarial import AdversarialObjective, AdversarialOptions
from models.manipulation.objective import ManipulationObjective, ManipulationOptions
from models.manipulation.photos import PhotoObjective, PhotoOptions
from models.manipulation.sight import Sight, compact_sight, published_sight
from models.pipeline import config_from
from models.synthesis.objective import SynthesisObjective, SynthesisOptions
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
# part -> values of its option ``objective``, the default first -> what else it may hold
OPTIONS: dict[str, dict[str, type[Any]]] = {
    "damsm": {"small": DamsmOptions, "official": OfficialDamsmOptions},
    "synthesis": {"hinge": SynthesisOptions},
    "manipulation": {"paired": ManipulationOptions, "adversarial": AdversarialOptions},
    "inpainting": {"small": InpaintingOptions, "official": OfficialInpaintingOptions},
}
ImageEncoder = CompactImageEncoder | InceptionImageEncoder


def checked(part: str, options: Mapping[str, Any]) -> Any:
    """The options of the objective that ``objective`` names (adversarial manipulation with
    ``discriminator = "projected"`` is the one for photos). Raises ConfigError for unknown ones.
    """
    own = dict(options)
    kinds = OPTIONS[part]
    kind = own.pop("objective", next(iter(kinds)))
    if kind not in kinds:
        raise ConfigError(f"{part}.objective is {' or '.join(kinds)}, not {kind!r}.")
    if kinds[kind] is AdversarialOptions and own.get("discriminator") == "projected":
        return build(PhotoOptions, own, part)
    return build(kinds[kind], own, part)


class Encoders:
    """The frozen DAMSM pair of a bundle, its own task's or that of whichever holds one, and its
    vocabulary;
    detail: the network that published manipulation sees detail through, where there is one.
    """

    def __init__(self, folder: Path) -> None:
        bundle = Bundle.open(folder)
        holders = [t for t, s in bundle.tasks.items() if "image_encoder" in s.files]
        task = next(iter(sorted(holders, key=lambda t: t != "damsm")), None)
        if task is None:
            raise ConfigError(f"{folder} holds no image encoder; train damsm first.")
        spec = bundle.tasks[task]
        self.sha256 = str(spec.files["text_encoder"]["sha256"])  # names the pair in a run's record
        self.vocabulary = Vocabulary.load(bundle.vocabulary_path(task))
        self.text = TextEncoder(config_from(TextEncoderConfig, spec.text_encoder, str(folder)))
        self.image = _image_encoder(spec.image_encoder or {}, str(folder))
        self.detail: VggDetail | None = None
        load_strict(self.text, bundle.state(task, "text_encoder"), "text encoder")
        load_strict(self.image, bundle.state(task, "image_encoder"), "image encoder")
        holder = next((t for t, s in bundle.tasks.items() if "detail" in s.files), None)
        if holder is not None:
            self.detail = VggDetail()
            load_strict(self.detail, bundle.state(holder, "detail"), "detail encoder")
        for module in (self.text, self.image):
            module.eval().requires_grad_(False)


def _image_encoder(spec: Mapping[str, Any], where: str) -> ImageEncoder:
    """Of either kind, as :func:`_described` writes it."""
    raw = dict(spec)
    if raw.pop("kind", "compact") == "compact":
        return CompactImageEncoder(config_from(CompactEncoderConfig, raw, where))
    return InceptionImageEncoder(**raw)


def _described(image: ImageEncoder) -> dict[str, Any]:
    """An image encoder's part of ``bundle.json``."""
    if isinstance(image, CompactImageEncoder):
        return asdict(image.config)
    return {"kind": "inception", "features": image.emb_features.out_channels}


def _damsm(options: Mapping[str, Any], data: TrainingData, _: Encoders | None) -> Objective:
    chosen = checked("damsm", options)
    if isinstance(chosen, OfficialDamsmOptions):
        return OfficialDamsmObjective(chosen, len(data.vocabulary))
    return DamsmObjective(chosen, len(data.vocabulary), data.attributes)


def _synthesis(
    options: Mapping[str, Any], data: TrainingData, encoders: Encoders | None
) -> Objective:
    pair = _need(encoders, "synthesis")
    return SynthesisObjective(checked("synthesis", options), data.size, pair.text, pair.image)


def _manipulation(
    options: Mapping[str, Any], data: TrainingData, encoders: Encoders | None
) -> Objective:
    pair = _need(encoders, "manipulation")
    chosen = checked("manipulation", options)
    if isinstance(chosen, AdversarialOptions):
        return AdversarialObjective(chosen, data.size, pair.text, _sight(pair, chosen))
    if isinstance(chosen, PhotoOptions):
        return PhotoObjective(chosen, data.size, pair.text, _sight(pair, AdversarialOptions()))
    if not isinstance(pair.image, CompactImageEncoder):
        raise ConfigError("Paired manipulation needs encoders of the compact kind.")
    return ManipulationObjective(chosen, data.size, pair.text, pair.image)


def _sight(pair: Encoders, options: AdversarialOptions) -> Sight:
    """What manipulation looks through; VGG-16 beside Inception, from the bundle if it is there."""
    if isinstance(pair.image, CompactImageEncoder):
        return compact_sight(pair.image)
    detail = pair.detail or VggDetail()
    if options.detail not in ("imagenet", "random"):
        raise ConfigError(f"detail is imagenet or random, not {options.detail!r}.")
    if options.detail == "imagenet" and (pair.detail is None or options.detail_file):
        load_detail(detail, options.detail_file)
    return published_sight(pair.image, detail)


def _inpainting(
    options: Mapping[str, Any], data: TrainingData, encoders: Encoders | None
) -> Objective:
    pair = _need(encoders, "inpainting")
    chosen = checked("inpainting", options)
    if isinstance(chosen, OfficialInpaintingOptions):
        return OfficialInpaintingObjective(chosen, data.size, pair.text, pair.image)
    return InpaintingObjective(chosen, data.size, pair.text, pair.image)


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


def initialise(objective: Objective, part: str, folder: Path, words: Vocabulary) -> None:
    """Start from the weights of a bundle's task; what it lacks, discriminators and a module that
    is trained next, stays fresh.

    Raises BundleError when a network of the bundle has other sizes or one is missing that has to
    come from there; words that are new to the bundle start as the mean of those it knows.
    """
    bundle = Bundle.open(folder)
    task, method = TASK_OF[part]
    spec = bundle.task(task)
    if spec.method != method:
        raise ConfigError(f"{folder} does {task} by {spec.method}, so {part} can't start from it.")
    known = Vocabulary.load(bundle.vocabulary_path(task))
    awaited: set[str] = getattr(objective, "awaits", set())
    held = [role for role in objective.averaged if role in spec.files]
    for role in (*held, *sorted(awaited)):
        state = bundle.state(task, role)
        if role == "text_encoder":
            state["encoder.weight"] = grown(state["encoder.weight"], known, words)
        modules = objective.frozen if role in awaited else objective.modules
        load_strict(modules[role], state, f"{folder}, {role}")
    awaited.clear()


def grown(table: Tensor, known: Vocabulary, wanted: Vocabulary) -> Tensor:
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
    text, image = _pair(modules, encoders)
    roles = {**modules, "text_encoder": text}
    if part in ("damsm", "manipulation"):
        roles["image_encoder"] = image
    spec = {
        "method": method,
        "size": data.size,
        "max_words": data.max_words,
        "tokenizer": data.tokenizer,
        "licence": data.licence,
        "network": {} if part == "damsm" else network,
        "text_encoder": asdict(text.config),
        "image_encoder": _described(image) if "image_encoder" in roles else None,
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


def _pair(
    modules: Mapping[str, nn.Module], encoders: Encoders | None
) -> tuple[TextEncoder, ImageEncoder]:
    """The encoders that a part was trained on, or that it trained."""
    if encoders is not None:
        return encoders.text, encoders.image
    return cast("TextEncoder", modules["text_encoder"]), cast(
        "ImageEncoder", modules["image_encoder"]
    )
