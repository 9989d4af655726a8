"""Where a bundle's DAMSM encoders find the words of a caption in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from jobs.captions import Blend, Vocabulary, Word
from models.bundle import load_strict
from models.damsm.image_encoder import CompactImageEncoder
from models.damsm.inception import open_image_encoder
from models.damsm.losses import GAMMA1
from models.damsm.rating_head import ROLE as HEAD
from models.damsm.rating_head import RatingHead
from models.damsm.text_encoder import open_text_encoder
from models.layers import fold_batch_norm
from models.pipeline import Pipeline
from models.runtime.device import finish_transfers

PART = "damsm"  # of a bundle: the encoders that were trained together


@dataclass(frozen=True)
class Regions:
    """What was found of one caption. maps float32 [T,r,r]: for each word the attention over the
    picture's regions; shares [T]: the most that a region gives of itself to the word.
    """

    maps: NDArray[np.float32]
    shares: NDArray[np.float32]


def word_regions(regions: Tensor, words: Tensor, gamma: float = GAMMA1) -> Regions:
    """AttnGAN section 3.3, equations 7 to 9. regions [D,r,r], words [D,T], no padding."""
    similarity = words.T.float() @ regions.flatten(1).float()
    over_words = similarity.softmax(0)
    over_regions = (gamma * over_words).softmax(1).view(-1, *regions.shape[1:])
    return Regions(over_regions.cpu().numpy(), over_words.amax(1).cpu().numpy())


class WordRegions:
    """The encoders of ``bundle.json``'s part "damsm", on the device of the pipeline that asks."""

    def __init__(self, pipeline: Pipeline[Any]) -> None:
        bundle = pipeline.bundle
        self.spec, self.autocast = bundle.task(PART), pipeline.autocast
        self.words = Vocabulary.load(bundle.vocabulary_path(PART))
        self.text = pipeline.prepare_module(open_text_encoder(bundle, PART))
        encoder = fold_batch_norm(open_image_encoder(bundle, PART).eval())
        self.image = pipeline.prepare_module(encoder)
        self.rating = _rating_head(pipeline, self.image)
        finish_transfers(pipeline.device)  # loaded by the first thread that asks for them

    def find(self, pictures: Tensor, texts: Sequence[Sequence[str]]) -> list[list[Regions]]:
        """What there is of each picture's texts. pictures [B,3,S,S] in [-1,1]."""
        with self.autocast():
            regions, _ = self.image(pictures.float())
        words = {
            text: self._encode_texts(text, pictures.device)[0] for each in texts for text in each
        }
        return [
            [word_regions(seen, words[text]) for text in each]
            for seen, each in zip(regions, texts, strict=True)
        ]

    def agreement(self, pictures: Tensor, blend: Blend) -> list[float]:
        """Of each picture [K,3,S,S] in [-1,1] with the mean of the captions by their shares: the
        cosine of AttnGAN's equation 11, and what the bundle's rating head adds, if it has one.
        The same for the same pictures in the same order.
        """
        with self.autocast():
            codes, rating = self._encode_images(pictures.float())
        sentences = [share * self._encode_texts(text, pictures.device)[1] for text, share in blend]
        mean = torch.stack(sentences).sum(0)
        scores = functional.cosine_similarity(codes.float(), mean[None]) + rating
        return cast("list[float]", scores.tolist())

    def _encode_images(self, pictures: Tensor) -> tuple[Tensor, Tensor | float]:
        """Codes [K,D], and what the rating head says [K]."""
        if self.rating is None or not isinstance(self.image, CompactImageEncoder):
            return self.image(pictures)[1], 0.0
        taps = self.image.taps(pictures)
        return self.image.embed(taps)[1], self.rating(taps)

    def _encode_texts(self, text: str, device: torch.device) -> tuple[Tensor, Tensor]:
        """Word features [D,T] and sentence features [D] of one caption."""
        ids = [word.index for word in self._read(text) if word.column is not None]
        if not ids:
            features = self.text.config.features
            return torch.zeros(features, 0, device=device), torch.zeros(features, device=device)
        words, sentence = self.text(torch.tensor([ids], device=device), torch.tensor([len(ids)]))
        return words[0], sentence[0]

    def _read(self, text: str) -> tuple[Word, ...]:
        spec = self.spec
        return self.words.read(text, tokenizer=spec.tokenizer, max_words=spec.max_words)

    def columns(self, text: str, read: Sequence[Word]) -> list[Word]:
        """The words as a generator read them, with the columns that they have here."""
        own = {(word.start, word.end): word.column for word in self._read(text)}
        return [
            word if word.column is None else replace(word, column=own.get((word.start, word.end)))
            for word in read
        ]


def _rating_head(pipeline: Pipeline[Any], image: nn.Module) -> RatingHead | None:
    """The one that the bundle holds, if it does."""
    bundle = pipeline.bundle
    if HEAD not in bundle.task(PART).files or not isinstance(image, CompactImageEncoder):
        return None
    head = RatingHead.on(image.trunk, image.config.taps)
    load_strict(head, bundle.state(PART, HEAD), f"bundle {bundle.name!r}, {PART}: {HEAD}")
    return head.to(pipeline.device).requires_grad_(False)
