"""Training SISGAN as published (paper section 3.3, sums as in its authors' code), its sentences
read by the frozen DAMSM text encoder: the embedding that its authors trained is not published.

What an edit keeps of its photo is due to encoder and discriminator alone: nothing compares pixels.
A photo with the sentence of the row before it is a mismatched pair. In the first half of the batch
edits are by the sentence of the row after, in the other half by the own one. Rows are those of one
process.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from models.damsm.losses import encode_captions
from models.damsm.official import imagenet_state
from models.damsm.text_encoder import TextEncoder
from models.errors import ModelsError
from models.manipulation.manigan.losses import kl_loss
from models.manipulation.objective import EditorObjective, StepState
from models.manipulation.sisgan.network import (
    SisganConfig,
    SisganDiscriminator,
    SisganDiscriminatorConfig,
    SisganGenerator,
    VggEncoder,
)
from models.training.batch import Batch, TrainingData
from models.training.losses import logit_loss
from models.training.noise import Noise
from models.training.objective import Objective, Values, weighted_sum
from models.training.parts import Encoders

_SIZE = 64  # at which the discriminator looks


@dataclass(frozen=True)
class Options:
    """encoder: plain, or vgg, which is frozen, with ImageNet's weights from vgg_file or
    torchvision's download; kl_weight: of the conditioning; halve_every: steps after which the rates
    halve, 0 for never; the rest are widths and rates.
    """

    encoder: str = "plain"
    vgg_file: str = ""
    ngf: int = 128
    ndf: int = 64
    blocks: int = 4
    condition: int = 128
    rate: float = 2e-4
    rate_d: float = 2e-4
    kl_weight: float = 1.0
    halve_every: int = 0


class SisganObjective(EditorObjective):
    method = "sisgan"
    task_fields = MappingProxyType({"explains": False})

    def __init__(self, options: Options, size: int, text: TextEncoder) -> None:
        super().__init__()
        if size != _SIZE:
            raise ModelsError(f"SISGAN is trained at {_SIZE} pixels; set loop.size = {_SIZE}.")
        if options.encoder not in ("plain", "vgg"):
            raise ModelsError(f"encoder is plain or vgg, not {options.encoder!r}.")
        self.options, self.text, self.frozen = options, text, {"text_encoder": text}
        o, sentence = options, text.config.features
        self.config = SisganConfig(
            size, o.ngf, o.blocks, o.condition, sentence, words=0, vgg=o.encoder == "vgg"
        )
        self.generator = SisganGenerator(self.config)
        if isinstance(self.generator.encoder, VggEncoder):
            load_vgg(self.generator.encoder, o.vgg_file)
        looks = SisganDiscriminatorConfig(o.ndf, o.condition, sentence)
        self.discriminator = SisganDiscriminator(looks)
        self.set_up(options, self.generator, self.discriminator)

    def forward_shared(self, batch: Batch, noise: Noise, step: int) -> StepState:
        sentence = self._read(batch.ids, batch.lengths)
        half = len(sentence) // 2
        given = torch.cat([sentence[:half].roll(-1, 0), sentence[half:]])
        return StepState(self.to_memory_format(batch.images), sentence, given, noise)

    def _read(self, ids: Tensor, lengths: Tensor) -> Tensor:
        return encode_captions(self.text, ids, lengths).sentence

    def discriminator_loss(self, state: StepState) -> tuple[Tensor, Values]:
        fake = self.fake(state)
        with self.autocast():
            real = self.discriminator(state.photos, state.own)
            mismatch = self.discriminator(state.photos, state.own.roll(1, 0))
            faked = self.discriminator(fake, state.given)
        values = {"d_real": logit_loss(real, 1), "d_mismatch": logit_loss(mismatch, 0) / 2}
        values["d_fake"] = logit_loss(faked, 0) / 2
        return weighted_sum(values, {}), values

    def generator_loss(self, state: StepState) -> tuple[Tensor, Values]:
        with self.autocast():
            edit = self.edited(state, state.given, "edit")
            logits = self.discriminator(self.to_memory_format(edit.picture), state.given)
        values = {"g_fake": logit_loss(logits, 1), "kl": kl_loss(edit.mu, 2 * edit.log_sigma)}
        return weighted_sum(values, {"kl": self.options.kl_weight}), values


@torch.no_grad()
def load_vgg(encoder: VggEncoder, file: str = "") -> None:
    """Fill with torchvision's ImageNet weights, whose layers come in the same order."""
    from torchvision.models import VGG16_BN_Weights

    state = imagenet_state(VGG16_BN_Weights.IMAGENET1K_V1, file, "--set vgg_file=")
    values = [v for k, v in state.items() if k.startswith("features.") and "num_b" not in k]
    own = [v for k, v in encoder.state_dict().items() if "num_b" not in k]
    if len(values) < len(own) or any(a.shape != b.shape for a, b in zip(own, values, strict=False)):
        raise ModelsError(f"{file} is not torchvision's VGG-16 with batch norms.")
    for mine, value in zip(own, values, strict=False):
        mine.copy_(value)


def build(options: Options, data: TrainingData, encoders: Encoders) -> Objective:
    """The objective for a data set and the encoders whose sentences it reads."""
    return SisganObjective(options, data.size, encoders.text)
