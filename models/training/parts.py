"""The trainable parts of a bundle: which objective, by which encoders, as which task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from jobs.captions import Vocabulary
from models.bundle import Bundle, load_strict, save_task
from models.damsm.image_encoder import CompactImageEncoder
from models.damsm.inception import ImageEncoder, VggDetail, described, open_image_encoder
from models.damsm.official import OfficialDamsmObjective, OfficialDamsmOptions, load_detail
from models.damsm.recipe import DamsmObjective, DamsmOptions
from models.damsm.text_encoder import TextEncoder, open_text_encoder
from models.detail.generated_recipe import GeneratedDetailObjective, GeneratedDetailOptions
from models.detail.network import DetailNetwork
from models.detail.recipe import DetailObjective, DetailOptions
from models.inpainting.classical import CLASSICAL
from models.inpainting.tdanet.discriminator import InpaintingOptions
from models.inpainting.tdanet.official import OfficialInpaintingObjective, OfficialInpaintingOptions
from models.inpainting.tdanet.recipe import InpaintingObjective
from models.manipulation.manigan.official import AdversarialObjective, AdversarialOptions
from models.manipulation.manigan.photo_encoder import InceptionPhotoEncoder, PhotoEncoder
from models.manipulation.manigan.photo_recipe import PhotoObjective, PhotoOptions
from models.manipulation.manigan.recipe import ManipulationObjective, ManipulationOptions
from models.registry import MethodFolder, method_folders
from models.synthesis.efficient_t2i.recipe import SynthesisObjective, SynthesisOptions
from models.synthesis.efficient_t2i.supervised_recipe import RenderingObjective, RenderingOptions
from models.training.batch import TrainingData
from models.training.config import ConfigError, build_options
from models.training.objective import Modules, Objective

# part -> (task in the bundle, method)
TASK_OF = {
    "damsm": ("damsm", "damsm"),
    "synthesis": ("synthesize", "efficient-t2i"),
    "manipulation": ("manipulate", "manigan"),
    "inpainting": ("inpaint", "tdanet"),
    "detail": ("detail", "subpixel"),
}
# part -> values of its option ``objective``, the default first -> what else it may hold
OPTIONS: dict[str, dict[str, type[Any]]] = {
    "damsm": {"small": DamsmOptions, "official": OfficialDamsmOptions},
    "synthesis": {"hinge": SynthesisOptions, "rendering": RenderingOptions},
    "manipulation": {"paired": ManipulationOptions, "adversarial": AdversarialOptions},
    "inpainting": {"small": InpaintingOptions, "official": OfficialInpaintingOptions},
    "detail": {"compact": DetailOptions, "generated": GeneratedDetailOptions},
}


def further_methods(part: str) -> dict[str, MethodFolder]:
    """Methods of the part's task that bring their own training, by the value of ``objective``."""
    task = TASK_OF[part][0] if part in TASK_OF else ""
    return {name: found for name, found in method_folders().items() if found.task == task}


def needs_encoders(part: str, options: Mapping[str, Any]) -> bool:
    """Whether the objective looks through the frozen encoders of a bundle."""
    folder = further_methods(part).get(str(options.get("objective")))
    return part not in ("damsm", "detail") and (folder is None or folder.package.READS_TEXT)


def parse_options(part: str, options: Mapping[str, Any]) -> Any:
    """The options of the objective that ``objective`` names (adversarial manipulation with
    ``discriminator = "projected"`` is the one for photos). Raises ConfigError for unknown ones.
    """
    own = dict(options)
    further = {name: f.module("recipe").Options for name, f in further_methods(part).items()}
    kinds = OPTIONS[part] | further
    kind = own.pop("objective", next(iter(kinds)))
    if kind not in kinds:
        raise ConfigError(f"{part}.objective is {' or '.join(kinds)}, not {kind!r}.")
    if kinds[kind] is AdversarialOptions and own.get("discriminator") == "projected":
        return build_options(PhotoOptions, own, part)
    return build_options(kinds[kind], own, part)


def known_options(part: str) -> set[str]:
    """Every option that one of the part's objectives has; none when there is no such part."""
    kinds = {*OPTIONS.get(part, {}).values(), *((PhotoOptions,) if part == "manipulation" else ())}
    kinds |= {folder.module("recipe").Options for folder in further_methods(part).values()}
    names = {f.name for kind in kinds for f in fields(kind)}
    return names | {"objective"} if names else set()


class Encoders:
    """The frozen encoders of a bundle and their vocabulary: the DAMSM pair of its own task or of
    whichever holds one, else a text encoder alone (synthesis needs no more); detail: the network
    that published manipulation sees detail through, where there is one.
    """

    def __init__(self, folder: Path) -> None:
        bundle = Bundle.open(folder)
        pairs = [t for t, s in bundle.tasks.items() if "image_encoder" in s.files]
        texts = [t for t, s in bundle.tasks.items() if "text_encoder" in s.files]
        task = next(iter(sorted(pairs, key=lambda t: t != "damsm") + texts), None)
        if task is None:
            raise ConfigError(f"{folder} holds no text encoder; train damsm first.")
        spec = bundle.tasks[task]
        self.sha256 = str(spec.files["text_encoder"]["sha256"])  # names them in a run's record
        self.vocabulary = Vocabulary.load(bundle.vocabulary_path(task))
        self.text = open_text_encoder(bundle, task)
        self.image_encoder = open_image_encoder(bundle, task) if task in pairs else None
        self.detail: VggDetail | None = None
        holder = next((t for t, s in bundle.tasks.items() if "detail" in s.files), None)
        if holder is not None:
            self.detail = VggDetail()
            load_strict(self.detail, bundle.state(holder, "detail"), "detail encoder")
        for module in (self.text, self.image_encoder):
            if module is not None:
                module.eval().requires_grad_(False)

    @property
    def image(self) -> ImageEncoder:
        """Raises ConfigError when the bundle has a text encoder alone."""
        if self.image_encoder is None:
            raise ConfigError(
                "These encoders lack the image encoder; give --encoders a bundle that holds both, "
                "as training damsm makes it."
            )
        return self.image_encoder


def _paired(options: ManipulationOptions, data: TrainingData, pair: Encoders) -> Objective:
    if not isinstance(pair.image, CompactImageEncoder):
        raise ConfigError("Paired manipulation needs encoders of the compact kind.")
    return ManipulationObjective(options, data.size, pair.text, pair.image)


def _manipulation_encoders(pair: Encoders, options: AdversarialOptions) -> PhotoEncoder:
    """What manipulation looks through; VGG-16 beside Inception, from the bundle if it is there."""
    if isinstance(pair.image, CompactImageEncoder):
        return pair.image
    detail = pair.detail or VggDetail()
    if options.detail not in ("imagenet", "random"):
        raise ConfigError(f"detail is imagenet or random, not {options.detail!r}.")
    if options.detail == "imagenet" and (pair.detail is None or options.detail_file):
        load_detail(detail, options.detail_file)
    return InceptionPhotoEncoder(pair.image, detail.eval().requires_grad_(False))


Build = Callable[[Any, TrainingData, Any], Objective]  # of options, data and Encoders or None
_BUILDERS: dict[type[Any], Build] = {
    DamsmOptions: lambda o, d, _: DamsmObjective(o, len(d.vocabulary), d.attributes),
    OfficialDamsmOptions: lambda o, d, _: OfficialDamsmObjective(o, len(d.vocabulary)),
    SynthesisOptions: lambda o, d, e: SynthesisObjective(
        o, d.size, e.text, e.image if o.damsm else None
    ),
    RenderingOptions: lambda o, d, e: RenderingObjective(o, d.size, e.text, d.latent),
    ManipulationOptions: _paired,
    AdversarialOptions: lambda o, d, e: AdversarialObjective(
        o, d.size, e.text, _manipulation_encoders(e, o)
    ),
    PhotoOptions: lambda o, d, e: PhotoObjective(
        o, d.size, e.text, _manipulation_encoders(e, AdversarialOptions())
    ),
    InpaintingOptions: lambda o, d, e: InpaintingObjective(
        o, d.size, e.text, e.image if o.damsm else None, d.attributes
    ),
    OfficialInpaintingOptions: lambda o, d, e: OfficialInpaintingObjective(
        o, d.size, e.text, e.image
    ),
    DetailOptions: lambda o, _d, _e: DetailObjective(o),
    GeneratedDetailOptions: lambda o, _d, _e: GeneratedDetailObjective(o),
}


def _build(
    part: str, options: Mapping[str, Any], data: TrainingData, encoders: Encoders | None
) -> Objective:
    looks = needs_encoders(part, options)
    if looks and encoders is None:
        raise ConfigError(f"{part} needs --encoders BUNDLE, a bundle that holds trained encoders.")
    chosen = parse_options(part, options)
    folder = further_methods(part).get(str(options.get("objective")))
    if folder is None:
        return _BUILDERS[type(chosen)](chosen, data, encoders)
    given = (encoders,) if looks else ()
    return folder.module("recipe").build(chosen, data, *given)


Builder = Callable[[Mapping[str, Any], TrainingData, Encoders | None], Objective]
PARTS: dict[str, Builder] = {part: partial(_build, part) for part in OPTIONS}


def initialise(objective: Objective, part: str, folder: Path, words: Vocabulary) -> None:
    """Start from the weights of a bundle's task. What doesn't ship, discriminators and a module
    that is trained next, comes from its training state (:mod:`models.training.training_state`) or
    stays fresh.

    Raises BundleError when a network of the bundle has other sizes or one is missing that has to
    come from there; words that are new to the bundle start as the mean of those it knows, planes of
    noise that are new to a detail stage at little weight.
    """
    bundle = Bundle.open(folder)
    task, method = TASK_OF[part][0], objective.method or TASK_OF[part][1]
    spec = bundle.task(task)
    if spec.method != method:
        raise ConfigError(f"{folder} does {task} by {spec.method}, so {part} can't start from it.")
    known = bundle.vocabulary(task)
    awaited: set[str] = getattr(objective, "awaits", set())
    held = [r for r in (*objective.averaged, *objective.shipped) if r in spec.files]
    modules = {**objective.frozen, **objective.modules}
    for role in (*held, *sorted(awaited)):
        state = bundle.state(task, role)
        table = {"text_encoder": "encoder.weight", "word_vectors": "weight"}.get(role)
        if table:
            state[table] = grow_embedding(state[table], known, words)
        network = modules[role]
        if isinstance(network, DetailNetwork):
            state = network.add_planes(state)
        load_strict(network, state, f"{folder}, {role}")
    awaited.clear()
    objective.init_loaded()


def sizes_of_bundle(
    folder: Path, part: str, options: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """What a bundle's task says of sizes that training can choose, as ``{"loop": …, "options":
    …}``; ``options`` name the objective.
    """
    task = TASK_OF[part][0]
    spec = Bundle.open(folder).task(task)
    kind = type(parse_options(part, options))
    # A network's "text" is how wide the encoders' features are; options call something else so.
    known = {f.name for f in fields(kind)} - {"text"}
    found = {name: _as_option(value) for name, value in spec.network.items() if name in known}
    return {"loop": {"size": spec.size}, "options": found}


def _as_option(value: Any) -> Any:
    """A network's size as options write it: sequences are comma separated."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value


def grow_embedding(table: Tensor, known: Vocabulary, wanted: Vocabulary) -> Tensor:
    """Rows of an embedding [len(known),D] in the order of another vocabulary."""
    places = {word: k for k, word in enumerate(known.words)}
    mean = table[1:].mean(0)
    return torch.stack([table[places[w]] if w in places else mean for w in wanted.words])


def save(
    folder: Path,
    part: str,
    objective: Objective,
    averaged: Modules,
    data: TrainingData,
    encoders: Encoders | None,
    stage: str = "",
) -> Bundle:
    """Write the trained part as its task of the bundle in ``folder``, with the encoders it was
    trained on. stage: of the training plan, for whoever goes on from there.
    """
    task, method = TASK_OF[part][0], objective.method or TASK_OF[part][1]
    network, modules = objective.export(averaged)
    text = encoders.text if encoders else cast("TextEncoder | None", modules.get("text_encoder"))
    roles = {**modules, "text_encoder": text} if text else dict(modules)
    if part in ("damsm", "manipulation") and not objective.method:
        roles["image_encoder"] = encoders.image if encoders else modules["image_encoder"]
    spec = {
        "method": method,
        "size": data.size,
        "licence": data.licence,
        "network": network,
        "classical": list(CLASSICAL) if part == "inpainting" else [],
    }
    if objective.method and not method_folders()[method].package.READS_TEXT:
        spec["reads_text"] = False
    else:
        spec |= {
            "max_words": data.max_words,
            "tokenizer": data.tokenizer,
            "text_encoder": asdict(text.config) if text else {},
            "image_encoder": described(roles.get("image_encoder")),
        }
    if part == "synthesis" and not objective.method:
        spec["min_words"] = data.min_words
    spec |= {**objective.task_fields, **({"stage": stage} if stage else {})}
    states = {role: module.state_dict() for role, module in roles.items()}
    return save_task(
        folder,
        task,
        spec,
        states,
        name=data.name,
        domain=data.domain,
        licence=data.licence,
        words=data.vocabulary.words if spec.get("reads_text", True) else None,
        half=True,
    )
