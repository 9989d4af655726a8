"""TAGAN in the pipeline of edits. Its discriminator tells how much each word counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from models.explanation import Explanation, explained_words
from models.manipulation.pipeline import Prepared
from models.manipulation.tagan.network import (
    TaganConfig,
    TaganDiscriminator,
    TaganDiscriminatorConfig,
    TaganGenerator,
    match,
)
from models.manipulation.vector_pipeline import VectorPipeline, padded
from models.pipeline import config_from


class TaganPipeline(VectorPipeline):
    generator: TaganGenerator

    def load_networks(self) -> None:
        network = dict(self.spec.network)
        options = network.pop("discriminator", {})
        config = config_from(TaganConfig, network, self.where)
        self.generator = self.load_editor(TaganGenerator(config))
        self.vectors = self.load_vectors(config.words)
        self.draws = (config.condition,)
        self.discriminator: TaganDiscriminator | None = None
        if "discriminator" in self.spec.files:
            looks = config_from(TaganDiscriminatorConfig, options, self.where)
            discriminator = self.load_state(TaganDiscriminator(looks), "discriminator")
            self.discriminator = discriminator.eval().requires_grad_(False).to(self.device)

    def read_vectors(self, vectors: Tensor, pad: Tensor) -> Tensor:
        return self.generator.read(vectors, pad)[1]

    def _edit_with_attention(
        self, batch: Sequence[Prepared], inputs: Sequence[Tensor]
    ) -> tuple[Tensor, Sequence[Any]]:
        edited, nothing = super()._edit_with_attention(batch, inputs)
        if self.discriminator is None:
            return edited, nothing
        weights = self.discriminator.look_for(*self.look_up([p.ids for p in batch])).weights
        changes = (edited - inputs[-1]).float().abs().mean(1)
        return edited, list(zip(weights.cpu().numpy(), changes.cpu().numpy(), strict=True))

    def explain(self, prepared: Prepared, maps: Any) -> Explanation:
        """How much each word counts for the discriminator, of 1 in all, as the words' peaks; and
        where the photo changed. TAGAN ties no word to a place.
        """
        if not maps:
            return super().explain(prepared, maps)
        weights, change = maps
        whole = self.lay_over(prepared)
        words = explained_words(prepared.read, {}, weights, whole)
        return Explanation(self.method, tuple(words), {"change": whole(change)})

    def raw_outputs(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Also what the discriminator says of the photos: logit, and match with their captions."""
        found = super().raw_outputs(given)
        if self.discriminator is None:
            return found
        logits, seen = self.discriminator(given["image"])
        matches = match(seen, self.discriminator.look_for(*padded(given)))
        return {**found, "logit": logits, "match": matches}
