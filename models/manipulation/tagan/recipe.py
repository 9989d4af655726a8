"""Training TAGAN as published (paper sections 3.1 to 3.4, sums as in its authors' code).

Every photo is edited by the caption of the row before it and brought back by its own; the
discriminator judges photos alone, and their words with captions that fit and that do not. Match of
words on edits counts for the generator only. Rows before each other are those of one process.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import log2
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.captions import Vocabulary
from models.checkpoints.word_vectors import as_embedding, read_vectors
from models.damsm.text_encoder import TextEncoder, padding
from models.manipulation.manigan.losses import kl_loss
from models.manipulation.objective import EditorObjective, StepState
from models.manipulation.tagan.network import (
    TaganConfig,
    TaganDiscriminator,
    TaganDiscriminatorConfig,
    TaganGenerator,
    match,
)
from models.training.batch import Batch, TrainingData
from models.training.losses import logit_loss, probability_loss
from models.training.noise import Noise
from models.training.objective import Exported, Modules, Objective, Values, weighted_sum
from models.training.parts import Encoders

_RMS = 0.3  # about that of fastText's vectors


@dataclass(frozen=True)
class Options:
    """vectors: of words, see :func:`training_vectors`; matching: weight of captions' match;
    reconstruction_weight: of L1 with the own caption; kl_weight: of the conditioning; halve_every:
    steps after which the rates halve, 0 for never; the rest are widths and rates.
    """

    vectors: str = "damsm"
    ngf: int = 64
    ndf: int = 64
    blocks: int = 4
    condition: int = 128
    hidden: int = 512
    rate: float = 2e-4
    rate_d: float = 2e-4
    matching: float = 10.0
    reconstruction_weight: float = 0.2
    kl_weight: float = 0.5
    halve_every: int = 0


class TaganObjective(EditorObjective):
    method = "tagan"
    shipped = ("discriminator", "word_vectors")

    def __init__(self, options: Options, size: int, vectors: nn.Embedding) -> None:
        super().__init__()
        self.options, self.vectors, self.frozen = options, vectors, {"word_vectors": vectors}
        o, words = options, vectors.embedding_dim
        self.config = TaganConfig(size, o.ngf, o.blocks, o.condition, words, o.hidden)
        stages = int(log2(size)) - 4
        looks = TaganDiscriminatorConfig(o.ndf, stages, words, o.hidden)
        self.generator, self.discriminator = TaganGenerator(self.config), TaganDiscriminator(looks)
        self.set_up(options, self.generator, self.discriminator)

    def forward_shared(self, batch: Batch, noise: Noise, step: int) -> StepState:
        own = self._read(batch.ids, batch.lengths)
        before = tuple(x.roll(1, 0) for x in own)
        return StepState(self.to_memory_format(batch.images), own, before, noise)

    def _read(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors [B,T,D] of captions int64 [B,T], and where they are padded, bool [B,T]."""
        return self.vectors(ids), padding(lengths, ids.shape[1]).to(ids.device)

    def discriminator_loss(self, state: StepState) -> tuple[Tensor, Values]:
        fake = self.fake(state)
        with self.autocast():
            text = self.discriminator.look_for(*state.own)
            logits, found = self.discriminator(state.photos)
            faked, _ = self.discriminator(fake)
        fits = probability_loss(match(found, text), 1)
        unlike = probability_loss(match(found, text.rolled()), 0)
        values = {"d_real": logit_loss(logits, 1), "d_match": (fits + unlike) / 2}
        values["d_fake"] = logit_loss(faked, 0)
        return weighted_sum(values, {"d_match": self.options.matching}), values

    def generator_loss(self, state: StepState) -> tuple[Tensor, Values]:
        with self.autocast():
            edit = self.edited(state, state.given, "edit")
            text = self.discriminator.look_for(*state.given)
            logits, found = self.discriminator(self.to_memory_format(edit.picture))
            same = self.edited(state, state.own, "same")
        values = {
            "g_fake": logit_loss(logits, 1),
            "g_match": probability_loss(match(found, text), 1),
            "kl_edit": kl_loss(edit.mu, 2 * edit.log_sigma),
            "g_l1": functional.l1_loss(same.picture.float(), state.photos),
            "kl_same": kl_loss(same.mu, 2 * same.log_sigma),
        }
        o = self.options
        weights = {"g_match": o.matching, "g_l1": o.reconstruction_weight}
        weights |= dict.fromkeys(("kl_edit", "kl_same"), o.kl_weight)
        return weighted_sum(values, weights), values

    def export(self, averaged: Modules) -> Exported:
        network, roles = super().export(averaged)
        shipped = {"discriminator": self.discriminator, "word_vectors": self.vectors}
        return network | {"discriminator": asdict(self.discriminator.config)}, roles | shipped


def training_vectors(kind: str, text: TextEncoder, words: Vocabulary) -> nn.Embedding:
    """``damsm``: the frozen text encoder's embedding at fastText's level, no foreign data; else
    those of a file (:func:`models.checkpoints.word_vectors.read_vectors`), words that it lacks as
    the mean of the others. Raises BundleError for a file that does not fit.
    """
    if kind == "damsm":
        table = text.encoder.weight.detach().float()
        table = table * (_RMS / table[1:].square().mean().sqrt())
        return as_embedding(torch.cat([torch.zeros_like(table[:1]), table[1:]]))
    kept, found = read_vectors(Path(kind), words.words)
    places = {word: k for k, word in enumerate(kept)}
    mean = found.weight[1:].mean(0)
    rows = [found.weight[places[w]] if w in places else mean for w in words.words]
    return as_embedding(torch.stack(rows))


def build(options: Options, data: TrainingData, encoders: Encoders) -> Objective:
    """The objective for a data set and the encoders whose words it has."""
    vectors = training_vectors(options.vectors, encoders.text, data.vocabulary)
    return TaganObjective(options, data.size, vectors)
