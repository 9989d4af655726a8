"""A bundle's subject head: taught, on pictures that the bundle itself makes of training captions,
what a whole ImageNet classifier says of them.

No photo is looked at, and the classifier that evaluates has no part in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.bundle import Bundle, save_task
from models.damsm.efficientnet import EfficientNetLiteClassifier
from models.damsm.image_encoder import CompactImageEncoder
from models.damsm.subject_head import ROLE, SubjectHead, classes_of, fit, log_odds, pool
from models.damsm.word_regions import PART
from models.data.opening import open_photos
from models.data.photos import Photos
from models.errors import InputProblem, ModelsError
from models.pipeline import Item, OutputWithAttention, to_tensor
from models.registry import load
from models.synthesis.pipeline import SynthesisPipeline

_SEEDS = 4  # pictures of each caption
_SCALES = (0.6, 0.7, 0.8, 0.9, 1.0)  # of the noise, so that the head knows all that may be served
_SIDE = 128  # pixels at which the classifier looks: what is made is smaller still
_HELD_OUT = 5  # every so many-th caption is


@dataclass(frozen=True)
class Options:
    """pictures: made for it; weight: of the classifier's log-odds beside the cosine."""

    pictures: int = 2000
    weight: float = 0.05
    seed: int = 0
    device: str = "cpu"


def teach_subject(folder: Path, where: str, options: Options) -> float:
    """Add the head to the bundle in ``folder``; where: a data folder, for its training captions.

    Returns the correlation of head and classifier on pictures of captions that the head was not
    fitted to. Raises ModelsError for a bundle that has no subject or no encoders for it.
    """
    pipeline = load(folder, "synthesize", None, options.device)
    if not isinstance(pipeline, SynthesisPipeline) or pipeline.encoders is None:
        raise ModelsError(f"Bundle {pipeline.bundle.name!r} needs {PART} beside its synthesis.")
    image, classes = pipeline.encoders.image, classes_of(pipeline.bundle.domain)
    if not isinstance(image, CompactImageEncoder) or not classes:
        raise ModelsError(f"There is no subject for pictures of {pipeline.bundle.domain!r}.")
    photos = open_photos(where, size=pipeline.spec.size)
    texts = _captions(photos, options)
    features, logits = _trunk_features(pipeline, image, texts, options.seed)
    mass = logits.softmax(1)[:, list(classes)].sum(1)
    held_out = torch.arange(len(mass)) // _SEEDS % _HELD_OUT == 0
    head = SubjectHead.on(image.trunk, image.config.taps)
    fit(head, features[~held_out], mass[~held_out], options.weight)
    _add(pipeline.bundle, head)
    with torch.inference_mode():
        scores = (features[held_out] * head.weight).sum(1).double()
        return float(torch.corrcoef(torch.stack([scores, log_odds(mass[held_out])]))[0, 1])


def _captions(photos: Photos, options: Options) -> list[str]:
    """One of each of as many photos as are needed."""
    rng = np.random.default_rng(options.seed)
    count = options.pictures // _SEEDS
    found = []
    for index in rng.permutation(len(photos))[:count]:
        texts = photos.caption_texts(int(index))
        found.append(texts[int(rng.integers(len(texts)))])
    return found


def _trunk_features(
    pipeline: SynthesisPipeline, image: CompactImageEncoder, texts: list[str], seed: int
) -> tuple[Tensor, Tensor]:
    """Features [N,F] and the classifier's logits [N,1000] of what is made of the texts."""
    classifier = EfficientNetLiteClassifier(0).to(pipeline.device)
    features, logits = [], []
    for items in _batches([t for t in texts if _known_captions(pipeline, t)], seed):
        made = pipeline.forward([pipeline.prepare(item) for item in items])
        pixels = np.stack([x.pixels if isinstance(x, OutputWithAttention) else x for x in made])
        with torch.inference_mode():
            pictures = to_tensor(pixels, pipeline.device)
            features.append(pool(image.taps(pictures)).cpu())
            logits.append(classifier(_enlarge(pictures))[1].cpu())
    return torch.cat(features), torch.cat(logits)


def _known_captions(pipeline: SynthesisPipeline, text: str) -> bool:
    try:
        return bool(pipeline.encode(text).ids)
    except InputProblem:
        return False


def _enlarge(pictures: Tensor) -> Tensor:
    side = (_SIDE, _SIDE)
    return functional.interpolate(pictures, side, mode="bicubic", antialias=True).clamp(-1, 1)


def _batches(texts: list[str], seed: int) -> Iterator[list[Item]]:
    for place, text in enumerate(texts):
        first = (seed + place) * _SEEDS
        scales = (_SCALES[(first + k) % len(_SCALES)] for k in range(_SEEDS))
        yield [Item(text, first + k, noise_scale=scale) for k, scale in enumerate(scales)]


def _add(bundle: Bundle, head: SubjectHead) -> None:
    spec = bundle.task(PART)
    states = {role: bundle.state(PART, role) for role in spec.files} | {ROLE: head.state_dict()}
    raw = {key: value for key, value in spec.raw.items() if key != "files"}
    save_task(bundle.folder, PART, raw, states, half=True)
