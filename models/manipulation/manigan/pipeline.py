"""ManiGAN's networks in the pipeline of edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from models.damsm.text_encoder import padding
from models.errors import ModelsError
from models.explanation import Explanation, explained_words
from models.geometry import Plane
from models.layers import fold_batch_norm
from models.manipulation.manigan.blocks import affine_maps, fold_blocks
from models.manipulation.manigan.network import (
    DetailCorrection,
    MainModule,
    ManiganConfig,
    edit,
    networks,
)
from models.manipulation.manigan.photo_encoder import photo_encoder
from models.manipulation.manigan.saliency import keep_background
from models.manipulation.pipeline import ManipulationPipeline, Prepared
from models.pipeline import config_from

# Pixels from which captions are read one by one on CPUs. All that the text says passes a few cells
# first, and at 256 pixels rounding makes up to 20/255 of the last bits that a batch changes there;
# at 64 it makes 1/255, and reading would take a tenth of the time.
_LARGE = 128


@dataclass(frozen=True)
class AttentionMaps:
    """attention float32 [T,h,w] of words over the square; features by name, each [S,S]."""

    attention: Plane
    features: dict[str, Plane]


class ManiganPipeline(ManipulationPipeline):
    def load_networks(self) -> None:
        config = self.config = config_from(ManiganConfig, self.spec.network, self.where)
        self.text = self.load_text_encoder()
        made = self._made = networks(config)
        for role, module in made.items():
            self.prepare_module(fold_blocks(self.load_state(module, role), self.device.type))
        encoder = fold_batch_norm(photo_encoder(self.bundle, self.task, self.where).eval())
        self.image = self.prepare_module(encoder)
        # None where the configuration does without.
        self.main = cast("MainModule | None", made.get("main"))
        self.dcm = cast("DetailCorrection | None", made.get("dcm"))
        self.draws = config.z, config.condition

    def read_captions(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, ...]:
        large = self.config.size >= _LARGE
        words, sentence, pad = self.encode_captions(self.text, rows, apart=large)
        words, pad = self.pad_words(words, pad)
        return words, sentence, pad

    def _edit_with_attention(
        self, batch: Sequence[Prepared], inputs: Sequence[Tensor]
    ) -> tuple[Tensor, list[AttentionMaps | None]]:
        with self.autocast(), affine_maps(self._explained_combination) as features:
            final, attention = self._attentive_edit(*inputs)
        return final, [
            _maps(attention[k, : len(p.ids)], features, k) if p.read else None
            for k, p in enumerate(batch)
        ]

    @property
    def _explained_combination(self) -> nn.Module | None:
        """The combination that explanations show: where the words' features meet the photo's own
        detail at full size, or without a DCM at half of it.
        """
        if self.dcm is not None:
            return self.dcm.h_net.SAIN
        return None if self.main is None else self.main.h_net3.SAIN

    def _edit(self, *inputs: Tensor) -> Tensor:
        """The final picture [B,3,S,S] in [-1,1] alone."""
        return self._attentive_edit(*inputs)[0]

    def _attentive_edit(
        self, z: Tensor, noise: Tensor, words: Tensor, sentence: Tensor, pad: Tensor, photos: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The final picture of the networks there are, with what the configuration leaves of its
        change to the background, and attention over words [B,L,h,w].
        """
        photo = self.image.photo(photos)
        made = edit(self._made, z, noise, words, sentence, pad, photo, with_pictures=False)
        final, attention, _ = made
        if (share := self.config.background) < 1:
            final = keep_background(final, photos, photo.regions, share)
        return final, attention

    def explain(self, prepared: Prepared, maps: AttentionMaps) -> Explanation:
        whole = self.lay_over(prepared)
        shares = maps.attention.max((1, 2))
        words = explained_words(prepared.read, {"attention": maps.attention}, shares, whole)
        features = {name: whole(plane) for name, plane in maps.features.items()}
        return Explanation(self.method, tuple(words), features)

    def raw_outputs(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """image [B,3,S,S] in [-1,1], captions [B,L], lengths [B], z, ca_noise → words, sentence,
        global_code, image64, image128, image256 (the three stages), final.
        """
        if self.main is None or self.dcm is None:
            raise ModelsError("Raw runs of 'manipulate' need both of ManiGAN's modules.")
        lengths = given["lengths"].cpu()
        words, sentence = self.text(given["captions"][:, : int(lengths.max())], lengths)
        pad = padding(lengths, words.shape[2]).to(words.device)
        photo = self.image.photo(given["image"])
        noise = given["z"], given["ca_noise"]
        out = self.main(*noise, words, sentence, pad, photo.code, photo.regions)
        final, _ = self.dcm(out.hidden, photo.detail, words, pad)
        stages = dict(zip(("image64", "image128", "image256"), out.pictures, strict=True))
        found = {"words": words, "sentence": sentence, "global_code": photo.code}
        return {**found, **stages, "final": final}


def _maps(attention: Tensor, features: Mapping[str, Tensor], index: int) -> AttentionMaps:
    planes = {name: feature[index].cpu().numpy() for name, feature in features.items()}
    return AttentionMaps(attention.float().cpu().numpy(), planes)
