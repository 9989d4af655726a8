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
        places = np.asarray(indices)
        birds = [self.sample(int(k), rng) for k, rng in zip(indices, sources, strict=True)]
        if part == "manipulation":
            return self._edit_batch(places, birds, sources)
        if part == "inpainting":
            return self._hole_batch(places, birds, sources)
        drawn = list(zip(birds, sources, strict=True))
        caption_rows = [_caption_attributes(b, caption(b, rng)) for b, rng in drawn]
        wrong = [_mismatched_caption(b, rng) for b, rng in drawn]
        more = [[caption(b, rng).text for _ in range(self.captions)] for b, rng in drawn]
        images, classes = self.paint(places, birds), _unique_classes(sources)
        batch = self._batch(images, caption_rows, wrong, classes, more=more)
        batch = replace(batch, image_attributes=_all_attributes(birds))
        return self._with_code(batch, places, birds, sources) if part == "synthesis" else batch

    def _labels_of(self, places: np.ndarray) -> Tensor:
        """int64 [B,S,S], see :func:`models.data.aviary.drawing.label_map`."""
        return torch.from_numpy(self._labels[places].astype(np.int64))

    def _hole_batch(
        self, places: np.ndarray, birds: Sequence[Bird], sources: Sequence[np.random.Generator]
    ) -> Batch:
        """With holes; parts that nothing shows continue their neighbours."""
        whole, holes, caption_rows, wrong = [], [], [], []
        for sample, masks, rng in zip(birds, self.part_masks(places), sources, strict=True):
            own = caption(sample, rng, must_name=PARTS if rng.random() < _ALL_NAMED else ())
            hole = random_hole(masks, rng)
            new = continue_colours(sample, own.parts, masks, hole)
            whole.append(new)
            holes.append(hole)
            caption_rows.append(_caption_attributes(new, own))
            wrong.append(_mismatched_caption(new, rng))
        images = self.paint(places, whole)
        batch = self._batch(images, caption_rows, wrong, _unique_classes(sources))
        hole_planes = torch.from_numpy(np.stack(holes)[:, None])
        labels = self._labels_of(places)
        return replace(
            batch, known_mask=hole_planes, image_attributes=_all_attributes(whole), labels=labels
        )

    def _with_code(
        self,
        batch: Batch,
        places: np.ndarray,
        birds: Sequence[Bird],
        sources: Sequence[np.random.Generator],
    ) -> Batch:
        """With what the pictures were drawn from. Parts that the caption names get any colour in
        the code, so that theirs can be learned from the caption alone.
        """
        assert batch.caption_attributes is not None and batch.image_attributes is not None  # noqa: S101, PT018 (just made)
        other = torch.tensor(
            np.stack([rng.integers(0, len(COLOUR_NAMES), len(PARTS)) for rng in sources])
        )
        colours = torch.where(batch.caption_attributes >= 0, other, batch.image_attributes)
        facing = torch.tensor([[1.0 if b.facing_left else -1.0] for b in birds])
        pose = torch.from_numpy(np.stack([pose_values(b) for b in birds]))
        backdrop = torch.tensor([b.backdrop for b in birds])
        code = [
            facing,
            (pose - 0.5) * 12**0.5,
            _choice(backdrop, BACKDROPS),
            _choice(colours, len(COLOUR_NAMES)).flatten(1),
        ]
        return replace(batch, code=torch.cat(code, 1), labels=self._labels_of(places))

    def _edit_batch(
        self, indices: np.ndarray, before: Sequence[Bird], sources: Sequence[np.random.Generator]
    ) -> Batch:
        """Paired renders: the caption names every changed part, and sometimes parts that stay."""
        after, caption_rows, wrong = [], [], []
        for old, rng in zip(before, sources, strict=True):
            count = int(rng.choice((0, 1, 2, 3), p=(0.05, 0.4, 0.35, 0.2)))
            changed = [PARTS[k] for k in rng.permutation(len(PARTS))[:count]]
            new = old.recolour({p: other_colour(old.colour_of(p), rng) for p in changed})
            after.append(new)
            own = caption(new, rng, must_name=changed, most=max(2, count + 1))
            caption_rows.append(_caption_attributes(new, own))
            wrong.append(_mismatched_caption(new, rng))
        images, source = self.paint(indices, after), self.paint(indices, before)
        batch = self._batch(images, caption_rows, wrong, _unique_classes(sources))
        return replace(batch, source=source, labels=self._labels_of(indices))

    def _batch(
        self,
        images: Tensor,
        matching: Sequence[CaptionAttributes],
        negative: Sequence[CaptionAttributes],
        classes: Tensor,
        more: Sequence[Sequence[str]] | None = None,
    ) -> Batch:
        ids, lengths = pad_rows([self._ids(t.text) for t in matching])
        wrong_ids, wrong_lengths = pad_rows([self._ids(t.text) for t in negative])
        several = [[self._ids(text) for text in texts] for texts in more or ()]
        more_ids, more_lengths = pad_groups(several) if self.captions and several else (None, None)
        return Batch(
            images=images,
            ids=ids,
            lengths=lengths,
            class_ids=classes,
            negative_ids=wrong_ids,
            negative_lengths=wrong_lengths,
            more_ids=more_ids,
            more_lengths=more_lengths,
            caption_attributes=torch.tensor([t.values for t in matching]),
            negative_attributes=torch.tensor([t.values for t in negative]),
        )


@dataclass(frozen=True)
class CaptionAttributes:
    """A caption, and by part the index of the colour that it says, -1 where it says none."""

    text: str
    values: tuple[int, ...]


def _caption_attributes(sample: Bird, caption: Caption) -> CaptionAttributes:
    return CaptionAttributes(caption.text, _values(sample, caption.parts))


def _values(sample: Bird, parts: Collection[str]) -> tuple[int, ...]:
    return tuple(COLOUR_NAMES.index(sample.colour_of(p)) if p in parts else -1 for p in PARTS)


def _all_attributes(birds: Sequence[Bird]) -> Tensor:
    """int64 [B,6], the colours of all parts."""
    return torch.tensor([_values(b, PARTS) for b in birds])


def _choice(values: Tensor, count: int) -> Tensor:
    """float32 [...,count]: values int64 [...] as a latent's choices."""
    return standardise(functional.one_hot(values, count).float())


def _unique_classes(sources: Sequence[np.random.Generator]) -> Tensor:
    """int64 [B]: a class of its own for every picture, in whatever batch it is."""
    return torch.tensor([int(rng.integers(1 << 62)) for rng in sources])


def other_colour(colour: str, rng: np.random.Generator) -> str:
    """One of the other nine."""
    others = [name for name in COLOUR_NAMES if name != colour]
    return others[int(rng.integers(len(others)))]


def _mismatched_caption(sample: Bird, rng: np.random.Generator) -> CaptionAttributes:
    """A caption that is wrong in one named part at least, and half of the time in every part."""
    parts = [p for p in PARTS if rng.random() < 0.5] if rng.random() < 0.5 else list(PARTS)
    parts = parts or [PARTS[int(rng.integers(len(PARTS)))]]
    other = sample.recolour({p: other_colour(sample.colour_of(p), rng) for p in parts})
    named = parts[int(rng.integers(len(parts)))]
    return _caption_attributes(other, caption(other, rng, must_name=[named]))
