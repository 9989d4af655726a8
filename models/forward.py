"""Raw runs: tensors straight to a bundle's networks, for parity checks and bug reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.damsm.text_encoder import padding
from models.errors import ModelsError
from models.inpainting.picnet.pipeline import PicnetPipeline
from models.inpainting.tdanet.network import compose
from models.inpainting.tdanet.pipeline import TdanetPipeline
from models.manipulation.manigan.pipeline import ManiganPipeline
from models.registry import load
from models.synthesis.pipeline import SynthesisPipeline

Arrays = dict[str, np.ndarray[Any, Any]]


class _Given(Mapping[str, Tensor]):
    """Input arrays by name, as tensors."""

    def __init__(self, arrays: Mapping[str, Any], device: torch.device) -> None:
        self._arrays, self._device = arrays, device

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._arrays:
            names = ", ".join(sorted(self._arrays)) or "nothing"
            raise ModelsError(f"The inputs lack {name!r}; they hold {names}.")
        return torch.from_numpy(np.asarray(self._arrays[name])).to(self._device)

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def run(bundle: Path, task: str, inputs: Mapping[str, Any], device: str = "cpu") -> Arrays:
    """Outputs by name, float32.

    synthesize: z [B,z], sentence [B,text] → image. manipulate: image [B,3,S,S] in [-1,1], captions
    [B,L], lengths [B],
    z, ca_noise → words, sentence, global_code, image64, image128, image256 (the three stages),
    final. inpaint: image
    [B,3,S,S] in [0,1], mask (1 = known), eps, and for TDANet tokens [B,L], lengths [B] → mu, sigma,
    out1 …, composed. Other methods' pipelines say what they take (``raw_outputs``).
    """
    pipeline = load(bundle, task, None, device)
    function = _RUNS.get(type(pipeline), type(pipeline).raw_outputs)
    with torch.inference_mode():
        found = function(pipeline, _Given(inputs, pipeline.device))
    return {name: value.float().cpu().numpy() for name, value in found.items()}


def _synthesize(pipeline: SynthesisPipeline, given: _Given) -> dict[str, Tensor]:
    return {"image": pipeline.generator(given["z"], given["sentence"])}


def _manipulate(pipeline: ManiganPipeline, given: _Given) -> dict[str, Tensor]:
    if pipeline.main is None or pipeline.dcm is None:
        raise ModelsError("Raw runs of 'manipulate' need both of ManiGAN's modules.")
    lengths = given["lengths"].cpu()
    words, sentence = pipeline.text(given["captions"][:, : int(lengths.max())], lengths)
    pad = padding(lengths, words.shape[2]).to(words.device)
    seen = pipeline.image.photo(given["image"])
    out = pipeline.main(
        given["z"], given["ca_noise"], words, sentence, pad, seen.code, seen.regions
    )
    final, _ = pipeline.dcm(out.hidden, seen.detail, words, pad)
    stages = dict(zip(("image64", "image128", "image256"), out.pictures, strict=True))
    found = {"words": words, "sentence": sentence, "global_code": seen.code}
    return {**found, **stages, "final": final}


def _tdanet(pipeline: TdanetPipeline, given: _Given) -> dict[str, Tensor]:
    lengths = given["lengths"].cpu()
    words, sentence = pipeline.text(given["tokens"][:, : int(lengths.max())], lengths)
    pad = padding(lengths, words.shape[2]).to(words.device)
    images, mask = 2 * given["image"] - 1, given["mask"][:, :1]
    seen = pipeline.encoder(images, mask, words, sentence, pad)
    z = seen.mu + seen.sigma * given["eps"]
    feature = seen.features[pipeline.config.feature]
    pictures = pipeline.generator(z, seen.summary, feature, mask)
    return _painted(seen.mu, seen.sigma, pictures, images, mask)


def _painted(
    mu: Tensor, sigma: Tensor, pictures: list[Tensor], images: Tensor, mask: Tensor
) -> dict[str, Tensor]:
    outs = {f"out{k}": picture for k, picture in enumerate(pictures, 1)}
    composed = compose(pictures[-1], images, mask)
    return {"mu": mu, "sigma": sigma, **outs, "composed": composed}


def _picnet(pipeline: PicnetPipeline, given: _Given) -> dict[str, Tensor]:
    images, mask = 2 * given["image"] - 1, given["mask"][:, :1]
    seen = pipeline.encoder(images, mask)
    feature, z = seen.features[pipeline.config.feature], seen.mu + seen.sigma * given["eps"]
    pictures = pipeline.generator(z, seen.features[-1], feature, mask)
    return _painted(seen.mu, seen.sigma, pictures, images, mask)


_RUNS: dict[type, Callable[[Any, _Given], dict[str, Tensor]]] = {
    SynthesisPipeline: _synthesize,
    ManiganPipeline: _manipulate,
    TdanetPipeline: _tdanet,
    PicnetPipeline: _picnet,
}
