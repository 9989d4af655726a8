"""The discriminators that inpainting with a small budget can have, behind one pair of losses."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.errors import ModelsError
from models.inpainting.network import CriticConfig, InpaintCritic
from models.inpainting.options import InpaintingOptions
from models.synthesis.projected import ProjectedDiscriminator, projected
from models.training.augment import augmented, parse_changes
from models.training.hinge import judging_loss
from models.training.noise import Noise

_KINDS = ("own", "projected", "none")


class FillJudge(nn.Module):
    """One of the discriminators, and what it asks of a fill and of itself. That which looks at
    sentences learns by hinge losses and from wrong captions, the network's own by least squares.
    """

    def __init__(self, options: InpaintingOptions, sentence: int) -> None:
        super().__init__()
        self.options = options
        self.changes = parse_changes(options.augment)
        self.network: InpaintCritic | ProjectedDiscriminator = (
            InpaintCritic(CriticConfig((32, 64, 128), 2))
            if options.discriminator == "own"
            else projected(options, sentence)
        )

    @property
    def listens(self) -> bool:
        """Whether it looks at sentences."""
        return not isinstance(self.network, InpaintCritic)

    def fooled(self, made: Tensor, sentence: Tensor, weight: Tensor, noise: Noise) -> Tensor:
        """The generator's loss of composed pictures [B,3,S,S], of which each weighs [B]; sentence
        [B,D].
        """
        if isinstance(self.network, InpaintCritic):
            short = (self.network(made) - 1).square().flatten(1)
        else:
            found = self.network.features(self._shown(made, noise, "g"))
            short = -self.network.logits(found, sentence)
        return (short.float().mean(1) * weight).mean()

    def judged(
        self,
        real: Tensor,
        made: Tensor,
        sentences: tuple[Tensor, Tensor],
        noise: Noise,
    ) -> Tensor:
        """Its own loss; sentences: what the captions say, and wrong ones."""
        if isinstance(self.network, InpaintCritic):
            good, bad = self.network(torch.cat([real, made])).chunk(2)
            return 0.5 * ((good - 1).square().mean() + bad.square().mean())
        told, wrong = sentences
        pairs = [
            (self._shown(images, noise, tag), told)
            for images, tag in ((real, "real"), (made, "fake"))
        ]
        share = self.options.mismatched if self.options.text else 0.0
        return judging_loss(self.network, pairs[0], pairs[1], wrong, share)

    def _shown(self, images: Tensor, noise: Noise, tag: str) -> Tensor:
        shown = augmented(images, noise, tag, self.changes)
        return shown.contiguous(memory_format=torch.channels_last)


def judge_of(options: InpaintingOptions, sentence: int) -> FillJudge | None:
    """As the options say; none for ``discriminator = "none"``. Raises ModelsError for others."""
    if options.discriminator not in _KINDS:
        raise ModelsError(f"discriminator is {', '.join(_KINDS)}, not {options.discriminator!r}.")
    return None if options.discriminator == "none" else FillJudge(options, sentence)
