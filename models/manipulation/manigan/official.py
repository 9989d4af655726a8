"""Training ManiGAN as published (paper sections 3.4 and 3.5, sums as in the code).

First the main module, against one discriminator per stage, then the detail correction module (DCM)
on the main module's frozen features, against one of its own; ``train`` says which, and the
second starts from the first one's bundle by ``--init``. With ``both`` they learn side by side:
the DCM still changes no weight of the main module, whose features it then sees before they are
settled.

As in the code, the caption that is given with a photo is always its own, so edits themselves are
never rehearsed, and the reward of change (−L1) stands in the DCM's loss alone. The word-level term
of the discriminators is left out: it depends on no trained weight. A mismatched pair is a picture
with its neighbour's sentence, neighbours being those of one process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.bundle import Bundle
from models.checkpoints.exporter import Content, exportable_config, role_files
from models.checkpoints.files import count, fit, need, read
from models.checkpoints.published import UNCUT, Published
from models.damsm.inception import described
from models.damsm.losses import Caption, encode_captions, matching_losses
from models.damsm.official import read_image_encoder, read_text, read_vgg_detail
from models.damsm.text_encoder import TextEncoder
from models.errors import ModelsError
from models.manipulation.manigan import losses
from models.manipulation.manigan.discriminators import ManiganDiscriminator
from models.manipulation.manigan.network import (
    DetailCorrection,
    MainModule,
    ManiganConfig,
    edit,
    use_published_masks,
)
from models.manipulation.manigan.photo_encoder import PhotoEncoder, bundle_modules, frozen_modules
from models.training.batch import Batch
from models.training.noise import Noise
from models.training.objective import Exported, Modules, Objective, Values, adam_step, stack_rows

_BETAS = (0.5, 0.999)


@dataclass(frozen=True)
class AdversarialOptions:
    """train: main, dcm or both; published_masks: mask words as the published training did, with its
    slip; detail: imagenet or random weights of VGG-16, for bundles that look through Inception and
    bring none, from detail_file or torchvision's download; the rest are widths and rates.
    """

    discriminator: str = "own"
    train: str = "both"
    ngf: int = 32
    ndf: int = 64
    blocks: int = 2
    combine: int = 128
    z: int = 100
    condition: int = 100
    norm: str = "instance"
    combination: str = "affine"
    rate: float = 2e-4
    rate_d: float = 2e-4
    published_masks: bool = False
    detail: str = "imagenet"
    detail_file: str = ""


@dataclass(frozen=True)
class StepState:
    """reals: the photos at every stage's size; pictures: the main module's, and final: the DCM's,
    with their graphs as far as they are trained; mu, logvar: of the conditioning.
    """

    reals: tuple[Tensor, ...]
    pictures: tuple[Tensor, ...]
    final: Tensor | None
    mu: Tensor
    logvar: Tensor
    caption: Caption
    class_ids: Tensor


class AdversarialObjective(Objective):
    """See :class:`models.training.objective.Objective`. awaits: frozen networks whose weights have
    to come from a bundle.
    """

    least_slice = 2

    def __init__(
        self, options: AdversarialOptions, size: int, text: TextEncoder, encoders: PhotoEncoder
    ) -> None:
        super().__init__()
        if options.train not in ("main", "dcm", "both"):
            raise ModelsError(f"train is main, dcm or both, not {options.train!r}.")
        self.options, self.text, self.encoders = options, text, encoders
        self.config = manigan_config(options, size, text, encoders)
        self.main, self.dcm = MainModule(self.config), DetailCorrection(self.config)
        init_orthogonal(self.main)
        if options.published_masks:
            use_published_masks(self.main)
            use_published_masks(self.dcm)
        self.frozen = frozen_modules(text, encoders)
        self.awaits: set[str] = set()
        self.modules, self.optimizer_steps = {}, {}
        self.judges: dict[str, ManiganDiscriminator] = {}
        self.stages: dict[str, int] = {}  # that each of them looks at
        if options.train == "dcm":
            self._freeze_main()
        else:
            self._add("main", self.main, {f"judge{k}": k for k in range(3)})
        if options.train != "main":
            self._add("dcm", self.dcm, {"judge_dcm": 2})
        self.averaged = tuple(name for name in ("main", "dcm") if name in self.modules)

    def _freeze_main(self) -> None:
        self.main.eval().requires_grad_(False)
        self.frozen["main"] = self.main
        self.awaits = {"main"}

    def _add(self, name: str, module: nn.Module, discriminators: Mapping[str, int]) -> None:
        """One module's phases: its discriminators', named with their stage, then its own."""
        o = self.options
        for judge, stage in discriminators.items():
            made = ManiganDiscriminator(self.config.base << stage, o.ndf, self.config.text)
            self.modules[judge] = init_orthogonal(made)
            self.judges[judge], self.stages[judge] = made, stage
            self.optimizer_steps[judge] = adam_step(self.modules, [judge], o.rate_d, _BETAS)
        self.modules[name] = module
        self.optimizer_steps[name] = adam_step(self.modules, [name], o.rate, _BETAS)

    def forward_shared(self, batch: Batch, noise: Noise, step: int) -> StepState:
        if self.awaits:
            raise ModelsError(
                "The detail correction module learns on a trained main module: name the bundle that"
                " holds one with --init."
            )
        caption = encode_captions(self.text, batch.ids, batch.lengths)
        images = self.to_memory_format(batch.images)
        with self.autocast():
            photo = self.encoders.photo(images)
            with torch.set_grad_enabled(torch.is_grad_enabled() and "main" in self.modules):
                draws = draw_noise(self.config, noise)
                out = self.main(*draws, *caption.parts, photo.code, photo.regions)
            final = None
            if "dcm" in self.modules:
                hidden = out.hidden.detach()
                final, _ = self.dcm(hidden, photo.detail, caption.words, caption.pad)
        sides = [self.config.base << k for k in range(3)]
        reals = tuple(functional.adaptive_avg_pool2d(images, side) for side in sides)
        return StepState(reals, out.pictures, final, out.mu, out.logvar, caption, batch.class_ids)

    def loss(self, name: str, state: StepState, step: int) -> tuple[Tensor, Values]:
        if name == "main":
            return self._main_loss(state)
        if name == "dcm":
            return self._correction_loss(state)
        stage = self.stages[name]
        fake = state.final if name == "judge_dcm" else state.pictures[stage]
        assert fake is not None  # noqa: S101 (made for this phase)
        with self.autocast():
            loss = losses.discriminator_loss(
                self.judges[name], state.reals[stage], fake, state.caption.sentence
            )
        return loss, {name: loss}

    def _main_loss(self, state: StepState) -> tuple[Tensor, Values]:
        sentence = state.caption.sentence
        with self.autocast():
            adversarial = [
                losses.adversarial_loss(self.judges[f"judge{k}"], picture, sentence)
                for k, picture in enumerate(state.pictures)
            ]
            perceptual = losses.perceptual_loss(self.encoders.detail, state.pictures, state.reals)
        matching = self._damsm_loss(state.pictures[-1], state)
        kl = losses.kl_loss(state.mu, state.logvar)
        values = {"g": torch.stack(adversarial).sum(), "matching": matching}
        values |= {"perceptual": perceptual, "kl": kl}
        return losses.main_loss(adversarial, matching, perceptual, kl), values

    def _correction_loss(self, state: StepState) -> tuple[Tensor, Values]:
        assert state.final is not None  # noqa: S101 (made for this phase)
        with self.autocast():
            adversarial = losses.adversarial_loss(
                self.judges["judge_dcm"], state.final, state.caption.sentence
            )
        matching = self._damsm_loss(state.final, state)
        loss = losses.correction_loss(adversarial, matching, state.final, state.reals[-1])
        return loss, {"g_dcm": adversarial, "matching_dcm": matching}

    def _damsm_loss(self, pictures: Tensor, state: StepState) -> Tensor:
        """The sum of the four DAMSM losses."""
        with self.autocast():
            features = self.encoders.image(self.to_memory_format(pictures))
        word, sentence = matching_losses(features, state.caption, state.class_ids)
        return word + sentence

    def preview(self, batch: Batch, noise: Noise, averaged: Modules) -> Tensor:
        """Rows of eight: the photo, and what the networks make of it by a caption not its own."""
        return stack_rows(batch.images, self._edit(averaged, batch, noise))

    def _edit(self, averaged: Modules, batch: Batch, noise: Noise) -> Tensor:
        """Pictures [B,3,S,S] by the last network there is, from the wrong captions."""
        caption = encode_captions(self.text, batch.negative_ids, batch.negative_lengths)
        photo = self.encoders.photo(self.to_memory_format(batch.images))
        made = {"main": self.main, **averaged}
        return edit(made, *draw_noise(self.config, noise), *caption.parts, photo)[0]

    def export(self, averaged: Modules) -> Exported:
        config = self.config if "dcm" in averaged else replace(self.config, modules="main")
        main = averaged.get("main", self.main)
        return asdict(config), {"main": main, **averaged, **bundle_modules(self.encoders)}


def manigan_config(
    options: Any, size: int, text: TextEncoder, encoders: PhotoEncoder
) -> ManiganConfig:
    """Of pictures of ``size`` pixels; options: anything with AdversarialOptions' widths, and
    ``combination``, ``modules`` and ``background`` where there is a choice. Raises ModelsError for
    sizes that its stages can't make.
    """
    if size < 16 or size & (size - 1):  # stages double from 4×4 on
        raise ModelsError(f"ManiGAN is trained at 16, 32, 64, 128 or 256 pixels, not at {size}.")
    names = ("ngf", "blocks", "combine", "z", "condition", "norm")
    choices = ("combination", "modules", "background")
    widths = {name: getattr(options, name) for name in (*names, *choices) if hasattr(options, name)}
    regions, detail = encoders.photo_channels
    features = text.config.features
    return ManiganConfig(**widths, base=size // 4, text=features, regions=regions, detail=detail)


def draw_noise(config: Any, noise: Noise) -> tuple[Tensor, Tensor]:
    """A step's noise [B,z], and that of the conditioning [B,condition]."""
    return noise.normal("z", config.z), noise.normal("condition", config.condition)


def init_orthogonal(module: nn.Module) -> nn.Module:
    """First weights as published, in place: orthogonal matrices, batch norms' gains N(1, 0.02)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.orthogonal_(layer.weight)
        if isinstance(layer, nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
            nn.init.zeros_(layer.bias)
    return module


def read_published(files: Mapping[str, Path]) -> Published:
    """files: main, dcm, text-encoder, image-encoder, captions, and vgg (else torchvision's
    download). Raises BundleError when they are of another kind.
    """
    words, text_encoder = read_text(files)
    image = read_image_encoder(files["image-encoder"])
    names = files["main"].name, files["dcm"].name
    main_what, dcm_what = f"main module {names[0]}", f"detail correction {names[1]}"
    main_state, dcm_state = read(files["main"]), read(files["dcm"])
    conditions, text = need(main_state, "ca_net.fc.weight", main_what).shape
    entry = need(main_state, "h_net1.fc.0.weight", main_what).shape[1]
    ngf = need(main_state, "img_net1.img.0.weight", main_what).shape[1]
    config = ManiganConfig(
        ngf=ngf,
        base=isqrt(len(need(main_state, "h_net2.channel_att.conv_context2.weight", main_what))),
        blocks=count(main_state, "h_net2.residual.{}.", main_what),
        z=entry - conditions // 4 - text,
        condition=conditions // 4,
        text=text,
        regions=need(main_state, "imgUpSample.1.weight", main_what).shape[1],
        detail=need(dcm_state, "upsample.1.weight", dcm_what).shape[1],
        combine=len(need(main_state, "SAIN1.conv.weight", main_what)),
    )
    roles: dict[str, nn.Module] = {
        "main": fit(MainModule(config), main_state, main_what),
        "dcm": fit(DetailCorrection(config), dcm_state, dcm_what),
        "text_encoder": text_encoder,
        "image_encoder": image,
        "detail": read_vgg_detail(files.get("vgg")),
    }
    more = {"text_encoder": asdict(text_encoder.config), "image_encoder": described(image)}
    return Published(config.size, asdict(config), roles, words, UNCUT, more)


def published_files(bundle: Bundle, task: str) -> dict[str, Content]:
    """Bare state dicts."""
    exportable_config(bundle, task, ManiganConfig, ("norm", "combination", "modules"))
    names = {"main": "main.pth", "dcm": "dcm.pth", "image_encoder": "image_encoder.pth"}
    return role_files(bundle, task, {**names, "detail": "vgg16.pth"})
