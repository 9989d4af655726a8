"""The judging encoders: a second DAMSM pair on EfficientNet-Lite2, with a seed of its own.

They stand behind sim and R-precision, and never give a training signal. The trunk is frozen and
comes from its package, so the file holds the text encoder and the image head only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from jobs.captions import Vocabulary
from models.bundle import load_strict
from models.damsm.efficientnet import EfficientNetLite2, load_imagenet
from models.damsm.image_encoder import CompactEncoderConfig, CompactImageEncoder
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig, pad_rows
from models.evaluation.evaluator_files import evaluator_folders, read_evaluator
from models.pipeline import config_from

TAPS = (3, 6, 14)  # Lite2's blocks at a quarter, an eighth and a sixteenth of the input
_TRUNK = "image.trunk."


@dataclass(frozen=True)
class EvaluationEncoders:
    """A loaded pair. described: what the report says of it."""

    text: TextEncoder
    image: CompactImageEncoder
    vocabulary: Vocabulary
    tokenizer: str
    max_words: int
    described: Mapping[str, object]

    @torch.inference_mode()
    def codes(self, images: Tensor, batch: int = 32) -> Tensor:
        """Pictures float32 [N,3,S,S] in [-1,1] → unit vectors [N,D]."""
        found = [self.image(x)[1] for x in images.split(batch)]
        return functional.normalize(torch.cat(found).float())

    @torch.inference_mode()
    def sentences(self, texts: Sequence[str], batch: int = 100) -> Tensor:
        """Captions → unit vectors [N,D]; one without known words is read as the padding word."""
        rows = [self._ids(t) for t in texts]
        parts = (rows[k : k + batch] for k in range(0, len(rows), batch))
        found = [self.text(*pad_rows(part))[1] for part in parts]
        return functional.normalize(torch.cat(found).float())

    def _ids(self, text: str) -> tuple[int, ...]:
        encoded = self.vocabulary.encode(text, tokenizer=self.tokenizer, max_words=self.max_words)
        return tuple(encoded.ids) or (0,)


def build(
    text: Mapping[str, Any], image: Mapping[str, Any]
) -> tuple[TextEncoder, CompactImageEncoder]:
    """Both encoders with random heads; the trunk has its ImageNet weights."""
    where = "judging encoders"
    config = config_from(CompactEncoderConfig, image, where)
    trunk = EfficientNetLite2(max(config.taps))
    load_imagenet(trunk)
    reader = TextEncoder(config_from(TextEncoderConfig, text, where))
    return reader, CompactImageEncoder(config, trunk)


def own_weights(text: TextEncoder, image: CompactImageEncoder) -> dict[str, Tensor]:
    """What training changed: ``text.*`` and ``image.*`` without the trunk."""
    both = {f"text.{k}": v for k, v in text.state_dict().items()}
    both |= {f"image.{k}": v for k, v in image.state_dict().items()}
    return {k: v.detach().contiguous() for k, v in both.items() if not k.startswith(_TRUNK)}


def load_encoders(data: str, folder: Path | None = None) -> EvaluationEncoders:
    """The encoders for the data set named ``data`` in ``folder``, else in weights/judges, else in
    the user's cache folder. Raises EvaluatorMissing when there are none.
    """
    state, found = read_evaluator(evaluator_folders(folder), "encoders", data)
    text, image = build(found["text"], found["image"])
    trunk = {f"{_TRUNK}{k}": v for k, v in image.trunk.state_dict().items()}
    whole = {**state, **trunk}
    for prefix, module in (("text.", text), ("image.", image)):
        own = {k.removeprefix(prefix): v for k, v in whole.items() if k.startswith(prefix)}
        load_strict(module, own, f"the judging encoders ({prefix[:-1]})")
        module.eval().requires_grad_(False)
    description = {"sha256": found["sha256"], "trunk": "EfficientNet-Lite2", "seed": found["seed"]}
    description["held-out r_precision of real pictures"] = found["r_precision"]
    return EvaluationEncoders(
        text, image, Vocabulary(found["words"]), found["tokenizer"], found["max_words"], description
    )


def configs(words: int, input_size: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Text and image configuration as stored in ``judges.json``."""
    text = TextEncoderConfig(words, 64, 256, dropout=0.2)
    image = CompactEncoderConfig(input_size, TAPS, 160, 256)
    return asdict(text), asdict(image)
