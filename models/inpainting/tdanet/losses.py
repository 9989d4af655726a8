"""One training step of TDANet: its two paths and their losses (paper section 3.4, weights of the
published training).

Reconstruction draws its latent from the posterior, which sees the hidden region; generation draws
it from the prior, as at test time. The published training gives each path the *other* one's word
context (``crossed``), so that the combination of the test was never trained; uncrossed is what the
paper says. Unlike PICNet, both paths' L1 covers the whole picture, and the discriminators see the
reconstruction alone as fake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.damsm.losses import Caption, encode_captions
from models.damsm.text_encoder import TextEncoder
from models.inpainting.tdanet.network import InpaintEncoder, InpaintGenerator, compose
from models.training.batch import Batch
from models.training.distributed import share_of_count
from models.training.losses import small_part_mask
from models.training.noise import Noise
from models.training.objective import Modules, Objective, stack_rows

KL_FACTOR, L1_FACTOR, MATCH_FACTOR = 80.0, 20.0, 0.1
# DAMSM of this paper: γ1, γ2, γ3.
GAMMAS = (5.0, 5.0, 10.0)


@dataclass(frozen=True)
class Paths:
    """rec, gen: pictures of both paths from coarse to fine, in [-1,1]; posterior, prior: (mu,
    sigma), [B,z,h,w]; latents: what either path was drawn from; features [2B,C,S,S]: of which the
    largest pictures of both paths were made.
    """

    rec: list[Tensor]
    gen: list[Tensor]
    posterior: tuple[Tensor, Tensor]
    prior: tuple[Tensor, Tensor]
    latents: tuple[Tensor, Tensor]
    features: Tensor


def two_paths(
    encoder: InpaintEncoder,
    generator: InpaintGenerator,
    images: Tensor,
    mask: Tensor,
    texts: tuple[Tensor, Tensor, Tensor],
    draws: Tensor,
    crossed: bool = False,
) -> Paths:
    """images [B,3,S,S] in [-1,1]; mask [B,1,S,S], 1 = known; texts: words [B,text,T], sentence
    [B,text], pad [B,T]; draws [2,B,z,h,w]: standard normal, of the posterior and of the prior."""
    words, sentence, pad = texts
    shown = torch.cat([images * mask, images * (1 - mask)])
    features = encoder.pyramid(shown, torch.cat([mask, 1 - mask]))
    known, hidden = features[-1].chunk(2)
    cells = encoder.cells(mask, hidden)
    look = encoder.word_attention
    seen, _ = look(known, words, pad, cells > 1 - 1e-6, reverse=True)
    covered, _ = look(hidden, words, pad, cells < 1e-6, reverse=False)
    refined = encoder.refine(known)
    by_seen = encoder.summarise(refined, sentence, seen)
    by_covered = encoder.summarise(refined, sentence, covered)
    posterior = encoder.distribution(
        encoder.posterior, encoder.summarise(hidden, sentence, covered)
    )
    prior = encoder.distribution(encoder.prior, by_seen)
    (mu_p, sigma_p), (mu_q, sigma_q) = posterior, prior
    latents = mu_p + sigma_p * draws[0], mu_q + sigma_q * draws[1]
    summaries = [by_seen, by_covered] if crossed else [by_covered, by_seen]
    feature = features[encoder.config.feature].chunk(2)[0]
    pictures, painted = generator.forward_with_features(
        torch.cat(latents), torch.cat(summaries), torch.cat([feature] * 2), torch.cat([mask] * 2)
    )
    halves = [picture.chunk(2) for picture in pictures]
    rec, gen = [h[0] for h in halves], [h[1] for h in halves]
    return Paths(rec, gen, posterior, prior, latents, painted)


class TwoPathObjective(Objective):
    """What every way of training TDANet shares: its networks' two paths, previews and what ships.
    crossed: each path is given the other one's word context.
    """

    averaged = ("encoder", "generator")

    def __init__(
        self,
        encoder: InpaintEncoder,
        generator: InpaintGenerator,
        size: int,
        text: TextEncoder,
        crossed: bool = False,
    ) -> None:
        super().__init__()
        self.encoder, self.generator, self.text = encoder, generator, text
        self.config, self.crossed = encoder.config, crossed
        self.frozen = {"text_encoder": text}
        self.modules = {"encoder": encoder, "generator": generator}
        self.latent_side = size >> len(self.config.encoder)

    def paths(
        self,
        images: Tensor,
        mask: Tensor,
        caption: Caption,
        noise: Noise,
        drawn: Tensor | None = None,
    ) -> Paths:
        """Both paths' pictures of images [B,3,S,S] in [-1,1]; mask [B,1,S,S], 1 = known. drawn
        float32 [B]: 1 where the generation path draws its latent, as all do when it is left out,
        and 0 where it takes the mean.
        """
        shape = (self.config.z, self.latent_side, self.latent_side)
        rec, gen = noise.normal("rec", *shape), noise.normal("gen", *shape)
        draws = torch.stack([rec, gen if drawn is None else gen * drawn[:, None, None, None]])
        networks = self.encoder, self.generator
        return two_paths(*networks, images, mask, caption.parts, draws, self.crossed)

    def preview(self, batch: Batch, noise: Noise, averaged: Modules) -> Tensor:
        """Rows of eight: pictures, their holes, filled, and filled by the next one's caption."""
        own = self._fill(batch, batch.ids, batch.lengths, averaged)
        other = self._fill(batch, batch.ids.roll(1, 0), batch.lengths.roll(1), averaged)
        holed = batch.images * batch.need("known_mask")
        return stack_rows(batch.images, holed, own, other)

    def _fill(self, batch: Batch, ids: Tensor, lengths: Tensor, averaged: Modules) -> Tensor:
        caption, mask = encode_captions(self.text, ids, lengths), batch.need("known_mask")
        found = averaged["encoder"](batch.images, mask, *caption.parts)
        feature = found.features[self.config.feature]
        out = averaged["generator"](found.mu, found.summary, feature, mask)[-1]
        return compose(out, batch.images, mask)


def kl_losses(paths: Paths) -> tuple[Tensor, Tensor]:
    """KL of N(0,1) from the posterior, of the detached posterior from the prior; means."""
    mu, sigma = paths.posterior
    standard = gaussian_kl(torch.zeros_like(mu), torch.ones_like(sigma), mu, sigma)
    return standard, gaussian_kl(mu.detach(), sigma.detach(), *paths.prior)


def gaussian_kl(mu_a: Tensor, sigma_a: Tensor, mu_b: Tensor, sigma_b: Tensor) -> Tensor:
    """KL(N(a) || N(b)), averaged over all elements."""
    ratio = (sigma_a / sigma_b).square()
    shift = ((mu_a - mu_b) / sigma_b).square()
    return 0.5 * (ratio + shift - 1 - ratio.log()).mean()


def latent_kl(paths: Paths) -> Tensor:
    """KL of the prior from the posterior, both of them learning: what a picture tells of its hidden
    region, in nats, mean over pictures (Sohn et al. 2015, equation 4).
    """
    mu = paths.posterior[0]
    return gaussian_kl(*paths.posterior, *paths.prior) * mu[0].numel()


def pyramid_l1(pictures: Sequence[Tensor], images: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean absolute difference of pictures [B,3,s,s] from small to large to the resized images
    [B,3,S,S], summed over scales; weight [B,1,S,S] of each pixel.
    """
    total = images.new_zeros(())
    for picture in pictures:
        size = (picture.shape[-2], picture.shape[-1])
        target = functional.interpolate(images, size, mode="bilinear", align_corners=True)
        gap = (picture - target).abs()
        share = 1.0 if weight is None else functional.adaptive_avg_pool2d(weight, size)
        total = total + (share * gap).mean()
    return total


def least_squares_discriminator_loss(
    discriminator: nn.Module, real: Tensor, fake: Tensor
) -> Tensor:
    """Least squares; ``fake`` is detached here."""
    good = (discriminator(real) - 1).square().mean()
    return 0.5 * (good + discriminator(fake.detach()).square().mean())


def least_squares_generator_loss(discriminator: nn.Module, fake: Tensor) -> Tensor:
    """Least squares GAN loss of the generator."""
    return (discriminator(fake) - 1).square().mean()


def score_matching_losses(
    discriminator: nn.Module, rec: Tensor, gen: Tensor, real: Tensor
) -> tuple[Tensor, Tensor]:
    """Squared distance of the second discriminator's scores of the real picture and of either
    path's; in this order of forwards, since each of them moves the spectral vectors.
    """
    made, target = discriminator(rec), discriminator(real)
    return functional.mse_loss(made, target), functional.mse_loss(discriminator(gen), target)


_CLOSEST = 1e-5  # difference of two fills from which they are no nearer


def pixel_weights(mask: Tensor, hole_weight: float, labels: Tensor | None, small: float) -> Tensor:
    """What each pixel weighs, float32 [B,1,S,S] of mean 1 in each picture: one of the hole (mask 0)
    ``hole_weight`` more than a known one, of these one of a small thing ``small`` times as much
    again.
    """
    weight = 1 - mask
    if labels is not None:
        weight = weight * (1 + small * small_part_mask(labels))
    weight = 1 + hole_weight * weight
    return weight / weight.mean((1, 2, 3), keepdim=True)


def label_loss(logits: Tensor, labels: Tensor, counted: Tensor) -> Tensor:
    """Cross entropy of logits [B,L,S,S] and labels [B,S,S], over pixels counted [B,1,S,S]."""
    each = functional.cross_entropy(logits.float(), labels, reduction="none") * counted[:, 0]
    return each.sum() / share_of_count(counted.sum())


def mode_seeking_loss(
    pictures: tuple[Tensor, Tensor],
    latents: tuple[Tensor, Tensor],
    hole_mask: Tensor,
    weight: Tensor,
) -> Tensor:
    """How far apart two latents [B,z,h,w] are for each unit that their pictures [B,3,S,S] differ in
    the hole [B,1,S,S] (mode seeking, Mao et al. 2019, equation 3): fills that ignore their latent
    make it large. The mean over the pictures counted [B] (1 or 0), 0 where none is.
    """
    one, two = pictures
    apart = ((one - two).abs() * hole_mask).sum((1, 2, 3)) / (hole_mask.sum((1, 2, 3)) * 3).clamp(
        min=1
    )
    drawn = (latents[0] - latents[1]).abs().mean((1, 2, 3)).detach()
    each = (drawn / (apart + _CLOSEST)).clamp(max=1e3)
    return (each * weight).sum() / share_of_count(weight.sum())
