"""Text to pictures by Efficient-T2I; what other methods do otherwise, they override."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from jobs.captions import Blend
from models.bundle import Bundle
from models.damsm.word_regions import PART, Regions, WordRegions
from models.errors import InputProblem
from models.explanation import (
    Area,
    ExplainedWord,
    Explanation,
    Plane,
    explained_words,
    over_picture,
)
from models.geometry import downscale
from models.pipeline import (
    Item,
    Output,
    OutputWithAttention,
    Pipeline,
    Pixels,
    config_from,
    generator,
    to_image,
    to_pixels,
)
from models.synthesis.efficient_t2i.latent import scale_noise, shape_noise
from models.synthesis.efficient_t2i.network import Generator, GeneratorConfig, fold_generator

BEST_SIZE = 256  # pixels, where the networks reach it


@dataclass(frozen=True)
class Prepared:
    """Caption indices of each text of the blend with its share; z [candidates,z]: noise; size: the
    picture's side in pixels.
    """

    blend: Blend
    captions: tuple[tuple[int, ...], ...]
    z: Tensor
    size: int
    explain: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(text for text, _ in self.blend)

    @property
    def shares(self) -> tuple[float, ...]:
        return tuple(share for _, share in self.blend)


class SynthesisPipeline(Pipeline[Prepared]):
    generator: nn.Module
    draws: tuple[int, ...]
    traces_batches = True
    _latent: str = ""

    def __init__(self, bundle: Bundle, task: str, method: str, device: str, precision: str) -> None:
        super().__init__(bundle, task, method, device, precision)
        self.text = self.load_text_encoder()
        self._loading = threading.Lock()

    def load_networks(self) -> None:
        """Set ``generator``, and ``draws``: how many numbers each kind of its noise has."""
        config = config_from(GeneratorConfig, self.spec.network, self.where)
        # Noise gets its shapes before the network, one picture's at a time: traced or in a batch
        # the same arithmetic may end in another bit.
        self._latent, self.draws = config.latent, (config.z,)
        network = self.load_state(Generator(replace(config, latent="")), "generator")
        self.generator = self.prepare_module(fold_generator(network.eval(), self.device.type))

    def prepare(self, item: Item) -> Prepared:
        captions = tuple(self._encode_short(text) for text, _ in item.blend)
        if item.explain and not self.explains:
            raise InputProblem("bad_input", f"Bundle {self.bundle.name!r} can't explain pictures.")
        if item.candidates > 1 and self.encoders is None:
            raise InputProblem(
                "bad_input", f"Bundle {self.bundle.name!r} can't choose among candidates."
            )
        return Prepared(item.blend, captions, self._noise(item), self._size(item), item.explain)

    def _encode_short(self, text: str) -> tuple[int, ...]:
        """Indices of the caption, which is repeated where the network is used to longer ones."""
        ids = self.encode(text).ids
        return ids * max(1, -(-self.spec.min_words // len(ids)))

    def _noise(self, item: Item) -> Tensor:
        """z [candidates,z]: more candidates leave the first ones as they are."""
        source = generator(item.seed)
        rows = [
            torch.cat([torch.randn(1, width, generator=source) for width in self.draws], 1)
            for _ in range(item.candidates)
        ]
        scaled = [scale_noise(row, self._latent, item.noise_scale) for row in rows]
        return torch.cat([shape_noise(row, self._latent) for row in scaled])

    @property
    def serving(self) -> Mapping[str, Any]:
        """One candidate where there is nothing to choose by."""
        found = super().serving
        return found if PART in self.bundle.tasks else {**found, "candidates": 1}

    def _size(self, item: Item) -> int:
        """The side of the item's picture."""
        own = self.spec.size
        largest = own * self.detail.scale if self.detail else own
        if item.size is None:
            return max(own, min(largest, BEST_SIZE))
        if item.size > largest:
            raise InputProblem(
                "bad_input",
                f"Bundle {self.bundle.name!r} makes pictures of up to {largest} pixels; ask for "
                "a smaller size, or leave it out.",
            )
        return item.size

    def _needs_detail(self, prepared: Prepared) -> bool:
        return prepared.size > self.spec.size

    def provenance(self, prepared: Prepared) -> dict[str, Any]:
        return self.detail.provenance if self.detail and self._needs_detail(prepared) else {}

    @property
    def explains(self) -> bool:
        return self.encoders is not None

    @property
    def encoders(self) -> WordRegions | None:
        """What explains pictures and chooses among candidates, if the bundle holds it."""
        with self._loading:
            return self._encoders

    @cached_property
    def _encoders(self) -> WordRegions | None:
        return WordRegions(self) if PART in self.bundle.tasks else None

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> list[Output]:
        pictures, chosen = self._choose(batch)
        maps = self._find_words(batch, pictures, chosen)
        return [
            OutputWithAttention(pixels, maps.get(k), chosen[k])
            if k in maps or chosen[k]
            else pixels
            for k, pixels in enumerate(self._pixels(batch, pictures))
        ]

    def _choose(self, batch: Sequence[Prepared]) -> tuple[Tensor, list[int]]:
        """Pictures [B,3,S,S], and which of its candidates each is. What has candidates is drawn and
        judged by itself, so that which is best does not depend on the rest of the batch.
        """
        single = [k for k, prepared in enumerate(batch) if len(prepared.z) == 1]
        made, chosen = {}, [0] * len(batch)
        if single:
            together = [batch[k] for k in single]
            z = self.to_device(torch.cat([prepared.z for prepared in together]))
            made = dict(zip(single, self._draw(z, *self._read(together)), strict=True))
        for k, prepared in enumerate(batch):
            if k not in made:
                made[k], chosen[k] = self._best_candidate(prepared)
        return torch.stack([made[k] for k in range(len(batch))]), chosen

    def _best_candidate(self, prepared: Prepared) -> tuple[Tensor, int]:
        """Of an item's candidates the one that agrees most with its text, the first of equals."""
        assert self.encoders is not None  # noqa: S101 (prepare has asked)
        count = len(prepared.z)
        step = self.best_batch or count
        z = self.to_device(prepared.z).split(step)
        read = (x.expand(count, *x.shape[1:]) for x in self._read([prepared]))
        parts = zip(z, *(x.contiguous().split(step) for x in read), strict=True)
        drawn = torch.cat([self._draw(*part) for part in parts])
        scores = self.encoders.agreement(drawn, prepared.blend)
        best = max(range(count), key=scores.__getitem__)
        return drawn[best], best

    def _pixels(self, batch: Sequence[Prepared], pictures: Tensor) -> list[Pixels]:
        """Each picture at its own size, or by the detail stage where more is asked for."""
        pixels = list(to_pixels(pictures))
        small = [k for k, prepared in enumerate(batch) if self._needs_detail(prepared)]
        if small and self.detail:
            made = to_pixels(self.detail.enlarge(pictures[small]))
            for k, large in zip(small, made, strict=True):
                pixels[k] = large
        return pixels

    def _draw(self, z: Tensor, *read: Tensor) -> Tensor:
        """Pictures [B,3,S,S]."""
        return self.compute(self.generator, z, *read)

    def warm_up_batches(self, batch: int = 1) -> Iterator[Sequence[Prepared]]:
        """On a CPU every size up to ``batch`` gets its trace."""
        if self.device.type == "cpu":
            prepared = self.prepare(self.example())
            for count in range(1, batch + 1):
                yield from [[prepared] * count] * 2  # a trace is made when a size comes again
        else:
            yield from super().warm_up_batches(batch)
        yield [self.prepare(self.with_serving_options(self.example()))]

    def usual_batch(self, prepared: Sequence[Prepared]) -> tuple[Sequence[Prepared], int]:
        """On a CPU the candidates of one text, where the bundle serves several; on a card there may
        be many jobs of one.
        """
        usual = self.with_serving_options(self.example())
        if usual.candidates == 1 or self.device.type != "cpu":
            return super().usual_batch(prepared)
        return [self.prepare(usual)], usual.candidates

    def _find_words(
        self, batch: Sequence[Prepared], pictures: Tensor, chosen: Sequence[int]
    ) -> dict[int, Any]:
        """What there is of their texts in the pictures that are to be explained, by place; chosen:
        which of its candidates each is.
        """
        asked = [k for k, prepared in enumerate(batch) if prepared.explain]
        if not asked or not self.encoders:
            return {}
        found = self.encoders.find(pictures[asked], [batch[k].texts for k in asked])
        return dict(zip(asked, found, strict=True))

    def _read(self, batch: Sequence[Prepared]) -> tuple[Tensor, ...]:
        """What the generator needs of the texts."""
        return (self._sentences(batch),)

    def _sentences(self, batch: Sequence[Prepared]) -> Tensor:
        """Sentence features [B,D]: the mean of an item's captions by their shares, as the paper
        mixes captions in training. A caption that several items share is read once.
        """
        captions = list(dict.fromkeys(ids for p in batch for ids in p.captions))
        row = {ids: k for k, ids in enumerate(captions)}
        _, sentences, _ = self.encode_captions(self.text, captions, apart=True)
        rows = [torch.tensor([row[ids] for ids in p.captions]) for p in batch]
        places = pad_sequence(rows, batch_first=True).to(self.device)
        shares = pad_sequence([torch.tensor(p.shares) for p in batch], batch_first=True)
        return (sentences[places] * shares.to(sentences)[..., None]).sum(1)

    def _lay_over(self) -> partial[Plane]:
        """What makes a map of the network's own picture one of the explanation."""
        side = self.spec.size
        return partial(over_picture, areas=[Area(0, 0, side, side)], width=side, height=side)

    def explain(self, prepared: Prepared, maps: Sequence[Regions]) -> Explanation:
        assert self.encoders is not None  # noqa: S101 (it made the maps)
        whole = self._lay_over()
        words: list[ExplainedWord] = []
        for number, (text, found) in enumerate(zip(prepared.texts, maps, strict=True)):
            read = self.encoders.columns(text, self.locate_words(text))
            words += explained_words(read, {"region": found.maps}, found.shares, whole, number)
        return Explanation(self.method, tuple(words))

    def finish(self, prepared: Prepared, pixels: Pixels) -> Image.Image:
        return to_image(downscale(pixels, prepared.size))

    def example(self) -> Item:
        return Item(self.known_word, 0)

    def raw_outputs(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """z [B,z], sentence [B,text] → image."""
        return {"image": self.generator(given["z"], given["sentence"])}
