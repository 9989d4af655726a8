"""Aviary as training data: a cached bank of drawn geometries, painted anew for every batch."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from jobs.captions import Vocabulary
from models.damsm.text_encoder import pad_rows
from models.data.aviary.captions import Caption, caption, vocabulary
from models.data.aviary.drawing import (
    BACKDROPS,
    COLOUR_NAMES,
    PARTS,
    POSE,
    Bird,
    bird,
    label_map,
    layers,
    part_colours,
    pose_values,
)
from models.data.aviary.neighbours import continue_colours
from models.data.masks import random_hole
from models.data.photo_captions import pad_groups
from models.synthesis.efficient_t2i.latent import standardise
from models.training.batch import Batch

VERSION = 3  # of the drawing: a new number invalidates cached banks
_WEIGHT_RANGE = 1.2  # shading brightens a part by less than this
_ALL_NAMED = 0.25  # share of pictures with a hole whose captions name every part


def cache_folder() -> Path:
    """The user's cache folder (XDG)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmml"


class Aviary:
    """``count`` geometries of a split; colours and captions are drawn for each batch."""

    name = "aviary"
    domain = "drawn birds with six coloured parts"
    licence = "Apache-2.0"
    tokenizer = "regexp"
    max_words = 40
    min_words = 0
    attributes = (len(PARTS), len(COLOUR_NAMES))
    # Where it looks; pose and tints; the backdrop; the colours of parts that no caption names.
    latent = f"s1,u{len(POSE) + 3 * len(PARTS)},c{BACKDROPS},{len(PARTS)}c{len(COLOUR_NAMES)}"

    def __init__(
        self,
        size: int = 64,
        count: int = 6000,
        split: str = "train",
        cache: Path | None = None,
        captions: int = 0,
    ) -> None:
        self.size = size
        self.split = split
        self.captions = captions  # further captions of each picture, for mixing
        self.fingerprint = f"aviary-v{VERSION}-{split}-{size}-{count}-{captions}"
        self.vocabulary: Vocabulary = vocabulary()
        self._count = count
        self._base, self._weights, self._labels = self._bank(cache or cache_folder())
        self._birds = [bird(split, k) for k in range(count)]

    def __len__(self) -> int:
        return self._count

    def _bank(self, cache: Path) -> list[np.ndarray]:
        """Base uint8 [N,S,S,3], weights uint8 [N,6,S,S] and labels uint8 [N,S,S], drawn once."""
        stem = f"aviary-v{VERSION}-{self.split}-{self.size}-{self._count}"
        paths = [cache / f"{stem}-{name}.npy" for name in ("base", "weights", "labels")]
        try:
            return [np.load(path, mmap_mode="r") for path in paths]
        except (OSError, ValueError, EOFError):  # none yet, or damaged ones
            cache.mkdir(parents=True, exist_ok=True)
            self._draw(paths)
        return [np.load(path, mmap_mode="r") for path in paths]

    def _draw(self, paths: Sequence[Path]) -> None:
        n, s = self._count, self.size
        base = np.zeros((n, s, s, 3), np.uint8)
        weights = np.zeros((n, len(PARTS), s, s), np.uint8)
        labels = np.zeros((n, s, s), np.uint8)
        for k in range(n):
            sample = bird(self.split, k)
            drawn = layers(sample, s)
            base[k] = np.round(np.clip(drawn.base, 0, 1) * 255)
            weights[k] = np.round(np.clip(drawn.weights / _WEIGHT_RANGE, 0, 1) * 255)
            labels[k] = label_map(sample, s)
        for path, array in zip(paths, (base, weights, labels), strict=True):
            part = path.with_suffix(f".{os.getpid()}.part.npy")
            np.save(part, array)
            part.replace(path)

    def sample(self, index: int, rng: np.random.Generator) -> Bird:
        """Bird ``index`` in freshly drawn colours."""
        names = [COLOUR_NAMES[k] for k in rng.integers(0, len(COLOUR_NAMES), len(PARTS))]
        return self._birds[index].recolour(dict(zip(PARTS, names, strict=True)))

    def paint(self, indices: np.ndarray, birds: Sequence[Bird]) -> Tensor:
        """Pictures float32 [B,3,S,S] in [-1,1]."""
        base = self._base[indices].astype(np.float32) / 255
        weights = self._weights[indices].astype(np.float32) * (_WEIGHT_RANGE / 255)
        colours = np.stack([part_colours(b) for b in birds])
        picture = base + np.einsum("bpij,bpc->bijc", weights, colours, optimize=True)
        return torch.from_numpy(np.clip(picture, 0, 1).transpose(0, 3, 1, 2) * 2 - 1).contiguous()

    def part_masks(self, indices: np.ndarray) -> np.ndarray:
        """float32 [B,6,S,S], about 1 where a part shows."""
        return self._weights[indices].astype(np.float32) * (_WEIGHT_RANGE / 255)

    def _ids(self, text: str) -> Sequence[int]:
        found = self.vocabulary.encode(text, tokenizer=self.tokenizer, max_words=self.max_words)
        return found.ids

    def batch(
        self, part: str, indices: Sequence[int], sources: Sequence[np.random.Generator]
    ) -> Batch:
        drawn = [self._drawn(part, int(k), rng) for k, rng in zip(indices, sources, strict=True)]
        places, birds = np.asarray(indices), [d.bird for d in drawn]
        batch = self._batch(self.paint(places, birds), drawn)
        if part == "manipulation":
            source = self.paint(places, [d.before for d in drawn])
            return replace(batch, source=source, labels=self._labels_of(places))
        colours = torch.tensor([_values(b, PARTS) for b in birds])
        batch = replace(batch, image_attributes=colours)
        if part == "inpainting":
            known = np.stack([d.known_mask for d in drawn if d.known_mask is not None])[:, None]
            known_mask = torch.from_numpy(known)
            return replace(batch, known_mask=known_mask, labels=self._labels_of(places))
        if part == "synthesis":
            code = _code(batch, birds, sources)
            return replace(batch, code=code, labels=self._labels_of(places))
        return batch

    def _labels_of(self, places: np.ndarray) -> Tensor:
        """int64 [B,S,S], see :func:`models.data.aviary.drawing.label_map`."""
        return torch.from_numpy(self._labels[places].astype(np.int64))

    def _drawn(self, part: str, index: int, rng: np.random.Generator) -> Drawn:
        """All decisions of one sample but its code's, in a fixed order. The caption of an edit
        names every changed part, and sometimes parts that stay; parts in a hole that nothing shows
        continue their neighbours.
        """
        before = new = self.sample(index, rng)
        known, more = None, 0
        if part == "manipulation":
            count = int(rng.choice((0, 1, 2, 3), p=(0.05, 0.4, 0.35, 0.2)))
            changed = [PARTS[k] for k in rng.permutation(len(PARTS))[:count]]
            new = before.recolour({p: other_colour(before.colour_of(p), rng) for p in changed})
            own = caption(new, rng, must_name=changed, most=max(2, count + 1))
        elif part == "inpainting":
            own = caption(before, rng, must_name=PARTS if rng.random() < _ALL_NAMED else ())
            (masks,) = self.part_masks(np.array([index]))
            known = random_hole(masks, rng)
            new = continue_colours(before, own.parts, masks, known)
        else:
            own, more = caption(before, rng), self.captions
        return Drawn(
            before,
            new,
            own,
            negative=_mismatched_caption(new, rng),
            more=[caption(new, rng).text for _ in range(more)],
            class_id=int(rng.integers(1 << 62)),
            known_mask=known,
        )

    def _batch(self, images: Tensor, drawn: Sequence[Drawn]) -> Batch:
        ids, lengths = pad_rows([self._ids(d.caption.text) for d in drawn])
        wrong_ids, wrong_lengths = pad_rows([self._ids(d.negative[1].text) for d in drawn])
        several = [[self._ids(text) for text in d.more] for d in drawn if d.more]
        more_ids, more_lengths = pad_groups(several) if several else (None, None)
        return Batch(
            images=images,
            ids=ids,
            lengths=lengths,
            class_ids=torch.tensor([d.class_id for d in drawn]),
            negative_ids=wrong_ids,
            negative_lengths=wrong_lengths,
            more_ids=more_ids,
            more_lengths=more_lengths,
            caption_attributes=torch.tensor([_values(d.bird, d.caption.parts) for d in drawn]),
            negative_attributes=torch.tensor(
                [_values(b, c.parts) for b, c in (d.negative for d in drawn)]
            ),
        )


@dataclass(frozen=True)
class Drawn:
    """One sample: the bird before an edit and as it is shown, its caption, another bird with a
    caption that does not fit, further captions, a class of its own, in whatever batch it is; where
    there is a hole, float32 [S,S], 1 = known.
    """

    before: Bird
    bird: Bird
    caption: Caption
    negative: tuple[Bird, Caption]
    more: Sequence[str]
    class_id: int
    known_mask: np.ndarray | None


def _code(batch: Batch, birds: Sequence[Bird], sources: Sequence[np.random.Generator]) -> Tensor:
    """What the pictures were drawn from. Parts that the caption names get any colour in the code,
    so that theirs can be learned from the caption alone.
    """
    colours = [rng.integers(0, len(COLOUR_NAMES), len(PARTS)) for rng in sources]
    named = batch.need("caption_attributes") >= 0
    shown = torch.where(named, torch.tensor(np.stack(colours)), batch.need("image_attributes"))
    pose = torch.from_numpy(np.stack([pose_values(b) for b in birds]))
    code = [
        torch.tensor([[1.0 if b.facing_left else -1.0] for b in birds]),
        (pose - 0.5) * 12**0.5,
        _choice(torch.tensor([b.backdrop for b in birds]), BACKDROPS),
        _choice(shown, len(COLOUR_NAMES)).flatten(1),
    ]
    return torch.cat(code, 1)


def _values(sample: Bird, parts: Collection[str]) -> tuple[int, ...]:
    return tuple(COLOUR_NAMES.index(sample.colour_of(p)) if p in parts else -1 for p in PARTS)


def _choice(values: Tensor, count: int) -> Tensor:
    """float32 [...,count]: values int64 [...] as a latent's choices."""
    return standardise(functional.one_hot(values, count).float())


def other_colour(colour: str, rng: np.random.Generator) -> str:
    """One of the other nine."""
    others = [name for name in COLOUR_NAMES if name != colour]
    return others[int(rng.integers(len(others)))]


def _mismatched_caption(sample: Bird, rng: np.random.Generator) -> tuple[Bird, Caption]:
    """A caption that is wrong in one named part at least, and half of the time in every part, with
    the bird that it fits.
    """
    parts = [p for p in PARTS if rng.random() < 0.5] if rng.random() < 0.5 else list(PARTS)
    parts = parts or [PARTS[int(rng.integers(len(PARTS)))]]
    other = sample.recolour({p: other_colour(sample.colour_of(p), rng) for p in parts})
    named = parts[int(rng.integers(len(parts)))]
    return other, caption(other, rng, must_name=[named])
