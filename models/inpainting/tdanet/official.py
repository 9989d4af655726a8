"""Training TDANet as published (paper section 3.4, weights and habits of the code).

Both discriminators step first, by one optimiser, and see the reconstruction path alone as fake; one
scores pictures (least squares), the scores of the other are matched between either path's picture
and the real one. Encoder and generator follow, by one optimiser: KL of posterior and prior, L1 at
four scales over the whole picture for both paths, and the DAMSM losses of both, with γ1 = 5 and
without regard to classes.

``crossed`` gives each path the other one's word context, as the published training did, so that the
combination of the test is never trained; the paper says otherwise. ``published_masks`` repeats the
slip by which pictures of a batch read each other's word padding. Two habits of the code are not
repeated: L1 there misses the finest scales of batches below four, and object masks are moved apart
from their photos.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.bundle import Bundle
from models.checkpoints.exporter import Content, exportable_config
from models.checkpoints.files import add_aliases, count, drop_aliases, fit, need, read
from models.checkpoints.published import Published
from models.damsm.losses import Caption, encode_captions, matching_losses
from models.damsm.official import read_text
from models.damsm.text_encoder import TextEncoder
from models.inpainting.tdanet import losses
from models.inpainting.tdanet.blocks import FirstBlock, ResBlock, ToPixels, UpBlock
from models.inpainting.tdanet.network import (
    InpaintConfig,
    InpaintDiscriminator,
    InpaintDiscriminatorConfig,
    InpaintEncoder,
    InpaintGenerator,
)
from models.inpainting.tdanet.word_attention import WordAttention
from models.training.batch import Batch
from models.training.noise import Noise
from models.training.objective import Values, adam_step

_BETAS = (0.0, 0.999)
_MAX_WORDS = 128  # at which the authors' generation cuts
_GAIN = 0.02  # of the orthogonal start of the attentions' projections; all else starts as torch's


@dataclass(frozen=True)
class OfficialInpaintingOptions:
    """width: channels of the first block, all others being multiples of it; kl, l1, match: the
    published factors; crossed, published_masks: see the module.
    """

    width: int = 32
    refine: int = 6
    rate: float = 1e-4
    rate_d: float = 1e-4
    kl: float = losses.KL_FACTOR
    l1: float = losses.L1_FACTOR
    match: float = losses.MATCH_FACTOR
    crossed: bool = True
    published_masks: bool = True


@dataclass(frozen=True)
class StepState:
    """Pictures, both paths with their graph, and captions."""

    images: Tensor
    paths: losses.Paths
    caption: Caption


class OfficialInpaintingObjective(losses.TwoPathObjective):
    def __init__(
        self, options: OfficialInpaintingOptions, size: int, text: TextEncoder, image: nn.Module
    ) -> None:
        config = published_config(options, text.config.features)
        encoder, generator = InpaintEncoder(config), InpaintGenerator(config)
        super().__init__(encoder, generator, size, text, options.crossed)
        self.options, self.image = options, image
        self.frozen["image_encoder"] = image
        w = options.width
        critics = InpaintDiscriminatorConfig((w, 2 * w, 4 * w, 4 * w, 4 * w))
        self.discriminator = InpaintDiscriminator(critics)
        self.rec_discriminator = InpaintDiscriminator(critics)
        self.modules |= {"critic": self.discriminator, "critic_rec": self.rec_discriminator}
        for module in self.modules.values():
            init_weights(module, options.published_masks)
        self.optimizer_steps = {
            "critics": adam_step(self.modules, ["critic", "critic_rec"], options.rate_d, _BETAS),
            "generator": adam_step(self.modules, self.averaged, options.rate, _BETAS),
        }

    def forward_shared(self, batch: Batch, noise: Noise, step: int) -> StepState:
        images = self.to_memory_format(batch.images)
        caption = encode_captions(self.text, batch.ids, batch.lengths)
        with self.autocast():
            paths = self.paths(images, batch.need("known_mask"), caption, noise)
        return StepState(images, paths, caption)

    def loss(self, name: str, state: StepState, step: int) -> tuple[Tensor, Values]:
        judging = name == "critics"
        values = (self._discriminator_losses if judging else self._generator_losses)(state)
        return torch.stack(list(values.values())).sum(), values

    def _discriminator_losses(self, state: StepState) -> Values:
        real, fake = state.images, state.paths.rec[-1]
        with self.autocast():
            return {
                "dis_img": losses.least_squares_discriminator_loss(self.discriminator, real, fake),
                "dis_img_rec": losses.least_squares_discriminator_loss(
                    self.rec_discriminator, real, fake
                ),
            }

    def _generator_losses(self, state: StepState) -> Values:
        """Every term by its published name, factors included."""
        o, paths, real = self.options, state.paths, state.images
        kl_rec, kl_g = losses.kl_losses(paths)
        values = {"kl_rec": o.kl * kl_rec, "kl_g": o.kl * kl_g}
        with self.autocast():
            pair = losses.score_matching_losses(
                self.rec_discriminator, paths.rec[-1], paths.gen[-1], real
            )
        values |= {"ad_l2_rec": pair[0], "ad_l2_g": pair[1]}
        for name, pictures in (("g", paths.gen), ("rec", paths.rec)):
            values[f"l1_{name}"] = o.l1 * losses.pyramid_l1(pictures, real)
            with self.autocast():
                values[f"gan_{name}"] = losses.least_squares_generator_loss(
                    self.discriminator, pictures[-1]
                )
                features = self.image(self.to_memory_format(pictures[-1]))
            word, sentence = matching_losses(features, state.caption, gammas=losses.GAMMAS)
            values[f"word_{name}"] = o.match * word
            values[f"sentence_{name}"] = o.match * sentence
        return values


def published_config(options: OfficialInpaintingOptions, text: int) -> InpaintConfig:
    """The published network's proportions; at width 32 and 256 features it is that network."""
    w = options.width
    return InpaintConfig(
        encoder=(w, 4 * w, 8 * w, 8 * w, 8 * w),
        decoder=(8 * w, 8 * w, 4 * w, 2 * w, w),
        z=8 * w,
        text=text,
        refine=options.refine,
    )


def init_weights(module: nn.Module, published_masks: bool = False) -> None:
    """First weights as published: spectral normalisation hid the others from its initialisation."""
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d) and name.endswith(("conv_image", "query_conv")):
            nn.init.orthogonal_(layer.weight, _GAIN)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        if isinstance(layer, WordAttention):
            layer.published_masks = published_masks


# Names under which upstream's blocks list their convolutions a second time, by kind of block.
KEY_ALIASES: dict[type[nn.Module], dict[str, str]] = {
    FirstBlock: {"model.0": "conv1", "model.2": "conv2", "shortcut.1": "bypass"},
    ResBlock: {"model.1": "conv1", "model.3": "conv2", "shortcut.0": "bypass"},
    UpBlock: {"model.2": "conv1", "model.5": "conv2", "shortcut.0": "bypass"},
    ToPixels: {"model.2": "conv1"},
}


def read_published(files: Mapping[str, Path]) -> Published:
    """files: encoder, generator, text-encoder, captions. Raises BundleError for others."""
    words, text_encoder = read_text(files)
    pair = PublishedPair(files)
    text = len(need(pair.encoder, "word_attention.conv_image.weight", pair.names[0]))
    config = InpaintConfig(**pair.sizes(), text=text)
    roles = pair.fit(InpaintEncoder(config), InpaintGenerator(config))
    roles["text_encoder"] = text_encoder
    more = {"tokenizer": "treebank", "text_encoder": asdict(text_encoder.config)}
    return Published(pair_size(config), asdict(config), roles, words, _MAX_WORDS, more)


def published_files(bundle: Bundle, task: str) -> dict[str, Content]:
    """See :func:`pair_files`."""
    fixed = ("spectral", "text_attention", "convolution")
    config = exportable_config(bundle, task, InpaintConfig, fixed)
    return pair_files(bundle, task, config, encoder=InpaintEncoder, generator=InpaintGenerator)


def pair_size(config: InpaintConfig) -> int:
    """Pixels of the published pictures, whose latents are 8×8."""
    return 8 << len(config.encoder)


def pair_files(
    bundle: Bundle, task: str, config: InpaintConfig, **classes: Callable[[Any], nn.Module]
) -> dict[str, Content]:
    """The files of TDANet or PICNet: every convolution under all of its names, each key with
    DataParallel's prefix. classes: of the networks, by role.
    """
    files: dict[str, Content] = {}
    for role, build in classes.items():
        with torch.device("meta"):  # their weights do not matter
            aliases = _block_aliases(build(config))
        state = add_aliases(bundle.state(task, role), aliases)
        names = {f"module.{key}": value for key, value in state.items()}
        files[f"net_{role[0].upper()}.pth"] = names
    return files


def _block_aliases(network: nn.Module) -> dict[str, str]:
    return {
        f"{block}.{alias}.": f"{block}.{own}."
        for block, module in network.named_modules()
        for alias, own in KEY_ALIASES.get(type(module), {}).items()
    }


class PublishedPair:
    """The files of an encoder and a generator, of TDANet or PICNet."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        encoder, generator = files["encoder"], files["generator"]
        self.names = f"encoder {encoder.name}", f"generator {generator.name}"
        self.encoder, self.generator = read(encoder), read(generator)

    def sizes(self) -> dict[str, Any]:
        """Keyword arguments of :class:`InpaintConfig` that both methods have."""
        (e_what, g_what), e_state, g_state = self.names, self.encoder, self.generator
        levels = count(e_state, "encoder{}.", e_what)
        decoders = count(g_state, "decoder{}.", g_what)
        blocks = ("block0", *(f"encoder{k}" for k in range(levels)))
        encoder = tuple(_width(e_state, block, e_what) for block in blocks)
        outputs = sum(f"out{k + 1}.conv1.module.bias" in g_state for k in range(decoders))
        return {
            "encoder": encoder,
            "feature": len(encoder) - 2 - (decoders - outputs),
            "decoder": tuple(_width(g_state, f"decoder{k}", g_what) for k in range(decoders)),
            "outputs": outputs,
            "z": _width(e_state, "prior", e_what) // 2,
            "refine": count(e_state, "infer_prior{}.", e_what),
        }

    def fit(self, encoder: nn.Module, generator: nn.Module) -> dict[str, nn.Module]:
        """Load both files strictly, each convolution once; the networks by role."""
        states = self.encoder, self.generator
        for module, state, what in zip((encoder, generator), states, self.names, strict=True):
            fit(module, drop_aliases(state, _block_aliases(module), what), what)
        return {"encoder": encoder, "generator": generator}


def _width(state: Mapping[str, Tensor], block: str, what: str) -> int:
    return len(need(state, f"{block}.bypass.module.bias", what))
