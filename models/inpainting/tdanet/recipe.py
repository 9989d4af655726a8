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

from models.damsm.losses import Caption, encoded, matching_losses
from models.damsm.text_encoder import TextEncoder
from models.errors import ModelsError
from models.inpainting.tdanet.discriminator import InpaintingOptions, judge_of, small_config
from models.inpainting.tdanet.losses import (
    Paths,
    kl_losses,
    label_loss,
    nats,
    pixel_weights,
    pyramid_l1,
    seeking_loss,
)
from models.inpainting.tdanet.network import InpaintEncoder, InpaintGenerator, compose
from models.inpainting.tdanet.two_path_recipe import PathsObjective
from models.training.auxiliary_networks import classifier_of, learning_loss, showing_loss
from models.training.batch import Batch
from models.training.losses import edge_loss
from models.training.noise import Noise
from models.training.objective import Phase, Values, adam


@dataclass(frozen=True)
class Seen:
    """Pictures [B,3,S,S] and masks [B,1,S,S] of a batch; both paths' pictures; compared [B,1,1,1]:
    0 where the generation path was drawn freely; the generation path's composed picture, with its
    graph; a wrong sentence [B,D] for each picture where the discriminator looks at sentences.
    """

    batch: Batch
    images: Tensor
    mask: Tensor
    paths: Paths
    compared: Tensor
    composed: Tensor
    caption: Caption
    wrong: Tensor | None
    noise: Noise


class InpaintingObjective(PathsObjective):
    """See :class:`models.training.objective.Objective`."""

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
        made: list[nn.Module] = [self.encoder, self.generator]
        trained: tuple[str, ...] = ("encoder", "generator")
        if options.labels:
            self.labeller = nn.Conv2d(config.decoder[-1], options.label_count, 3, padding=1)
            self.modules["labeller"] = self.labeller
            made, trained = [*made, self.labeller], (*trained, "labeller")
        self.phases = {}
        if options.attributes:
            self.classifier = classifier_of(size, attributes)
            self.modules["classifier"] = self.classifier
            learning = adam([self.classifier], options.rate_classifier, (0.9, 0.999))
            self.phases["classifier"] = Phase(learning, ("classifier",))
        self.judge = judge_of(options, text.config.features)
        if self.judge is not None:
            self.modules["critic"] = self.judge
            judged = adam([self.judge], options.rate_d, (0.0, 0.99))
            self.phases["critic"] = Phase(judged, ("critic",))
        # The divergence of two Gaussians has no upper end: without a bound one step can end a run.
        optimiser = adam(made, options.rate, (0.5, 0.99))
        self.phases["generator"] = Phase(optimiser, trained, clip=5.0)

    def look(self, batch: Batch, noise: Noise, step: int) -> Seen:  # noqa: ARG002
        assert batch.hole is not None  # noqa: S101 (the data set's duty)
        images, mask = self.laid(batch.images), batch.hole
        caption = encoded(self.text, batch.ids, batch.lengths)
        free = (noise.uniform("free") < self.options.free).float()
        drawn = free if self.options.latent == "conditional" else None
        with self.autocast():
            paths = self.paths(images, mask, caption, noise, drawn)
        wrong = None
        if self.judge is not None and self.judge.listens:
            wrong = encoded(self.text, batch.wrong_ids, batch.wrong_lengths).sentence
        return Seen(
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

    def loss(self, phase: str, seen: Seen, step: int) -> tuple[Tensor, Values]:  # noqa: ARG002
        if phase == "classifier":
            return self._classifier_loss(seen)
        if phase == "critic":
            return self._critic_loss(seen)
        return self._generator_loss(seen)

    def _classifier_loss(self, seen: Seen) -> tuple[Tensor, Values]:
        assert seen.batch.shown is not None  # noqa: S101 (checked with the options)
        with self.autocast():
            loss, right = learning_loss(self.classifier, seen.images, seen.batch.shown)
        return loss, {"shown": right}

    def _critic_loss(self, seen: Seen) -> tuple[Tensor, Values]:
        assert self.judge is not None  # noqa: S101 (this is its phase)
        told = self._told(seen.caption.sentence)
        sentences = told, told if seen.wrong is None else self._told(seen.wrong)
        made = seen.composed.detach()
        with self.autocast():
            loss = self.judge.judged(seen.images, made, sentences, seen.noise)
        return loss, {"d": loss}

    def _told(self, sentence: Tensor) -> Tensor:
        """What the discriminator hears of a sentence."""
        return sentence if self.options.text else torch.zeros_like(sentence)

    def _generator_loss(self, seen: Seen) -> tuple[Tensor, Values]:
        o = self.options
        values, weights = self._likeness(seen), {"l1": o.l1, "edges": o.edges, "labels": o.labels}
        if o.latent == "published":
            values["kl"], weights["kl"] = torch.stack(kl_losses(seen.paths)).sum(), o.kl
        else:
            values["nats"], weights["nats"] = nats(seen.paths), o.nat
        if o.seeking:
            values["seeking"], weights["seeking"] = self._seeking(seen), o.seeking
        if self.judge is not None:
            values["g"], weights["g"] = self._fooling(seen), o.adversarial
        if o.damsm:
            values["damsm"], weights["damsm"] = self._matching(seen), o.damsm
        read: Values = {}
        if o.attributes:
            values["reading"], read["named"] = self._reading(seen)
            weights["reading"] = o.attributes
        total = torch.stack([weights[name] * value for name, value in values.items()]).sum()
        return total, values | read

    def _fooling(self, seen: Seen) -> Tensor:
        assert self.judge is not None  # noqa: S101 (asked for by the caller)
        told = self._told(seen.caption.sentence)
        settled = seen.compared.flatten()
        weight = 1 + (self.options.settled - 1) * settled
        with self.autocast():
            return self.judge.fooled(seen.composed, told, weight, seen.noise)

    def _likeness(self, seen: Seen) -> Values:
        """What compares either path with the truth."""
        o, paths, labels = self.options, seen.paths, seen.batch.labels
        weight = pixel_weights(seen.mask, o.hole, labels, o.small)
        # Of a freely drawn fill what was known is compared alone.
        compared = seen.compared * (1 - seen.mask)
        l1 = pyramid_l1(paths.rec, seen.images, weight)
        l1 = l1 + pyramid_l1(paths.gen, seen.images, weight * (compared + seen.mask))
        found = {"l1": l1 / 2}
        if o.edges:
            rec = edge_loss(paths.rec[-1], seen.images, 1 - seen.mask)
            found["edges"] = (rec + edge_loss(paths.gen[-1], seen.images, compared)) / 2
        if o.labels:
            if labels is None:
                raise ModelsError("This data set does not know what pixels show; set labels = 0.")
            with self.autocast():
                logits = self.labeller(paths.features)
            both = torch.cat([1 - seen.mask, compared])
            found["labels"] = label_loss(logits, labels.repeat(2, 1, 1), both)
        return found

    def _seeking(self, seen: Seen) -> Tensor:
        """Of freely drawn fills, against what the reconstruction path makes of the same hole."""
        paths, free = seen.paths, 1 - seen.compared
        latents = paths.latents[0].detach(), paths.latents[1]
        pictures = paths.rec[-1].detach(), paths.gen[-1]
        return seeking_loss(pictures, latents, 1 - seen.mask, free.flatten())

    def _matching(self, seen: Seen) -> Tensor:
        """Word and sentence loss of the composed picture."""
        assert self.image is not None  # noqa: S101 (checked at the start)
        with self.autocast():
            features = self.image(self.laid(seen.composed))
        losses = matching_losses(features, seen.caption, seen.batch.class_ids)
        return torch.stack(losses).sum()

    def _reading(self, seen: Seen) -> tuple[Tensor, Tensor]:
        """The classifier's loss on what the captions name, and the share that it reads so."""
        assert seen.batch.named is not None  # noqa: S101 (checked with the options)
        with self.autocast():
            return showing_loss(self.classifier, self.laid(seen.composed), seen.batch.named)
