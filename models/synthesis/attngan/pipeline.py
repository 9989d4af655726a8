"""AttnGAN in the pipeline of pictures from text. Of a blend of texts the sentences are mixed, and
the words of all are there to attend to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from models.damsm.text_encoder import padding
from models.explanation import ExplainedWord, Explanation, explained_words
from models.layers import fold_batch_norm
from models.manipulation.manigan.blocks import fold_blocks
from models.pipeline import config_from
from models.synthesis.attngan.network import AttnganConfig, AttnganGenerator, AttnganOutput
from models.synthesis.pipeline import Prepared, SynthesisPipeline


class AttnganPipeline(SynthesisPipeline):
    generator: AttnganGenerator
    traces_batches = False  # captions have lengths

    def load_networks(self) -> None:
        config = config_from(AttnganConfig, self.spec.network, self.where)
        self.draws = config.z, config.condition
        folded = fold_batch_norm(self.load_state(AttnganGenerator(config), "generator").eval())
        self.generator = self.prepare_module(fold_blocks(folded, self.device.type))

    @property
    def explains(self) -> bool:
        """By its own attention."""
        return True

    def _read(self, batch: Sequence[Prepared]) -> tuple[Tensor, ...]:
        """Word features [B,D,T], sentences [B,D] and padding [B,T]."""
        captions = list(dict.fromkeys(ids for p in batch for ids in p.captions))
        words, _, _ = self.encode_captions(self.text, captions, apart=True)
        each = {ids: words[k, :, : len(ids)].T for k, ids in enumerate(captions)}
        rows = [torch.cat([each[ids] for ids in p.captions]) for p in batch]
        joined = pad_sequence(rows, batch_first=True).transpose(1, 2)
        pad = padding(torch.tensor([len(row) for row in rows]), joined.shape[2])
        joined, pad = self.pad_words(joined, pad)
        return joined, self._sentences(batch), pad

    def _run(self, z: Tensor, read: Sequence[Tensor], *, every_stage: bool) -> AttnganOutput:
        words, sentence, pad = read
        return self.generator(
            *z.split(self.draws, 1), words, sentence, pad, every_stage=every_stage
        )

    def _picture(self, z: Tensor, *read: Tensor) -> Tensor:
        return self._run(z, read, every_stage=False).pictures[-1]

    def _draw(self, z: Tensor, *read: Tensor) -> Tensor:
        return self.compute(self._picture, z, *read)

    def warm_up_batches(self, batch: int = 1) -> Iterator[Sequence[Prepared]]:
        return super(SynthesisPipeline, self).warm_up_batches(batch)

    def _find_words(
        self, batch: Sequence[Prepared], pictures: Tensor, chosen: Sequence[int]
    ) -> dict[int, Any]:
        """What every stage attended to, [T,s,s]."""
        found = {}
        for k, prepared in enumerate(batch):
            if prepared.explain:
                with self.autocast():
                    z = self.to_device(prepared.z[chosen[k]][None])
                    out = self._run(z, self._read([prepared]), every_stage=False)
                found[k] = [maps[0].float().cpu().numpy() for maps in out.attention]
        return found

    def explain(self, prepared: Prepared, maps: Sequence[Any]) -> Explanation:
        whole, first = self._lay_over(), 0
        words: list[ExplainedWord] = []
        for number, (text, ids) in enumerate(zip(prepared.texts, prepared.captions, strict=True)):
            own = [stage[first : first + len(ids)] for stage in maps]
            planes = {f"attention{stage.shape[-1]}": stage for stage in own}
            read, shares = self.locate_words(text), own[-1].max((1, 2))
            words += explained_words(read, planes, shares, whole, number)
            first += len(ids)
        return Explanation(self.method, tuple(words))

    def raw_outputs(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """z, ca_noise, words [B,D,T], sentence [B,D], lengths [B] → image64, … of every stage,
        attention64, …, mu, logvar.
        """
        z = torch.cat([given["z"], given["ca_noise"]], 1)
        words = given["words"]
        pad = padding(given["lengths"].cpu(), words.shape[2]).to(words.device)
        out = self._run(z, (words, given["sentence"], pad), every_stage=True)
        found = {f"image{x.shape[-1]}": x for x in out.pictures}
        found |= {f"attention{x.shape[-1]}": x for x in out.attention}
        return {**found, "mu": out.mu, "logvar": out.logvar}
