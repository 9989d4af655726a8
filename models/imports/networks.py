"""Published files to networks: sizes are read off the tensors, so that any width and seed will
do.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import isqrt
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from models.damsm.inception import InceptionImageEncoder, VggDetail
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
from models.errors import BundleError
from models.imports.checkpoint import count, drop_aliases, fit, need, read, read_beside
from models.inpainting.blocks import FirstBlock, ResBlock, ToPixels, UpBlock
from models.inpainting.network import InpaintConfig, InpaintEncoder, InpaintGenerator
from models.manipulation.network import DetailCorrection, MainModule, ManiganConfig
from models.synthesis.network import Generator, GeneratorConfig


def text_encoder(path: Path, words: int) -> TextEncoder:
    """DAMSM text encoder; ``words`` is the size of the vocabulary that goes with it."""
    what = f"text encoder {path.name}"
    state = read(path)
    table = need(state, "encoder.weight", what)
    if len(table) != words:
        raise BundleError(
            f"{what} knows {len(table)} words but the vocabulary has {words}; give the captions "
            f"file that belongs to it."
        )
    gates, hidden = need(state, "rnn.weight_hh_l0", what).shape
    kinds = {4 * hidden: "lstm", 3 * hidden: "gru"}
    if gates not in kinds:
        raise BundleError(f"{what}: its recurrent layer is neither an LSTM nor a GRU.")
    network = TextEncoder(TextEncoderConfig(words, table.shape[1], 2 * hidden, kinds[gates]))
    fit(network, state, what)
    return network


def image_encoder(path: Path) -> InceptionImageEncoder:
    """DAMSM image encoder; a classifier's leftovers are not accepted."""
    what = f"image encoder {path.name}"
    state = read(path)
    network = InceptionImageEncoder(len(need(state, "emb_features.weight", what)))
    fit(network, state, what)
    return network


def vgg_detail(path: Path) -> VggDetail:
    """The four convolutions up to relu2_2, whatever else the file holds."""
    what = f"VGG-16 {path.name}"
    state = read(path)
    network = VggDetail()
    wanted = {key: need(state, key, what) for key in network.state_dict()}
    fit(network, wanted, what)
    return network


def manigan(main_path: Path, dcm_path: Path) -> tuple[ManiganConfig, MainModule, DetailCorrection]:
    """Main module and detail correction of one model."""
    main_what, dcm_what = f"main module {main_path.name}", f"detail correction {dcm_path.name}"
    main_state, dcm_state = read(main_path), read(dcm_path)
    conditions, text = need(main_state, "ca_net.fc.weight", main_what).shape
    entry = need(main_state, "h_net1.fc.0.weight", main_what).shape[1]
    ngf = need(main_state, "img_net1.img.0.weight", main_what).shape[1]
    config = ManiganConfig(
        ngf=ngf,
        base=isqrt(len(need(main_state, "h_net2.channel_att.conv_context2.weight", main_what))),
        blocks=count(main_state, "h_net2.residual.{}.", main_what),
        z=entry - conditions // 4 - text,
        condition=conditions // 4,
        text=text,
        regions=need(main_state, "imgUpSample.1.weight", main_what).shape[1],
        detail=need(dcm_state, "upsample.1.weight", dcm_what).shape[1],
        combine=len(need(main_state, "SAIN1.conv.weight", main_what)),
    )
    main, dcm = MainModule(config), DetailCorrection(config)
    fit(main, main_state, main_what)
    fit(dcm, dcm_state, dcm_what)
    return config, main, dcm


# Names under which upstream's blocks list their convolutions a second time, by kind of block.
TDANET_ALIASES: dict[type[nn.Module], dict[str, str]] = {
    FirstBlock: {"model.0": "conv1", "model.2": "conv2", "shortcut.1": "bypass"},
    ResBlock: {"model.1": "conv1", "model.3": "conv2", "shortcut.0": "bypass"},
    UpBlock: {"model.2": "conv1", "model.5": "conv2", "shortcut.0": "bypass"},
    ToPixels: {"model.2": "conv1"},
}


def tdanet(
    encoder_path: Path, generator_path: Path
) -> tuple[InpaintConfig, InpaintEncoder, InpaintGenerator]:
    """Encoder and generator of one model."""
    e_what, g_what = f"encoder {encoder_path.name}", f"generator {generator_path.name}"
    e_state, g_state = read(encoder_path), read(generator_path)

    def width(state: Mapping[str, Tensor], block: str, what: str) -> int:
        return len(need(state, f"{block}.bypass.module.bias", what))

    levels = count(e_state, "encoder{}.", e_what)
    encoder = [
        width(e_state, "block0", e_what),
        *(width(e_state, f"encoder{k}", e_what) for k in range(levels)),
    ]
    decoders = count(g_state, "decoder{}.", g_what)
    decoder = [width(g_state, f"decoder{k}", g_what) for k in range(decoders)]
    outputs = sum(f"out{k + 1}.conv1.module.bias" in g_state for k in range(decoders))
    config = InpaintConfig(
        encoder=tuple(encoder),
        feature=len(encoder) - 2 - (decoders - outputs),
        decoder=tuple(decoder),
        outputs=outputs,
        z=width(e_state, "prior", e_what) // 2,
        text=len(need(e_state, "word_attention.conv_image.weight", e_what)),
        refine=count(e_state, "infer_prior{}.", e_what),
    )
    networks = InpaintEncoder(config), InpaintGenerator(config)
    for network, state, what in zip(networks, (e_state, g_state), (e_what, g_what), strict=True):
        fit(network, _without_aliases(network, state, what), what)
    return config, *networks


def _without_aliases(
    network: nn.Module, state: Mapping[str, Tensor], what: str
) -> dict[str, Tensor]:
    names = {}
    for block, module in network.named_modules():
        for alias, own in TDANET_ALIASES.get(type(module), {}).items():
            names[f"{block}.{alias}."] = f"{block}.{own}."

    def canonical(key: str) -> str:
        for alias, name in names.items():
            if key.startswith(alias):
                return name + key.removeprefix(alias)
        return key

    return drop_aliases(state, canonical, what)


def efficient_t2i(path: Path) -> tuple[Generator, dict[str, Any]]:
    """The generator; its blocks are listed a second time under ``main``. Upstream saves it under
    ``net`` of a training state, whose plain values come with it: ``it`` and ``netG_params``, by
    which the authors' code builds the network.
    """
    what = f"generator {path.name}"
    state, beside = read(path, inside="net"), read_beside(path, "net")
    rows, z = need(state, "block1.weight_orig", what).shape
    channels = [rows // 16]
    while f"block{2 * len(channels) + 1}.conv4.bias" in state:
        channels.append(len(state[f"block{2 * len(channels) + 1}.conv4.bias"]))
    ngf = channels[-1]
    condition = need(state, "block2.bn1.gammas_projection.weight_orig", what).shape[1]
    config = GeneratorConfig(
        ngf=ngf,
        widths=tuple(c // ngf for c in channels),
        z=z,
        sentence=condition - z,
        attention=_attention(state, channels, what),
    )
    network = Generator(config)
    aliases = {f"main.{k}.": f"{name}." for k, name in enumerate(network.blocks)}

    def canonical(key: str) -> str:
        alias = ".".join(key.split(".")[:2]) + "."
        return aliases[alias] + key.removeprefix(alias) if alias in aliases else key

    fit(network, drop_aliases(state, canonical, what), what)
    return network, {name: beside[name] for name in ("it", "netG_params") if name in beside}


def _attention(state: Mapping[str, Tensor], channels: list[int], what: str) -> int:
    """Resolution of the attention layer: by its place in ``main``, else by its width; where that
    fits several, the published 64×64.
    """
    if "non_local.gamma" not in state:
        return 0
    width = need(state, "non_local.theta.weight_orig", what).shape[1]
    fitting = [4 << level for level, (a, _) in enumerate(pairwise(channels)) if a == width]
    listed = [4 << k // 2 for k in range(2 * len(channels)) if f"main.{k}.gamma" in state]
    if not fitting or not set(listed) <= set(fitting):
        raise BundleError(f"{what}: its attention layer fits no block.")
    return (listed or [r for r in fitting if r == 64] or fitting)[0]
