"""Training CSA as its code does it (weights and habits of the published training).

Both discriminators step first. Then the coarse network learns from L1 alone; the refined one from
L1 and the discriminator of pictures. The published code computes the discriminator of features and
the consistency loss, too, and cuts their gradients off on the way to the generator, though the
paper means them to act: ``feature_gradients`` lets them. Without it VGG-16 and its discriminator
change no weight that ships, so that small budgets leave them out (``detail = "none"``).

``gradient`` chooses what the attention layer passes back: "published", whose mixing matrix is cut
to integers, or "exact". Pictures of a batch are treated apart; the published batch is of one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.damsm.official import load_detail
from models.errors import ModelsError
from models.inpainting.csa.attention import hole_cells
from models.inpainting.csa.discriminators import (
    FeatureDiscriminator,
    PatchDiscriminator,
    VggFeatures,
    relativistic_loss,
)
from models.inpainting.csa.network import (
    ATTENTIVE,
    CoarseNetwork,
    CsaConfig,
    RefineNetwork,
    coarse_input,
    refine_input,
)
from models.inpainting.tdanet.network import compose
from models.layers import init_normal
from models.training.batch import Batch, TrainingData
from models.training.noise import Noise
from models.training.objective import Modules, Objective, Values, adam_step, stack_rows

_BETAS = (0.5, 0.999)
_FEATURES = 512  # channels of relu4_3, which the consistency loss compares with


@dataclass(frozen=True)
class Options:
    """width: channels of the first levels (ngf, ndf); l1, adversarial: loss weights; gradient,
    feature_gradients: see the module; detail: VGG-16's weights, imagenet, random or none;
    detail_file: where they lie; constant, falling: epochs of ``epoch_steps`` steps (0: none) at the
    full rate and down to zero.
    """

    width: int = 64
    rate: float = 2e-4
    rate_d: float = 2e-4
    l1: float = 100.0
    adversarial: float = 0.2
    gradient: str = "published"
    feature_gradients: bool = False
    detail: str = "imagenet"
    detail_file: str = ""
    epoch_steps: int = 0
    constant: int = 20
    falling: int = 100

    def __post_init__(self) -> None:
        if self.detail not in ("imagenet", "random", "none"):
            raise ModelsError(f"detail is imagenet, random or none, not {self.detail!r}.")
        if self.feature_gradients and (self.detail == "none" or 8 * self.width != _FEATURES):
            raise ModelsError(f"feature_gradients needs detail, and width = {_FEATURES // 8}.")


@dataclass(frozen=True)
class StepState:
    """Pictures [B,3,S,S]; hole masks [B,1,S,S], 1 = hole; fills and probes with their graph."""

    images: Tensor
    hole_mask: Tensor
    coarse: Tensor
    refined: Tensor
    probes: list[Tensor]


class CsaObjective(Objective):
    method = "csa"
    averaged = ("coarse", "refine")

    def __init__(self, options: Options, size: int) -> None:
        super().__init__()
        self.options, self.config = options, sized_config(options, size)
        self.coarse = CoarseNetwork(self.config)
        self.refine = RefineNetwork(self.config, options.gradient)
        self.discriminator = PatchDiscriminator(options.width)
        discriminators: dict[str, nn.Module] = {"discriminator": self.discriminator}
        self.vgg = _vgg(options)
        if self.vgg:
            self.frozen["vgg"] = self.vgg
            self.feature_discriminator = FeatureDiscriminator()
            discriminators["feature_discriminator"] = self.feature_discriminator
        self.modules = {"coarse": self.coarse, "refine": self.refine, **discriminators}
        for module in self.modules.values():
            init_normal(module)
        self.optimizer_steps = {
            "discriminators": adam_step(self.modules, [*discriminators], options.rate_d, _BETAS),
            "generators": adam_step(self.modules, self.averaged, options.rate, _BETAS),
        }

    def rate_share(self, step: int) -> float:
        o = self.options
        epoch = step // o.epoch_steps if o.epoch_steps else 0
        return max(0.0, 1 - max(0, epoch + 2 - o.constant) / (o.falling + 1))

    def forward_shared(self, batch: Batch, noise: Noise, step: int) -> StepState:
        images, mask = self.to_memory_format(batch.images), batch.need("known_mask")
        probes: list[Tensor] = []
        with self.autocast():
            coarse = self.coarse(coarse_input(images, mask)).float()
            given = refine_input(images, mask, coarse.detach())
            refined = self.refine(given, 1 - mask, probes).float()
        return StepState(images, 1 - mask, coarse, refined, probes)

    def loss(self, name: str, state: StepState, step: int) -> tuple[Tensor, Values]:
        if name == "discriminators":
            return self._discriminator_loss(state)
        return self._generator_loss(state)

    def _discriminator_loss(self, state: StepState) -> tuple[Tensor, Values]:
        pictures = state.images, state.refined.detach()
        with self.autocast():
            values = {"d": relativistic_loss(*map(self.discriminator, pictures))}
            if self.vgg:
                scores = [self.feature_discriminator(self.vgg(x)[0]) for x in pictures]
                values["f"] = relativistic_loss(scores[0], scores[1])
        return 0.5 * torch.stack(list(values.values())).sum(), values

    def _generator_loss(self, state: StepState) -> tuple[Tensor, Values]:
        o, images = self.options, state.images
        l1 = {
            "l1_coarse": functional.l1_loss(state.coarse, images),
            "l1_refined": functional.l1_loss(state.refined, images),
        }
        with self.autocast():
            adversarial = [
                relativistic_loss(self.discriminator(state.refined), self.discriminator(images))
            ]
        values: Values = {}
        if self.vgg:
            with torch.set_grad_enabled(o.feature_gradients and torch.is_grad_enabled()):
                values = self._feature_losses(state)
            adversarial.append(values.pop("features"))
        values["g_gan"] = torch.stack(adversarial).sum()
        consistency = [v for k, v in values.items() if k.startswith("consistency")]
        total = o.l1 * (l1["l1_coarse"] + l1["l1_refined"]) + o.adversarial * values["g_gan"]
        return torch.stack([total, *consistency]).sum(), {**l1, **values}

    def _feature_losses(self, state: StepState) -> Values:
        """What the refined picture's features are asked for, and those of its network."""
        assert self.vgg is not None  # noqa: S101 (asked for by the caller)
        with self.autocast():
            (made, _), (real, target) = self.vgg(state.refined), self.vgg(state.images)
            scores = self.feature_discriminator(made), self.feature_discriminator(real)
        found = {"features": relativistic_loss(*scores)}
        if state.probes[0].shape[1] != _FEATURES:  # narrower networks have nothing to compare
            return found
        cells = hole_cells(state.hole_mask).float()
        for name, probe in zip(("in", "out"), state.probes, strict=True):
            shown = probe[:, :_FEATURES].float() * cells
            found[f"consistency_{name}"] = functional.mse_loss(shown, target.float())
        return found

    def preview(self, batch: Batch, noise: Noise, averaged: Modules) -> Tensor:
        """Rows of eight: the picture, with its hole, and both fills."""
        images, mask = batch.images, batch.need("known_mask")
        coarse = averaged["coarse"](coarse_input(images, mask))
        refined = averaged["refine"](refine_input(images, mask, coarse), 1 - mask)
        fills = [compose(x, images, mask) for x in (coarse, refined.clamp(-1, 1))]
        return stack_rows(images, images * mask, *fills)


def sized_config(options: Options, size: int) -> CsaConfig:
    """As many levels as halve ``size`` to one cell. Raises ModelsError for other sizes."""
    levels = round(math.log2(size))
    if 2**levels != size or levels <= ATTENTIVE + 1:
        raise ModelsError(f"CSA is trained at 32, 64, 128 or 256 pixels, not at {size}.")
    return CsaConfig(options.width, levels)


def _vgg(options: Options) -> VggFeatures | None:
    if options.detail == "none":
        return None
    vgg = VggFeatures()
    if options.detail == "imagenet":
        load_detail(vgg, options.detail_file)
    return vgg.eval().requires_grad_(False)


def build(options: Options, data: TrainingData) -> Objective:
    """The objective for a data set's pictures."""
    return CsaObjective(options, data.size)
