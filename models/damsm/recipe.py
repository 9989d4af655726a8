"""DAMSM pretraining: text encoder and image head learn one space; the trunk stays frozen."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from models.damsm.efficientnet import load_imagenet
from models.damsm.image_encoder import CompactEncoderConfig, CompactImageEncoder
from models.damsm.losses import contrastive_loss, ranking_loss, sentence_scores, word_scores
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
from models.errors import ModelsError
from models.training.batch import Batch
from models.training.distributed import gather, gather_captions
from models.training.noise import Noise
from models.training.objective import Exported, Modules, Objective, OptimizerStep, Values, adam


@dataclass(frozen=True)
class DamsmOptions:
    """Learning rate and sizes; rnn: lstm or gru; hard: the batch's wrong captions, which may differ
    in one word only, are negatives as well; word_block: the word loss, whose cost grows with the
    square of the batch, is taken within blocks of so many pairs, 0 for the whole batch; attributes:
    weight of reading a data set's known attributes off sentences and pictures by one linear layer;
    mix_words: share of captions whose word vectors are mixed, position by position and at up to a
    half, with those of another caption of the same picture (wordMixup, Guo et al. 2019); needs
    loop.captions; margin: above 0 sentences alone learn, by the ranking loss of SISGAN's embedding
    (published: 0.2), which needs nothing of words.
    """

    rate: float = 2e-3
    words: int = 64
    features: int = 256
    input_size: int = 128
    hidden: int = 192
    dropout: float = 0.2
    rnn: str = "lstm"
    clip: float = 0.25
    hard: bool = False
    word_block: int = 0
    attributes: float = 0.0
    mix_words: float = 0.0
    margin: float = 0.0


class EncodersObjective(Objective):
    """What every way of training the pair shares."""

    averaged = ("text_encoder", "image_encoder")

    def recalibrate_batch_norm(self, averaged: Modules, batch: Batch, noise: Noise) -> None:
        with self.autocast():
            averaged["image_encoder"](self.to_memory_format(batch.images))

    def preview(self, batch: Batch, noise: Noise, averaged: Modules) -> Tensor:
        """The pictures of the batch: there is nothing to generate."""
        return batch.images


class DamsmObjective(EncodersObjective):
    """Small bundles: a compact trunk that stays as it came, near misses, known attributes."""

    def __init__(
        self, options: DamsmOptions, vocabulary: int, attributes: tuple[int, int] = (0, 0)
    ) -> None:
        super().__init__()
        self.options = options
        text = TextEncoderConfig(
            vocabulary, options.words, options.features, options.rnn, options.dropout
        )
        image = CompactEncoderConfig(
            options.input_size, hidden=options.hidden, features=options.features
        )
        self.text = TextEncoder(text)
        self.image = CompactImageEncoder(image)
        load_imagenet(self.image.trunk)
        self.modules = {"text_encoder": self.text, "image_encoder": self.image}
        self.attributes = attributes
        if options.attributes:
            self.modules["reader"] = nn.Linear(options.features, math.prod(attributes))
        trained = tuple(self.modules)
        optimiser = adam(list(self.modules.values()), options.rate, (0.5, 0.999))
        self.optimizer_steps = {
            "damsm": OptimizerStep(optimiser, trained, options.clip, ("text_encoder",))
        }

    def forward_shared(self, batch: Batch, noise: Noise, step: int) -> tuple[Batch, Noise]:
        return batch, noise

    def _captions(self, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        """Words and sentences of the batch's captions, the wrong ones below them where asked."""
        ids, lengths = batch.ids, batch.lengths
        if self.options.hard:
            ids = pad_sequence([*ids, *batch.negative_ids], batch_first=True)
            lengths = torch.cat([lengths, batch.negative_lengths])
        vectors = self.text.encoder(ids)
        if self.options.mix_words:
            vectors = self._mix(vectors, batch, noise)
        words, sentence = self.text.encoded(vectors, lengths)
        return words, sentence

    def _mix(self, vectors: Tensor, batch: Batch, noise: Noise) -> Tensor:
        """Word vectors [B or 2B,L,D], the first B mixed where the other caption has words."""
        if batch.more_ids is None:
            raise ModelsError("mix_words mixes captions of one picture: set loop.captions to 1.")
        own, width = len(batch.images), min(batch.ids.shape[1], batch.more_ids.shape[2])
        others = batch.more_ids[:, 0, :width]
        draw = noise.uniform("mix words", 2)
        share = (draw[:, :1] / 2) * (draw[:, 1:] < self.options.mix_words)
        both = (others > 0) & (batch.ids[:, :width] > 0)
        weight = (share * both)[:, :, None]
        mixed = vectors.clone()
        head = vectors[:own, :width]
        mixed[:own, :width] = head + weight * (self.text.encoder(others) - head)
        return mixed

    def loss(self, name: str, state: tuple[Batch, Noise], step: int) -> tuple[Tensor, Values]:
        batch, noise = state
        self.text.train()
        self.image.train()
        words, sentence = self._captions(batch, noise)
        with self.autocast():
            regions, code = self.image(self.to_memory_format(batch.images))
        own = len(batch.images)
        if self.options.margin:
            pairs = gather(code.float()), gather(sentence[:own])
            ranking = ranking_loss(*pairs, self.options.margin)
            return ranking, {"ranking": ranking}
        sentence_loss, top1 = self._sentence_loss(code.float(), sentence, own, batch.class_ids)
        words_loss = self._words_loss(regions, words[:own], batch.lengths, batch.class_ids)
        loss = words_loss + sentence_loss
        values = {"words": words_loss, "sentence": sentence_loss, "top1": top1}
        if (
            self.options.attributes
            and batch.caption_attributes is not None
            and batch.negative_attributes is not None
        ):
            known_attributes = (
                [batch.caption_attributes, batch.negative_attributes]
                if self.options.hard
                else [batch.caption_attributes]
            )
            values["told"] = self._attribute_loss(sentence, torch.cat(known_attributes))
            values["shown"] = self._attribute_loss(code.float(), batch.image_attributes)
            loss = loss + self.options.attributes * (values["told"] + values["shown"])
        return loss, values

    def _attribute_loss(self, features: Tensor, wanted: Tensor | None) -> Tensor:
        """Cross entropy of attributes [B,A] read off features [B,D]; -1 counts for nothing."""
        count, values = self.attributes
        found = self.modules["reader"](features).view(-1, values)
        assert wanted is not None  # noqa: S101 (comes with the captions' attributes)
        assert wanted.shape[1] == count  # noqa: S101
        return functional.cross_entropy(found, wanted.flatten(), ignore_index=-1)

    def _sentence_loss(
        self, code: Tensor, sentence: Tensor, own: int, ids: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Loss and share of pictures that find their caption, over the batch of all processes."""
        captions = [gather(sentence[:own]), gather(sentence[own:])]
        scores = sentence_scores(gather(code), torch.cat(captions))
        to_captions, to_images = contrastive_loss(scores, gather(ids))
        target = torch.arange(len(scores), device=scores.device)
        return to_captions + to_images, (scores.argmax(1) == target).float().mean()

    def _words_loss(self, regions: Tensor, words: Tensor, lengths: Tensor, ids: Tensor) -> Tensor:
        words, lengths = gather_captions(words, lengths)
        regions, ids = gather(regions), gather(ids)
        block = self.options.word_block or len(lengths)
        blocks = zip(*(x.split(block) for x in (regions, words, lengths, ids)), strict=True)
        losses = [contrastive_loss(word_scores(r, w, n), i) for r, w, n, i in blocks]
        return torch.stack([torch.stack(pair).sum() for pair in losses]).mean()

    def export(self, averaged: Modules) -> Exported:
        network = {"text": asdict(self.text.config), "image": asdict(self.image.config)}
        return network, dict(averaged)
