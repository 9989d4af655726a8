"""Inpainting with a small budget: its options, and the discriminator that it can have."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.errors import ModelsError
from models.inpainting.tdanet.network import InpaintConfig
from models.training.augment import augment, parse_changes
from models.training.losses import discriminator_loss
from models.training.noise import Noise
from models.training.projected_discriminator import build_projected


@dataclass(frozen=True)
class InpaintingOptions:
    """Widths, rates and loss weights. hole_weight: extra weight of L1 inside the hole; small: of
    bill, eye and legs there; text: False trains without words and sentence; convolution: see
    :class:`InpaintConfig`; edges: weight of the difference of gradients in the hole; labels: of
    saying what each of its pixels shows; damsm: of the word and sentence losses; attributes: of
    showing what the caption names, rate_classifier of the network that reads it.

    latent: published, with kl the weight of its two divergences; or conditional, with nat the price
    of a nat and free the share of the generation path that is drawn and not compared with the
    truth in the hole; seeking: weight of mode seeking for these; mean_fill_weight: how much of the
    discriminator's loss the others bear.

    discriminator: projected or none; projected has ndf, mismatched (share of wrong captions among
    the fakes), discriminator_size and augment (DiffAugment's changes, comma separated).
    """

    width: int = 24
    z: int = 64
    refine: int = 2
    spectral: bool = False
    rate: float = 4e-4
    rate_d: float = 4e-4
    latent: str = "published"
    kl: float = 0.5
    nat: float = 0.01
    free: float = 0.0
    seeking: float = 0.0
    mean_fill_weight: float = 1.0
    l1: float = 10.0
    hole_weight: float = 4.0
    small: float = 0.0
    edges: float = 0.0
    labels: float = 0.0
    adversarial: float = 0.2
    text: bool = True
    convolution: str = "plain"
    damsm: float = 0.0
    attributes: float = 0.0
    rate_classifier: float = 2e-3
    discriminator: str = "none"
    ndf: int = 96
    discriminator_size: int = 96
    mismatched: float = 0.5
    augment: str = ""

    def __post_init__(self) -> None:
        if self.latent not in ("published", "conditional"):
            raise ModelsError(f"latent is published or conditional, not {self.latent!r}.")
        if self.latent == "published" and (self.free or self.seeking):
            raise ModelsError("free and seeking need latent = 'conditional'.")
        if self.seeking and not self.free:
            raise ModelsError("seeking compares fills that are drawn; give them a share, free.")


def small_config(size: int, options: InpaintingOptions, text: int) -> InpaintConfig:
    """Latents of 8×8 and one picture per doubling, whatever the size."""
    w = options.width
    table: dict[int, tuple[tuple[int, ...], tuple[int, ...], int]] = {
        32: ((2 * w, 4 * w), (3 * w, 2 * w), 0),
        64: ((w, 3 * w, 5 * w), (4 * w, 3 * w, 2 * w), 1),
        128: ((w, 2 * w, 4 * w, 5 * w), (5 * w, 4 * w, 2 * w, w), 2),
    }
    if size not in table:
        raise ModelsError(
            f"There is no small configuration for {size} pixels, only for {sorted(table)}."
        )
    encoder, decoder, feature = table[size]
    # The attention block needs as many channels in the decoder as in the encoder's feature.
    decoder = (encoder[feature], *decoder[1:])
    return InpaintConfig(
        encoder=encoder,
        feature=feature,
        decoder=decoder,
        outputs=len(decoder),
        z=options.z,
        text=text,
        refine=options.refine,
        spectral=options.spectral,
        text_attention=options.text,
        convolution=options.convolution,
    )


class FillDiscriminator(nn.Module):
    """The projected discriminator, and what it asks of a fill and of itself: hinge losses, wrong
    captions being fakes as well.
    """

    def __init__(self, options: InpaintingOptions, sentence: int) -> None:
        super().__init__()
        self.options = options
        self.changes = parse_changes(options.augment)
        self.network = build_projected(options, sentence)

    def generator_loss(
        self, made: Tensor, sentence: Tensor, weight: Tensor, noise: Noise
    ) -> Tensor:
        """The generator's, of composed pictures [B,3,S,S] by weight [B]; sentence [B,D]."""
        found = self.network.features(self._augment(made, noise, "g"))
        realness = self.network.logits(found, sentence).float()
        return (-realness.mean(1) * weight).mean()

    def discriminator_loss(
        self, real: Tensor, made: Tensor, sentences: tuple[Tensor, Tensor], noise: Noise
    ) -> Tensor:
        """Its own loss; sentences: what the captions say, and wrong ones."""
        conditioning, wrong = sentences
        pairs = [
            (self._augment(images, noise, tag), conditioning)
            for images, tag in ((real, "real"), (made, "fake"))
        ]
        share = self.options.mismatched if self.options.text else 0.0
        return discriminator_loss(self.network, pairs[0], pairs[1], wrong, share)

    def _augment(self, images: Tensor, noise: Noise, tag: str) -> Tensor:
        shown = augment(images, noise, tag, self.changes)
        return shown.contiguous(memory_format=torch.channels_last)


def build_discriminator(options: InpaintingOptions, sentence: int) -> FillDiscriminator | None:
    """As the options say; none for ``discriminator = "none"``. Raises ModelsError for others."""
    if options.discriminator not in ("projected", "none"):
        raise ModelsError(f"discriminator is projected or none, not {options.discriminator!r}.")
    return None if options.discriminator == "none" else FillDiscriminator(options, sentence)
