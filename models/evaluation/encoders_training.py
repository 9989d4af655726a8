"""Training of the judging encoders."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.damsm.image_encoder import CompactImageEncoder
from models.damsm.losses import damsm_losses
from models.damsm.text_encoder import TextEncoder
from models.data.aviary.dataset import Aviary
from models.data.opening import open_data
from models.evaluation.cases import HeldOut
from models.evaluation.encoders import EvaluationEncoders, build, configs, own_weights
from models.evaluation.estimates import bootstrap
from models.evaluation.evaluator_files import manifest, save_network
from models.evaluation.held_out_aviary import HeldOutAviary
from models.evaluation.held_out_photos import open_held_out_photos
from models.evaluation.metrics import caption_pools
from models.evaluation.panel import POOL, Panel
from models.evaluation.runner import EvaluationError
from models.training.batch import Batch, TrainingData

_AVIARY_SIZE, _PHOTO_SIZE = 64, 128
_INPUT = {64: 96, 128: 128}  # pixels at which the trunk looks, by picture size


@dataclass(frozen=True)
class EncoderOptions:
    """steps: instead of minutes; size: of the pictures (0: 64 for Aviary, 128 for photos).

    The seed is none that a preset trains with.
    """

    minutes: float = 10.0
    steps: int = 0
    size: int = 0
    seed: int = 70_001
    batch: int = 48
    count: int = 3000  # geometries of Aviary
    rate: float = 2e-3
    clip: float = 0.25
    checked: int = 500  # held-out pictures for the R-precision in judges.json


def train_encoders(where: str, options: EncoderOptions, out: Path) -> Path:
    """Train a pair for "aviary" or the data folder ``where``; the file written in ``out``."""
    manifest(out)  # one that is damaged is refused before the work
    torch.manual_seed(options.seed)
    data, held_out = _open(where, options)
    known = [case.caption for case in held_out.synthesis(POOL, data.size)]
    if len(known) < 2 or caption_pools(known, POOL, options.seed).shape[1] < 2:
        raise EvaluationError(
            f"{held_out.name} has {len(known)} pictures in its split test; at least 2 with "
            "different captions are needed to tell how good the judge is. Hold out more photos."
        )
    input_size = _INPUT.get(data.size, max(96, min(data.size, 192) // 16 * 16))
    text_config, image_config = configs(len(data.vocabulary.words), input_size)
    text, image = build(text_config, image_config)
    steps = _train(text, image, data, options)
    evaluator = EvaluationEncoders(
        text.eval(), image.eval(), data.vocabulary, data.tokenizer, data.max_words, {}
    )
    precision = _held_out_r_precision(evaluator, held_out, data.size, options)
    limit = f"--steps {options.steps}" if options.steps else f"--minutes {options.minutes:g}"
    data_name = "aviary" if where == "aviary" else "DIR"
    facts: dict[str, object] = {
        "r_precision": precision,
        "trunk": "EfficientNet-Lite2, ImageNet weights, frozen",
        "data": data.fingerprint,
        "seed": options.seed,
        "steps": steps,
        "command": f"python -m models judge encoders --data {data_name} {limit} --out DIR",
        "tokenizer": data.tokenizer,
        "max_words": data.max_words,
        "text": text_config,
        "image": image_config,
        "words": list(data.vocabulary.words),
    }
    return save_network(out, "encoders", own_weights(text, image), facts, data.name)


def _open(where: str, options: EncoderOptions) -> tuple[TrainingData, HeldOut]:
    """Training split and held-out split of the data set."""
    if where == "aviary":
        size = options.size or _AVIARY_SIZE
        return Aviary(size, options.count, split="judge"), HeldOutAviary("test")
    size = options.size or _PHOTO_SIZE
    return open_data(where, size=size, split="train"), open_held_out_photos(where, size, "test")


def _train(
    text: TextEncoder, image: CompactImageEncoder, data: TrainingData, options: EncoderOptions
) -> int:
    """Adam on both encoders' own weights; the number of steps."""
    trained = [p for m in (text, image) for p in m.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(trained, options.rate, betas=(0.5, 0.999))
    rng, count = np.random.default_rng(options.seed), min(options.batch, len(data))
    text.train()
    image.train()
    step, share, started = 0, 0.0, time.monotonic()
    while share < 1:
        for group in optimiser.param_groups:
            group["lr"] = options.rate * _schedule(share)
        indices = [int(k) for k in rng.choice(len(data), count, replace=False)]
        loss = _loss(text, image, data.batch("damsm", indices, rng.spawn(count)))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(text.parameters(), options.clip)
        optimiser.step()
        step += 1
        minutes = (time.monotonic() - started) / 60
        share = step / options.steps if options.steps else minutes / options.minutes
        if step % 100 == 0:
            sys.stderr.write(f"step {step} loss {float(loss.detach()):.3f}\n")
    return step


def _schedule(share: float) -> float:
    """Of the rate: it rises over the first twentieth and falls along a cosine."""
    return min(share * 20 + 0.02, 1.0) * (0.5 + 0.5 * math.cos(math.pi * min(share, 1.0)))


def _loss(text: TextEncoder, image: CompactImageEncoder, batch: Batch) -> Tensor:
    words, sentence = text(batch.ids, batch.lengths)
    pictures = _add_noise(batch.images).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        regions, code = image(pictures)
    photo, caption = (regions, code.float()), (words, sentence, batch.lengths)
    by_words, by_sentence = damsm_losses(photo, caption, batch.class_ids)
    return by_words + by_sentence


def _add_noise(images: Tensor) -> Tensor:
    """A little noise, so that the judge does not hang on a generator's grain."""
    return (images + 0.05 * torch.rand(len(images), 1, 1, 1) * torch.randn_like(images)).clamp(
        -1, 1
    )


def _held_out_r_precision(
    encoders: EvaluationEncoders, data: HeldOut, size: int, options: EncoderOptions
) -> float:
    """R-precision (1 of 10) of real held-out pictures."""
    cases = data.synthesis(options.checked, size)
    found = Panel(encoders=encoders).retrieval(
        [c.picture for c in cases], [c.caption for c in cases], options.seed
    )
    return round(bootstrap(found["r_precision"]).value, 4)
