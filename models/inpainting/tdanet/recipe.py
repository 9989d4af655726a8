"""Training TDANet for small budgets.

Two paths as in the paper (section 3.4): reconstruction (posterior latent, sees the hidden region)
and generation (prior latent, as at test time), here each with the word context of its own side (see
:mod:`models.inpainting.tdanet.losses`). Losses: L1 pyramid in which the hole weighs more, KL of
posterior and prior, least squares GAN on the composed picture of the generation path.

The paper's generation path draws its latent and is compared with the truth all the same, so that
the best it can do is to ignore what it drew: fills of one hole then are alike (measured in
docs/log.md). With ``latent = "conditional"`` posterior and prior are those of a
conditional VAE (Sohn et al. 2015), what a picture tells of its hole has a price in nats, and the
generation path is compared where it takes the prior's mean alone; the ``free`` share that is drawn
has to please the other losses.

By options: edges, and what each pixel shows, where the data knows it (a head on the generator's
last features, trained beside); mode seeking (Mao et al. 2019); a discriminator on frozen ImageNet
features, that looks at the sentence too, with hinge losses and wrong captions as a second kind of
fake; the DAMSM losses of the composed picture; the attributes that the caption names, as a
classifier reads them that learns beside from the real pictures (see
:mod:`models.training.auxiliary_networks`); no text at all, for comparison. For the published
training see :mod:`models.inpainting.tdanet.official`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.damsm.losses import Caption, encode_captions, matching_losses
from models.damsm.text_encoder import TextEncoder
from models.errors import ModelsError
from models.inpainting.tdanet import losses
from models.inpainting.tdanet.discriminator import (
    InpaintingOptions,
    build_discriminator,
    small_config,
)
from models.inpainting.tdanet.network import InpaintEncoder, InpaintGenerator, compose
from models.training.auxiliary_networks import build_classifier, reading_loss
from models.training.batch import Batch
from models.training.losses import LABELS, edge_loss
from models.training.noise import Noise
from models.training.objective import Values, adam_step, weighted_sum


@dataclass(frozen=True)
class StepState:
    """Pictures [B,3,S,S] and masks [B,1,S,S] of a batch; both paths' pictures; compared [B,1,1,1]:
    0 where the generation path was drawn freely; the generation path's composed picture, with its
    graph; a wrong sentence [B,D] for each picture where there is a discriminator.
    """

    batch: Batch
    images: Tensor
    mask: Tensor
    paths: losses.Paths
    compared: Tensor
    composed: Tensor
    caption: Caption
    negative_sentence: Tensor | None
    noise: Noise


class InpaintingObjective(losses.TwoPathObjective):
    def __init__(
        self,
        options: InpaintingOptions,
        size: int,
        text: TextEncoder,
        image: nn.Module | None = None,
        attributes: tuple[int, int] = (0, 0),
    ) -> None:
        config = small_config(size, options, text.config.features)
        super().__init__(InpaintEncoder(config), InpaintGenerator(config), size, text)
        self.options, self.image = options, image
        if options.damsm and image is None:
            raise ModelsError("The DAMSM losses need the image encoder of a bundle.")
        if options.damsm and image is not None:
            self.frozen["image_encoder"] = image
        if options.labels:
            self.labeller = nn.Conv2d(config.decoder[-1], LABELS, 3, padding=1)
            self.modules["labeller"] = self.labeller
        trained, self.optimizer_steps = tuple(self.modules), {}
        if options.attributes:
            self.classifier = build_classifier(size, attributes)
            self._add("classifier", self.classifier, options.rate_classifier, (0.9, 0.999))
        self.discriminator = build_discriminator(options, text.config.features)
        if self.discriminator is not None:
            self._add("critic", self.discriminator, options.rate_d, (0.0, 0.99))
        # The divergence of two Gaussians has no upper end: without a bound one step can end a run.
        step = adam_step(self.modules, trained, options.rate, (0.5, 0.99), clip=5.0)
        self.optimizer_steps["generator"] = step

    def _add(self, name: str, module: nn.Module, rate: float, betas: tuple[float, float]) -> None:
        """A module that learns beside, in a step of its own."""
        self.modules[name] = module
        self.optimizer_steps[name] = adam_step(self.modules, [name], rate, betas)

    def forward_shared(self, batch: Batch, noise: Noise, step: int) -> StepState:
        images, mask = self.to_memory_format(batch.images), batch.need("known_mask")
        caption = encode_captions(self.text, batch.ids, batch.lengths)
        free = (noise.uniform("free") < self.options.free).float()
        drawn = free if self.options.latent == "conditional" else None
        with self.autocast():
            paths = self.paths(images, mask, caption, noise, drawn)
        wrong = None
        if self.discriminator is not None:
            wrong = encode_captions(self.text, batch.negative_ids, batch.negative_lengths).sentence
        return StepState(
            batch,
            images,
            mask,
            paths,
            (1 - free)[:, None, None, None],
            compose(paths.gen[-1], images, mask),
            caption,
            wrong,
            noise,
        )

    def loss(self, name: str, state: StepState, step: int) -> tuple[Tensor, Values]:
        if name == "classifier":
            return self._classifier_loss(state)
        if name == "critic":
            return self._discriminator_loss(state)
        return self._generator_loss(state)

    def _classifier_loss(self, state: StepState) -> tuple[Tensor, Values]:
        shown = state.batch.need("image_attributes")
        with self.autocast():
            loss, right = reading_loss(self.classifier, state.images, shown, learns=True)
        return loss, {"shown": right}

    def _discriminator_loss(self, state: StepState) -> tuple[Tensor, Values]:
        wrong, made = state.negative_sentence, state.composed.detach()
        assert self.discriminator is not None  # noqa: S101 (this is its phase)
        assert wrong is not None  # noqa: S101
        sentences = self._conditioning(state.caption.sentence), self._conditioning(wrong)
        with self.autocast():
            loss = self.discriminator.discriminator_loss(state.images, made, sentences, state.noise)
        return loss, {"d": loss}

    def _conditioning(self, sentence: Tensor) -> Tensor:
        """What the discriminator hears of a sentence."""
        return sentence if self.options.text else torch.zeros_like(sentence)

    def _generator_loss(self, state: StepState) -> tuple[Tensor, Values]:
        o, values, read = self.options, self._reconstruction_losses(state), Values()
        if o.latent == "published":
            values["kl"] = torch.stack(losses.kl_losses(state.paths)).sum()
        else:
            values["nats"] = losses.latent_kl(state.paths)
        if o.seeking:
            values["seeking"] = self._mode_seeking_loss(state)
        if self.discriminator is not None:
            values["g"] = self._adversarial_loss(state)
        if o.damsm:
            values["damsm"] = self._damsm_loss(state)
        if o.attributes:
            values["reading"], read["named"] = self._attribute_loss(state)
        weights = {"l1": o.l1, "edges": o.edges, "labels": o.labels, "kl": o.kl, "nats": o.nat}
        weights |= {"seeking": o.seeking, "g": o.adversarial, "damsm": o.damsm}
        return weighted_sum(values, weights | {"reading": o.attributes}), values | read

    def _adversarial_loss(self, state: StepState) -> Tensor:
        assert self.discriminator is not None  # noqa: S101 (asked for by the caller)
        conditioning = self._conditioning(state.caption.sentence)
        settled = state.compared.flatten()
        weight = 1 + (self.options.mean_fill_weight - 1) * settled
        with self.autocast():
            return self.discriminator.generator_loss(
                state.composed, conditioning, weight, state.noise
            )

    def _reconstruction_losses(self, state: StepState) -> Values:
        """What compares either path with the truth."""
        o, paths, labels = self.options, state.paths, state.batch.labels
        weight = losses.pixel_weights(state.mask, o.hole_weight, labels, o.small)
        # Of a freely drawn fill what was known is compared alone.
        compared = state.compared * (1 - state.mask)
        l1 = losses.pyramid_l1(paths.rec, state.images, weight)
        l1 = l1 + losses.pyramid_l1(paths.gen, state.images, weight * (compared + state.mask))
        found = {"l1": l1 / 2}
        if o.edges:
            rec = edge_loss(paths.rec[-1], state.images, 1 - state.mask)
            found["edges"] = (rec + edge_loss(paths.gen[-1], state.images, compared)) / 2
        if o.labels:
            if labels is None:
                raise ModelsError(
                    "This data set does not know what pixels show; take a preset for photos "
                    "(--preset cub), or --set labels=0."
                )
            with self.autocast():
                logits = self.labeller(paths.features)
            both = torch.cat([1 - state.mask, compared])
            found["labels"] = losses.label_loss(logits, labels.repeat(2, 1, 1), both)
        return found

    def _mode_seeking_loss(self, state: StepState) -> Tensor:
        """Of freely drawn fills, against what the reconstruction path makes of the same hole."""
        paths, free = state.paths, 1 - state.compared
        latents = paths.latents[0].detach(), paths.latents[1]
        pictures = paths.rec[-1].detach(), paths.gen[-1]
        return losses.mode_seeking_loss(pictures, latents, 1 - state.mask, free.flatten())

    def _damsm_loss(self, state: StepState) -> Tensor:
        """Word and sentence loss of the composed picture."""
        assert self.image is not None  # noqa: S101 (checked at the start)
        with self.autocast():
            features = self.image(self.to_memory_format(state.composed))
        losses = matching_losses(features, state.caption, state.batch.class_ids)
        return torch.stack(losses).sum()

    def _attribute_loss(self, state: StepState) -> tuple[Tensor, Tensor]:
        """The classifier's loss on what the captions name, and the share that it reads so."""
        named = state.batch.need("caption_attributes")
        with self.autocast():
            made = self.to_memory_format(state.composed)
            return reading_loss(self.classifier, made, named, learns=False)
