"""What every way of training TDANet shares: its networks' two paths, previews and what ships."""

from __future__ import annotations

import torch
from torch import Tensor

from models.damsm.losses import Caption, encode_captions
from models.damsm.text_encoder import TextEncoder
from models.inpainting.tdanet.losses import Paths, two_paths
from models.inpainting.tdanet.network import InpaintEncoder, InpaintGenerator, compose
from models.training.batch import Batch
from models.training.noise import Noise
from models.training.objective import Modules, Objective, stack_rows


class TwoPathObjective(Objective):
    """crossed: each path is given the other one's word context."""

    averaged = ("encoder", "generator")

    def __init__(
        self,
        encoder: InpaintEncoder,
        generator: InpaintGenerator,
        size: int,
        text: TextEncoder,
        crossed: bool = False,
    ) -> None:
        super().__init__()
        self.encoder, self.generator, self.text = encoder, generator, text
        self.config, self.crossed = encoder.config, crossed
        self.frozen = {"text_encoder": text}
        self.modules = {"encoder": encoder, "generator": generator}
        self.latent_side = size >> len(self.config.encoder)

    def paths(
        self,
        images: Tensor,
        mask: Tensor,
        caption: Caption,
        noise: Noise,
        drawn: Tensor | None = None,
    ) -> Paths:
        """Both paths' pictures of images [B,3,S,S] in [-1,1]; mask [B,1,S,S], 1 = known. drawn
        float32 [B]: 1 where the generation path draws its latent, as all do when it is left out,
        and 0 where it takes the mean.
        """
        shape = (self.config.z, self.latent_side, self.latent_side)
        rec, gen = noise.normal("rec", *shape), noise.normal("gen", *shape)
        draws = torch.stack([rec, gen if drawn is None else gen * drawn[:, None, None, None]])
        texts = (caption.words, caption.sentence, caption.pad)
        return two_paths(self.encoder, self.generator, images, mask, texts, draws, self.crossed)

    def preview(self, batch: Batch, noise: Noise, averaged: Modules) -> Tensor:
        """Rows of eight: pictures, their holes, filled, and filled by the next one's caption."""
        own = self._fill(batch, batch.ids, batch.lengths, averaged)
        other = self._fill(batch, batch.ids.roll(1, 0), batch.lengths.roll(1), averaged)
        holed = batch.images * batch.need("known_mask")
        return stack_rows(batch.images, holed, own, other)

    def _fill(self, batch: Batch, ids: Tensor, lengths: Tensor, averaged: Modules) -> Tensor:
        caption, mask = encode_captions(self.text, ids, lengths), batch.need("known_mask")
        texts = caption.words, caption.sentence, caption.pad
        found = averaged["encoder"](batch.images, mask, *texts)
        feature = found.features[self.config.feature]
        out = averaged["generator"](found.mu, found.summary, feature, mask)[-1]
        return compose(out, batch.images, mask)
