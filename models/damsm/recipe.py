"""DAMSM pretraining: text encoder and image head learn one space; the trunk stays frozen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from models.damsm.efficientnet import load_imagenet
from models.damsm.image_encoder import CompactEncoderConfig, CompactImageEncoder
from models.damsm.losses import contrastive_loss, ranking_loss, sentence_scores, word_scores
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
from models.training.auxiliary_networks import attribute_loss
from models.training.batch import Batch
from models.training.config import ConfigError
from models.training.distributed import gather, gather_captions
from models.training.noise import Noise
from models.training.objective import Exported, Modules, Objective, OptimizerStep, Values, adam_step


@dataclass(frozen=True)
class DamsmOptions:
    """Learning rate and sizes; rnn: lstm or gru; hard: the batch's wrong captions, which may differ
    in one word only, are negatives as well; word_block: the word loss, whose cost grows with the
    square of the batch, is taken within blocks of so many pairs, 0 for the whole batch; attributes:
    weight of reading a data set's known attributes off sentences and pictures by one linear layer;
    margin: above 0 sentences alone learn, by the ranking loss of SISGAN's embedding (published:
    0.2), which needs nothing of words.
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
    margin: float = 0.0


class EncodersObjective(Objective):
    """What every way of training the pair shares."""

    averaged = ("text_encoder", "image_encoder")
    least_slice = 2

    def one_step(self, rate: float, clip: float) -> dict[str, OptimizerStep]:
        """Everything by one Adam; clip: largest norm of the text encoder's gradient."""
        trains, clips = tuple(self.modules), ("text_encoder",)
        return {"damsm": adam_step(self.modules, trains, rate, (0.5, 0.999), clip, clips)}

    def recalibrate_batch_norm(self, averaged: Modules, batch: Batch, noise: Noise) -> None:
        with self.autocast():
            averaged["image_encoder"](self.to_memory_format(batch.images))

    def preview(self, batch: Batch, noise: Noise, averaged: Modules) -> Tensor:
        """The pictures of the batch: there is nothing to generate."""
        return batch.images

    def export(self, averaged: Modules) -> Exported:
        """Without a network's configuration: ``bundle.json`` describes encoders by fields of their
        own.
        """
        return {}, dict(averaged)


class DamsmObjective(EncodersObjective):
    """Small bundles: a compact trunk that stays as it came, near misses, known attributes."""

    def __init__(
        self, options: DamsmOptions, vocabulary: int, attributes: tuple[int, int] = (0, 0)
    ) -> None:
        super().__init__()
        if options.input_size < 32 or options.input_size % 16:
            raise ConfigError(
                f"damsm.input_size is a multiple of 16 from 32 up, not {options.input_size}."
            )
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
        if options.attributes:
            self.modules["reader"] = nn.Linear(options.features, math.prod(attributes))
        self.optimizer_steps = self.one_step(options.rate, options.clip)

    def _captions(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Words and sentences of the batch's captions, the wrong ones below them where asked."""
        ids, lengths = batch.ids, batch.lengths
        if self.options.hard:
            ids = pad_sequence([*ids, *batch.negative_ids], batch_first=True)
            lengths = torch.cat([lengths, batch.negative_lengths])
        words, sentence = self.text(ids, lengths)
        return words, sentence

    def loss(self, name: str, state: Batch, step: int) -> tuple[Tensor, Values]:
        self.text.train()
        self.image.train()
        words, sentence = self._captions(state)
        with self.autocast():
            regions, code = self.image(self.to_memory_format(state.images))
        own = len(state.images)
        if self.options.margin:
            pairs = gather(code.float()), gather(sentence[:own])
            ranking = ranking_loss(*pairs, self.options.margin)
            return ranking, {"ranking": ranking}
        sentence_loss, top1 = self._sentence_loss(code.float(), sentence, own, state.class_ids)
        words_loss = self._words_loss(regions, words[:own], state.lengths, state.class_ids)
        loss = words_loss + sentence_loss
        values = {"words": words_loss, "sentence": sentence_loss, "top1": top1}
        if self.options.attributes and state.negative_attributes is not None:
            names = ["caption_attributes", "negative_attributes"][: 1 + self.options.hard]
            named = torch.cat([state.need(name) for name in names])
            values["named"] = self._attribute_loss(sentence, named)
            values["shown"] = self._attribute_loss(code.float(), state.need("image_attributes"))
            loss = loss + self.options.attributes * (values["named"] + values["shown"])
        return loss, values

    def _attribute_loss(self, features: Tensor, wanted: Tensor) -> Tensor:
        """Cross entropy of attributes [B,A] read off features [B,D]; -1 counts for nothing."""
        found = self.modules["reader"](features).view(*wanted.shape, -1)
        return attribute_loss(found, wanted)

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
