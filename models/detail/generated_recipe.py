"""Training the detail stage on pictures that a bundle's synthesis made, beside real ones.

Real pictures made small (:mod:`models.detail.recipe`) teach edges. What a generator makes is softer
still and has faults of its own, which no degradation has, and there is no truth to compare it with:
discriminators on ImageNet features (Sauer et al. 2021) ask whether it looks like a photo once it is
enlarged. One sees whole pictures at half their size, the other squares at full size. Made small
again, pictures have to be what they were, and a network that makes blocks of pixels must not paint
their grid.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.data.sheets import read_sheets
from models.detail.network import enlarge
from models.detail.recipe import DetailObjective, DetailOptions, StepState, cut_patches
from models.training.batch import Batch
from models.training.config import ConfigError
from models.training.losses import ImagesWithSentences, discriminator_loss, generator_loss
from models.training.noise import Noise
from models.training.objective import Exported, Modules, Values
from models.training.projected_discriminator import (
    ProjectedConfig,
    ProjectedDiscriminator,
    trunk_taps,
)

_VIEWS = ("whole", "squares")
_SOFT = 3  # small pixels over which a picture is compared with what it was


@dataclass(frozen=True)
class GeneratedDetailOptions(DetailOptions):
    """generated: folder of sheets as the command ``sheets`` writes them; realism: weight of the
    discriminators' verdict on generated pictures; kept: of being the same when small; even: of
    edges as strong anywhere in a block; realism_taps: blocks of EfficientNet-Lite0 that the
    discriminators look at; heads: channels of theirs; initial: share from 0 to 1 that what is
    written keeps of the weights of ``--init`` (network interpolation, Wang et al. 2018, "ESRGAN",
    section 3.4). The patch discriminator of real pictures is off.
    """

    generated: str = ""
    realism: float = 0.1
    kept: float = 5.0
    even: float = 1.0
    realism_taps: str = "2,4,10,15"
    heads: int = 96
    initial: float = 0.0
    adversarial: float = 0.0
    adversarial_start: int = 0
    rate: float = 4e-4
    rate_d: float = 5e-4


@dataclass(frozen=True)
class GeneratedState(StepState):
    """small: generated pictures [B,3,S/scale,S/scale]; enlarged, photos: these enlarged, and real
    ones [B,3,S,S]; squares: patches of both, in this order.
    """

    small: Tensor
    enlarged: Tensor
    photos: Tensor
    squares: tuple[Tensor, Tensor]

    @property
    def views(self) -> dict[str, tuple[Tensor, Tensor]]:
        """What each discriminator sees: generated and real pictures."""
        made, real = (functional.avg_pool2d(x, 2) for x in (self.enlarged, self.photos))
        return {"whole": (made, real), "squares": self.squares}


class Pictures(nn.Module):
    """Pictures [N,3,S,S] in [-1,1], kept as uint8 on the device of the training."""

    levels: Tensor

    def __init__(self, pictures: Tensor) -> None:
        super().__init__()
        self.register_buffer("levels", ((pictures + 1) * 127.5).round().to(torch.uint8))

    def forward(self, which: Tensor) -> Tensor:
        """The pictures float32 [B,3,S,S] at ``which``, [B] in [0,1)."""
        drawn = self.levels[(which.double() * len(self.levels)).long()]
        return drawn.float() / 127.5 - 1


class GeneratedDetailObjective(DetailObjective):
    options: GeneratedDetailOptions

    def __init__(self, options: GeneratedDetailOptions) -> None:
        if not options.generated:
            raise ConfigError(
                "detail.generated names a folder of pictures that the bundle made: write one with "
                "the command sheets."
            )
        if not 0 <= options.initial <= 1:
            raise ConfigError(f"detail.initial is a share from 0 to 1, not {options.initial}.")
        super().__init__(options)
        self.initial: dict[str, Tensor] = {}
        self.pictures = Pictures(read_sheets(Path(options.generated)))
        self.frozen = {**self.frozen, "pictures": self.pictures}

    def init_loaded(self) -> None:
        self.initial = {k: v.clone() for k, v in self.network.state_dict().items()}

    def _add_discriminators(self) -> None:
        super()._add_discriminators()
        o = self.options
        config = ProjectedConfig(
            o.patch,
            trunk_taps(o.realism_taps),
            width=o.heads,
            deepest=o.patch // 16,
            text=0,
            sentence=1,
        )
        self.modules |= {name: ProjectedDiscriminator(config) for name in _VIEWS}

    def active_steps(self, step: int) -> tuple[str, ...]:
        return tuple(self.optimizer_steps)

    def forward_shared(self, batch: Batch, noise: Noise, step: int) -> GeneratedState:
        o, state = self.options, super().forward_shared(batch, noise, step)
        if o.initial and not self.initial:
            raise ConfigError(
                "detail.initial is a share of the weights of --init: say where these are."
            )
        size, expected = self.pictures.levels.shape[-1], batch.images.shape[-1] // o.scale
        if size != expected:
            raise ConfigError(
                f"detail.generated holds pictures of {size} pixels; with these photos they have to "
                f"have {expected}."
            )
        small = self.to_memory_format(self._draw(noise))
        enlarged = self.enlarge(small, noise, "generated")
        photos = self.to_memory_format(batch.images)
        made, real = (cut_patches(x, o.patch, o.scale, noise) for x in (enlarged, photos))
        return GeneratedState(
            **vars(state), small=small, enlarged=enlarged, photos=photos, squares=(made, real)
        )

    def _draw(self, noise: Noise) -> Tensor:
        """Generated pictures, half of them mirrored."""
        which, mirrored = noise.uniform("generated", 2).T
        drawn: Tensor = self.pictures(which)
        return torch.where((mirrored < 0.5)[:, None, None, None], drawn.flip(3), drawn)

    def loss(self, name: str, state: StepState, step: int) -> tuple[Tensor, Values]:
        assert isinstance(state, GeneratedState)  # noqa: S101 (from forward_shared)
        if name == "discriminator":
            return self._discriminators_loss(state)
        o = self.options
        loss, values = super().loss(name, state, step)
        again = functional.avg_pool2d(state.enlarged, o.scale)
        values["kept"] = functional.l1_loss(_blur(again), _blur(state.small))
        values["even"] = unevenness(state.enlarged, o.scale)
        with self.autocast():
            verdicts = [
                generator_loss(self._projected(view), _unconditional(made))
                for view, (made, _) in state.views.items()
            ]
        values["realism"] = torch.stack(verdicts).mean()
        weights = {"kept": o.kept, "even": o.even, "realism": o.realism}
        return loss + torch.stack([w * values[k] for k, w in weights.items()]).sum(), values

    def preview(self, batch: Batch, noise: Noise, averaged: Modules) -> Tensor:
        """Rows of eight: generated pictures bicubically and by the network, then the rows of real
        ones.
        """
        small = self._draw(noise)[:8]
        rows = [enlarge(small, self.options.scale), averaged["network"](small)]
        return torch.cat([*rows, super().preview(batch, noise, averaged)]).clamp(-1, 1)

    def export(self, averaged: Modules) -> Exported:
        network, roles = super().export(averaged)
        if share := self.options.initial:
            trained = deepcopy(roles["network"])
            mixed = {
                name: torch.lerp(weight, self.initial[name].to(weight), share)
                for name, weight in trained.state_dict().items()
            }
            trained.load_state_dict(mixed)
            roles = {**roles, "network": trained}
        return network, roles

    def _discriminators_loss(self, state: GeneratedState) -> tuple[Tensor, Values]:
        with self.autocast():
            losses = [
                self._hinge_loss(self._projected(view), made.detach(), real)
                for view, (made, real) in state.views.items()
            ]
        loss = torch.stack(losses).sum()
        values = {"discriminators": loss}
        if self.options.adversarial:
            own, more = self._discriminator_loss(state)
            loss, values = loss + own, values | more
        return loss, values

    @staticmethod
    def _hinge_loss(discriminator: ProjectedDiscriminator, made: Tensor, real: Tensor) -> Tensor:
        fake = _unconditional(made)
        return discriminator_loss(discriminator, _unconditional(real), fake, fake[1], 0.0)

    def _projected(self, view: str) -> ProjectedDiscriminator:
        found = self.modules[view]
        assert isinstance(found, ProjectedDiscriminator)  # noqa: S101 (made above)
        return found


def unevenness(pictures: Tensor, scale: int) -> Tensor:
    """How much the mean strength of edges in pictures [B,3,S,S] depends on their position in
    blocks of ``scale`` pixels, whose grid sub-pixel convolution may paint (Odena et al. 2016): the
    squared deviations from their mean, as a share of it, added up; 0 in photos.
    """
    found = []
    for axis in (2, 3):
        steps = pictures.float().diff(dim=axis).abs().mean((0, 1, 5 - axis))
        positions = steps[: len(steps) // scale * scale].view(-1, scale).mean(0)
        found.append(((positions / positions.mean().detach() - 1) ** 2).sum())
    return torch.stack(found).sum()


def _blur(small: Tensor) -> Tensor:
    return functional.avg_pool2d(small, _SOFT, 1)


def _unconditional(pictures: Tensor) -> ImagesWithSentences:
    """With the empty sentence of a discriminator that reads none."""
    return pictures, pictures.new_zeros(len(pictures), 1, dtype=torch.float32)
