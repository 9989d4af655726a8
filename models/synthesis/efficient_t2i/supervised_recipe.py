"""Training Efficient-T2I as a renderer: a data set that draws its pictures knows what each was
drawn from, so the generator can be taught to draw that very picture (supervised, without a
discriminator).

The text decides the parts that it names, the code (:mod:`models.synthesis.efficient_t2i.latent`)
all else. At serving the code is noise of the same shapes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.damsm.text_encoder import TextEncoder
from models.errors import ModelsError
from models.synthesis.efficient_t2i.latent import width
from models.synthesis.efficient_t2i.network import Generator, GeneratorConfig
from models.synthesis.efficient_t2i.recipe import (
    GeneratorObjective,
    block_widths,
    zero_init_residuals,
)
from models.training.batch import Batch
from models.training.losses import LABELS, small_part_mask
from models.training.objective import Values, adam_step, weighted_sum

_SATURATION = 2.5  # tanh(2.5) = 0.987: colours of the data lie within
_SATURATION_WEIGHT = 0.05


@dataclass(frozen=True)
class RenderingOptions:
    """ngf, widths, attention, spectral: see :class:`GeneratorConfig`; foreground: how much more
    than a pixel of the backdrop one of any other label weighs; small: how much more again one of
    bill, eye and legs; edges: weight of the difference of gradients; labels: weight of saying what
    each pixel shows, from the generator's last features.
    """

    ngf: int = 24
    widths: str = "16,16,8,4,2"
    attention: int = 0
    spectral: bool = False
    foreground: float = 1.0
    small: float = 4.0
    edges: float = 1.0
    labels: float = 0.05
    rate: float = 2e-3
    beta2: float = 0.99


class RenderingObjective(GeneratorObjective):
    def __init__(
        self, options: RenderingOptions, size: int, text: TextEncoder, latent: str
    ) -> None:
        super().__init__()
        if not latent:
            raise ModelsError(
                "This data set does not know what its pictures are drawn from; take a preset for "
                "photos (--preset cub), or --set objective=hinge."
            )
        self.options, self.text = options, text
        self.frozen = {"text_encoder": text}
        widths = block_widths(size, options.widths)
        o, sentence = options, text.config.features
        self.config = GeneratorConfig(
            o.ngf, widths, width(latent), sentence, o.attention, o.spectral, latent
        )
        self.generator = Generator(self.config)
        zero_init_residuals(self.generator)
        features = self.generator.bn.num_features
        self.labeller = nn.Conv2d(features, LABELS, 3, padding=1)
        self.modules = {"generator": self.generator, "labeller": self.labeller}
        step = adam_step(self.modules, tuple(self.modules), options.rate, (0.9, options.beta2))
        self.optimizer_steps = {"generator": step}

    def loss(self, name: str, state: Batch, step: int) -> tuple[Tensor, Values]:
        o, labels = self.options, state.need("labels")
        with torch.no_grad():
            _, sentence = self.text(state.ids, state.lengths)
        with self.autocast():
            features = self.generator.features_from_code(state.need("code"), sentence)
            raw, label_logits = self.generator.to_raw(features), self.labeller(features).float()
        gap = torch.tanh(raw) - self.to_memory_format(state.images)
        values = {
            "pixels": (self._weights(labels) * gap.abs()).mean(),
            "coarse": functional.avg_pool2d(gap, 8).abs().mean(),
            "edges": gap.diff(dim=2).abs().mean() + gap.diff(dim=3).abs().mean(),
            "labels": functional.cross_entropy(label_logits, labels),
            "beyond": functional.relu(raw.abs() - _SATURATION).square().mean(),
        }
        weights = {"edges": o.edges, "labels": o.labels, "beyond": _SATURATION_WEIGHT}
        return weighted_sum(values, weights), values | {"l1": gap.detach().abs().mean()}

    def _weights(self, labels: Tensor) -> Tensor:
        """float32 [B,1,S,S]: what each pixel weighs."""
        foreground = (labels > 0).float()[:, None]
        return (
            1 + self.options.foreground * foreground + self.options.small * small_part_mask(labels)
        )
