"""ManiGAN: the main module (``G_NET``) edits in three stages, the detail correction module (DCM)
finishes.

Canonical behaviour is the reference at batch size one: attention masks are per sample, so a picture
does not depend on its batch. Keys as published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2

import torch
from torch import Tensor, nn

from models.damsm.image_encoder import PhotoFeatures
from models.errors import ModelsError
from models.layers import Nearest, conv3
from models.manipulation.manigan.blocks import (
    Conditioning,
    Glu,
    ResBlock,
    SpatialAttention,
    ToPixels,
    channel_attention,
    combination,
    conv1,
    norm,
    up_block,
)
from models.runtime.precision import in_autocast


@dataclass(frozen=True)
class ManiganConfig:
    """Both modules' sizes. base: side of the first stage, the output being four times that; blocks:
    residual blocks per stage (R_NUM); regions: channels of the image encoder's region features;
    detail: channels of the DCM's detail feature at half the output size; combine: hidden width of
    affine combinations; norm: see :func:`models.manipulation.manigan.blocks.norm`. The defaults are
    the published bird model, 256×256.

    The next two are the paper's ablations (section 4.3). combination: how photo features meet
    hidden ones, see :func:`models.manipulation.manigan.blocks.combination`; with "none" the photo's
    global code alone still enters the first stage. modules: "both"; "main", whose largest picture
    then is the final one; or "dcm", which then works on the photo's region features.

    background: how much of an edit's change a served picture shows where the photo has background,
    from 0 to 1; all of it as published. See :mod:`models.manipulation.manigan.saliency`.
    """

    ngf: int = 32
    base: int = 64
    blocks: int = 2
    z: int = 100
    condition: int = 100
    text: int = 256
    regions: int = 256
    detail: int = 128
    combine: int = 128
    norm: str = "instance"
    combination: str = "affine"
    modules: str = "both"
    background: float = 1.0

    def __post_init__(self) -> None:
        choices: dict[str, tuple[str, ...]] = {
            "norm": ("instance", "layer"),
            "combination": ("affine", "concat", "none"),
            "modules": ("both", "main", "dcm"),
        }
        for name, known in choices.items():
            if (value := getattr(self, name)) not in known:
                raise ModelsError(f"ManiGAN's {name} is {', '.join(known)}, not {value!r}.")
        if not 0 <= self.background <= 1:
            raise ModelsError(f"ManiGAN's background is from 0 to 1, not {self.background!r}.")

    @property
    def size(self) -> int:
        return 4 * self.base

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of the networks there are, in the order in which they work."""
        return ("main", "dcm") if self.modules == "both" else (self.modules,)

    def combined(self, channels: int) -> nn.Module:
        """A combination of features of so many channels with photo features of ngf channels."""
        return combination(self.combination, channels, self.ngf, self.combine)

    def photo_block(self, channels: int, size: int | None = None) -> nn.Module:
        """Photo features of so many channels to ngf channels, raised to ``size`` or by two;
        without weights where nothing looks at them.
        """
        if self.combination == "none":
            return nn.Identity()
        return up_block(channels, self.ngf, size, self.norm)


@dataclass(frozen=True)
class MainOutput:
    """hidden [B,ngf,S,S] is what the DCM works on; pictures are empty when not asked for; attention
    maps are [B,L,h,w] of the second and third stage."""

    hidden: Tensor
    pictures: tuple[Tensor, ...]
    attention: tuple[Tensor, ...]
    mu: Tensor
    logvar: Tensor


class FirstStage(nn.Module):
    """Numbers [B,entry] (condition, noise, image code) to features [B,ngf,base,base]."""

    def __init__(self, ngf: int, base: int, entry: int, kind: str) -> None:
        super().__init__()
        self.ups = int(log2(base)) - 2
        g = ngf * 2**self.ups
        self.fc = nn.Sequential(nn.Linear(entry, 32 * g, bias=False), nn.BatchNorm1d(32 * g), Glu())
        for k in range(self.ups):
            self.add_module(f"upsample{k + 1}", up_block(g >> k, g >> (k + 1), kind=kind))

    def forward(self, entry: Tensor) -> Tensor:
        h: Tensor = self.fc(entry)
        h = h.view(len(h), -1, 4, 4)
        for k in range(self.ups):
            h = self.get_submodule(f"upsample{k + 1}")(h)
        return h


class NextStage(nn.Module):
    """Features, words and photo features to features of twice the size."""

    def __init__(self, config: ManiganConfig, stage: int) -> None:
        super().__init__()
        g = config.ngf
        self.stage = stage
        self.att = SpatialAttention(g, config.text)
        # Projections of words to positions; each stage holds those of both, as published.
        sides = {"conv_context2": config.base, "conv_context3": 2 * config.base}
        self.channel_att = nn.ModuleDict({k: conv1(config.text, s**2) for k, s in sides.items()})
        self.SAIN = config.combined(3 * g)
        self.residual = nn.Sequential(*(ResBlock(3 * g, config.norm) for _ in range(config.blocks)))
        self.upsample = up_block(3 * g, g, kind=config.norm)

    def forward(
        self, h: Tensor, words: Tensor, pad: Tensor, photo: Tensor
    ) -> tuple[Tensor, Tensor]:
        context, maps = self.att(h, words, pad)
        project = self.channel_att[f"conv_context{self.stage}"]
        channels = channel_attention(context, words, self.att.padding(pad), project)
        x = self.SAIN(torch.cat([h, context, channels], 1), photo)
        return self.upsample(self.residual(x)), maps


class MainModule(nn.Module):
    """``G_NET``."""

    def __init__(self, config: ManiganConfig) -> None:
        super().__init__()
        g = config.ngf
        self.config = config
        self.ca_net = Conditioning(config.text, config.condition)
        entry = config.condition + config.z + config.text
        self.h_net1 = FirstStage(g, config.base, entry, config.norm)
        self.h_net2 = NextStage(config, 2)
        self.h_net3 = NextStage(config, 3)
        self.imgUpSample = config.photo_block(config.regions, config.base)
        self.imgUpSample2 = config.photo_block(g)
        self.imgUpSample3 = config.photo_block(g)
        for k in (1, 2, 3):
            self.add_module(f"SAIN{k}", config.combined(g))
            self.add_module(f"img_net{k}", ToPixels(g))

    def forward(
        self,
        z: Tensor,
        noise: Tensor,
        words: Tensor,
        sentence: Tensor,
        pad: Tensor,
        code: Tensor,
        regions: Tensor,
        with_pictures: bool = True,
    ) -> MainOutput:
        """z [B,z]; noise [B,condition]; words [B,text,L]; sentence [B,text]; pad bool [B,L] (True =
        none); code [B,text] and regions [B,regions,r,r] of the photo. Pictures are in [-1,1]."""
        condition, mu, logvar = self.ca_net(sentence, noise)
        h1 = self.h_net1(torch.cat([condition, z, code], 1))
        photo1 = self.imgUpSample(in_autocast(regions))
        h2, maps2 = self.h_net2(h1, words, pad, photo1)
        photo2 = self.imgUpSample2(photo1)
        h3, maps3 = self.h_net3(h2, words, pad, photo2)
        pictures: tuple[Tensor, ...] = ()
        if with_pictures:
            photo3 = self.imgUpSample3(photo2)
            stages = ((h1, photo1), (h2, photo2), (h3, photo3))
            pictures = tuple(self._picture(k, *stage) for k, stage in enumerate(stages, 1))
        return MainOutput(h3, pictures, (maps2, maps3), mu, logvar)

    def _picture(self, stage: int, h: Tensor, photo: Tensor) -> Tensor:
        combined = self.get_submodule(f"SAIN{stage}")(h, photo)
        picture: Tensor = self.get_submodule(f"img_net{stage}")(combined)
        return picture.float()


class DetailStage(nn.Module):
    """The DCM's body: attention, affine combination with the detail features, residual blocks."""

    def __init__(self, config: ManiganConfig) -> None:
        super().__init__()
        g = config.ngf
        self.att = SpatialAttention(g, config.text)
        # Its projection of words to positions has 94 % of the DCM's parameters at 256×256.
        project = conv1(config.text, config.size**2)
        self.color_channel_att = nn.ModuleDict({"conv_context": project})
        self.SAIN = config.combined(3 * g)
        self.residual = nn.Sequential(*(ResBlock(3 * g, config.norm) for _ in range(config.blocks)))
        self.block = nn.Sequential(conv3(3 * g, 2 * g), norm(config.norm, 2 * g), Glu())

    def forward(
        self, h: Tensor, detail: Tensor, words: Tensor, pad: Tensor
    ) -> tuple[Tensor, Tensor]:
        context, maps = self.att(h, words, pad)
        project = self.color_channel_att["conv_context"]
        channels = channel_attention(context, words, self.att.padding(pad), project)
        x = self.SAIN(torch.cat([h, context, channels], 1), detail)
        return self.block(self.residual(x)), maps


class DetailCorrection(nn.Module):
    """``DCM_Net``: the main module's features and the photo's own detail to the final picture.

    Without a main module (modules = "dcm") the features are a projection of the photo's regions,
    learned beside the rest.
    """

    # Norms take the mean off the photo's features and leave what rounding did to them.
    keep_in_fp32 = ("upsample",)

    def __init__(self, config: ManiganConfig) -> None:
        super().__init__()
        g = config.ngf
        self.config = config
        self.entry = region_entry(config) if config.modules == "dcm" else nn.Identity()
        self.upsample = config.photo_block(config.detail)
        self.h_net = DetailStage(config)
        self.SAIN = config.combined(g)
        self.img_net = ToPixels(g)

    def forward(
        self, hidden: Tensor, detail: Tensor, words: Tensor, pad: Tensor
    ) -> tuple[Tensor, Tensor]:
        """hidden [B,ngf,S,S], or without a main module regions [B,regions,r,r]; detail
        [B,detail,S/2,S/2] → (picture [B,3,S,S] in [-1,1], attention [B,L,S,S]).
        """
        photo = in_autocast(self.upsample(detail))
        h, maps = self.h_net(self.entry(hidden), photo, words, pad)
        picture: Tensor = self.img_net(self.SAIN(h, photo))
        return picture.float(), maps


def region_entry(config: ManiganConfig) -> nn.Module:
    """Regions [B,regions,r,r] to features [B,ngf,S,S]: 3×3 convolution, norm and GLU at the
    regions' own size, then nearest upsampling.
    """
    g = config.ngf
    return nn.Sequential(
        conv3(config.regions, 2 * g), norm(config.norm, 2 * g), Glu(), Nearest(config.size)
    )


def networks(config: ManiganConfig) -> dict[str, nn.Module]:
    """The networks of ``config.roles`` by role."""
    made: dict[str, type[MainModule] | type[DetailCorrection]] = {
        "main": MainModule,
        "dcm": DetailCorrection,
    }
    return {role: made[role](config) for role in config.roles}


def edit(
    made: Mapping[str, nn.Module],
    z: Tensor,
    noise: Tensor,
    words: Tensor,
    sentence: Tensor,
    pad: Tensor,
    photo: PhotoFeatures,
    with_pictures: bool = True,
) -> tuple[Tensor, Tensor, MainOutput | None]:
    """The final picture [B,3,S,S] in [-1,1] of the networks by role; attention over words
    [B,L,h,w]: the main module's last, which decides about colours, or else the DCM's; and what the
    main module made where there is one, pictures that are not final being left out if not asked
    for. Shapes as in :meth:`MainModule.forward`.
    """
    hidden, main = photo.regions, None
    attention: tuple[Tensor, ...] = ()
    if "main" in made:
        shown = with_pictures or "dcm" not in made
        main = made["main"](z, noise, words, sentence, pad, photo.code, photo.regions, shown)
        hidden, attention = main.hidden, main.attention
    if "dcm" not in made:
        return main.pictures[-1], attention[-1], main  # type: ignore[union-attr]
    final, own = made["dcm"](hidden, photo.detail, words, pad)
    return final, (own, *attention)[-1], main


def use_published_masks(module: nn.Module) -> nn.Module:
    """Mask words in every attention of ``module`` as the published training did, in place.

    Pictures then depend on their batch; for training on with the published statistics and for
    comparisons alone.
    """
    for part in module.modules():
        if isinstance(part, SpatialAttention):
            part.published_masks = True
    return module
