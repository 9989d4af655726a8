"""The networks of a bundle built naively: float32, spectral norm computed in every forward pass,
all layers of VGG-16, all output heads, torch's own instance norm, contiguous memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import vgg16

from models.bundle import Bundle
from models.damsm.image_encoder import CompactImageEncoder, PhotoFeatures
from models.damsm.inception import InceptionImageEncoder
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig, padding
from models.inpainting.tdanet.network import InpaintConfig, InpaintEncoder, InpaintGenerator
from models.manipulation.manigan.network import ManiganConfig, networks
from models.manipulation.manigan.photo_encoder import photo_encoder
from models.pipeline import Pipeline, config_from
from models.runtime.norms import InstanceNorm
from models.synthesis.efficient_t2i.network import Generator, GeneratorConfig

Forward = Callable[[Any], Tensor]  # what the pipeline prepared of one item → picture [1,3,S,S]
_RELU2_2 = 8  # of VGG-16's layers


class Naive:
    """Forward passes with the weights of ``pipeline``'s bundle, of what it prepares."""

    def __init__(self, pipeline: Pipeline[Any]) -> None:
        self.pipeline, self.bundle, self.task = pipeline, pipeline.bundle, pipeline.task
        config = config_from(TextEncoderConfig, pipeline.spec.text_encoder, "text encoder")
        self.text: Any = self._load(TextEncoder(config), "text_encoder")
        make = {"synthesize": self._synthesis, "manipulate": self._manipulation}
        self.forward: Forward = make.get(self.task, self._inpainting)()

    def _load(self, module: nn.Module, role: str) -> Any:
        module.load_state_dict(self.bundle.state(self.task, role))
        return plain_norms(module).eval()

    def _caption(self, words: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
        ids, lengths = self.pipeline.captions([words])
        features, sentence = self.text(ids, lengths)
        return features, sentence, padding(lengths, features.shape[2])

    def _synthesis(self) -> Forward:
        config = config_from(GeneratorConfig, self.pipeline.spec.network, self.task)
        shaped = replace(config, latent="")  # the noise has its shapes already
        generator = self._load(Generator(shaped), "generator")

        def forward(prepared: Any) -> Tensor:
            (words,) = prepared.captions
            return generator(prepared.z, self._caption(words)[1])

        return forward

    def _manipulation(self) -> Forward:
        config = config_from(ManiganConfig, self.pipeline.spec.network, self.task)
        made = {role: self._load(m, role) for role, m in networks(config).items()}
        look = _plain_photo_encoder(self.bundle, self.task)

        def forward(prepared: Any) -> Tensor:
            words, sentence, pad = self._caption(prepared.ids)
            seen = look(_photo(prepared.square))
            z, noise = (draw[None] for draw in prepared.draws)
            out = made["main"](z, noise, words, sentence, pad, seen.code, seen.regions)
            return made["dcm"](out.hidden, seen.detail, words, pad)[0]

        return forward

    def _inpainting(self) -> Forward:
        config = config_from(InpaintConfig, self.pipeline.spec.network, self.task)
        encoder = self._load(InpaintEncoder(config), "encoder")
        generator = self._load(InpaintGenerator(config), "generator")

        def forward(prepared: Any) -> Tensor:
            words, sentence, pad = self._caption(prepared.ids)
            mask = torch.from_numpy(prepared.known_masks[0])[None, None]
            seen = encoder(_photo(prepared.pixels[0]), mask, words, sentence, pad)
            z = seen.mu + seen.sigma * prepared.noise[0]
            feature = seen.features[config.feature]
            return generator(z, seen.summary, feature, mask)[-1]

        return forward


def _photo(pixels: np.ndarray[Any, Any]) -> Tensor:
    """[H,W,3] in [0,1] → [1,3,H,W] in [-1,1]."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous() * 2 - 1


def _plain_photo_encoder(bundle: Bundle, task: str) -> Callable[[Tensor], PhotoFeatures]:
    """The photo encoder; of the published one with VGG-16 whole, of which relu2_2 is kept."""
    encoder = photo_encoder(bundle, task, "naive").eval()
    if isinstance(encoder, CompactImageEncoder):
        return encoder.photo
    image = InceptionImageEncoder()
    image.load_state_dict(bundle.state(task, "image_encoder"))
    image.eval()
    layers = vgg16(weights=None).features
    detail = {k.removeprefix("features."): v for k, v in bundle.state(task, "detail").items()}
    layers.load_state_dict(detail, strict=False)

    def encode_photo(photo: Tensor) -> PhotoFeatures:
        regions, code = image(photo)
        x, kept = photo, photo
        for place, layer in enumerate(layers):
            x = layer(x)
            kept = x.clone() if place == _RELU2_2 else kept  # later layers work in place
        return PhotoFeatures(code, regions, kept)

    return encode_photo


def plain_norms(module: nn.Module) -> nn.Module:
    """torch's own instance norm wherever the network has its faster one, in place."""
    for name, child in module.named_children():
        if isinstance(child, InstanceNorm):
            plain = nn.InstanceNorm2d(child.num_channels, affine=child.affine)
            plain.load_state_dict(child.state_dict())
            module._modules[name] = plain
        else:
            plain_norms(child)
    return module
