"""DAMSM pretraining: text encoder and image head learn one space; the trunk stays frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.damsm.efficientnet import load_imagenet
from models.damsm.image_encoder import CompactEncoderConfig, CompactImageEncoder
from models.damsm.losses import damsm_losses, sentence_scores
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
from models.training.batch import Batch


@dataclass(frozen=True)
class DamsmOptions:
    """Learning rate and sizes; word_weight and sentence_weight scale the two pairs of losses."""

    rate: float = 2e-3
    words: int = 64
    features: int = 256
    input_size: int = 128
    hidden: int = 192
    dropout: float = 0.2
    clip: float = 0.25
    word_weight: float = 1.0
    sentence_weight: float = 1.0


class DamsmObjective:
    """See :class:`models.training.objective.Objective`."""

    averaged: tuple[str, ...] = ("text_encoder", "image_encoder")

    def __init__(self, options: DamsmOptions, vocabulary: int) -> None:
        self.options = options
        text = TextEncoderConfig(
            vocabulary, options.words, options.features, dropout=options.dropout
        )
        image = CompactEncoderConfig(
            options.input_size, hidden=options.hidden, features=options.features
        )
        self.text = TextEncoder(text)
        self.image = CompactImageEncoder(image)
        load_imagenet(self.image.trunk)
        self.modules: dict[str, nn.Module] = {
            "text_encoder": self.text,
            "image_encoder": self.image,
        }
        trained = [p for m in self.modules.values() for p in m.parameters() if p.requires_grad]
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "damsm": torch.optim.Adam(trained, options.rate, betas=(0.5, 0.999))
        }

    def step(self, batch: Batch, step: int, noise: torch.Generator) -> dict[str, float]:  # noqa: ARG002
        self.text.train()
        self.image.train()
        words, sentence = self.text(batch.ids, batch.lengths)
        device = batch.images.device.type
        with torch.autocast(device, torch.bfloat16):
            regions, code = self.image(batch.images.contiguous(memory_format=torch.channels_last))
        photo, caption = (regions, code.float()), (words, sentence, batch.lengths)
        words_loss, sentence_loss = damsm_losses(photo, caption, batch.class_ids)
        loss = self.options.word_weight * words_loss
        loss = loss + self.options.sentence_weight * sentence_loss
        optimiser = self.optimisers["damsm"]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.text.parameters(), self.options.clip)
        optimiser.step()
        scores = sentence_scores(photo[1], sentence)
        top1 = (scores.argmax(1) == torch.arange(len(scores), device=scores.device)).float().mean()
        return {
            "words": float(words_loss.detach()),
            "sentence": float(sentence_loss.detach()),
            "top1": float(top1),
        }

    def preview(self, batch: Batch, averaged: Mapping[str, nn.Module]) -> Tensor:  # noqa: ARG002
        """The pictures of the batch: there is nothing to generate."""
        return batch.images

    def export(
        self, averaged: Mapping[str, nn.Module]
    ) -> tuple[dict[str, Any], dict[str, nn.Module]]:
        network = {"text": asdict(self.text.config), "image": asdict(self.image.config)}
        return network, dict(averaged)
