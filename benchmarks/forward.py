"""The networks as served against the same networks built naively: one picture at full size,
float32, on the CPU.

Naive means: spectral norm computed in every forward, all layers of VGG-16, all output heads,
contiguous memory, the
default allocator. Both live in processes of their own and take turns. Usage: ``python
benchmarks/forward.py [ROUNDS]``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from torch import nn
from torchvision.models import vgg16

from benchmarks.turns import answer, compare
from models.damsm.inception import InceptionImageEncoder, VggDetail
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig, padding
from models.inpainting.blocks import fold
from models.inpainting.network import InpaintConfig, InpaintEncoder, InpaintGenerator
from models.layers import fold_spectral_norm
from models.manipulation.network import DetailCorrection, MainModule, ManiganConfig
from models.synthesis.network import Generator, GeneratorConfig

THREADS = 2
WORDS = 14
Forward = Callable[[], object]


def main(rounds: int) -> None:
    """Print one line per network: medians in milliseconds and their ratio."""
    for name in NETWORKS:
        naive, served = compare("benchmarks.forward", name, rounds, "naive", "served")
        sys.stdout.write(
            f"{name}: naive {naive:.0f} ms, served {served:.0f} ms, {naive / served:.2f} times "
            f"faster\n"
        )


@torch.inference_mode()
def child(name: str, served: bool) -> None:
    torch.set_num_threads(THREADS)
    torch.manual_seed(1)
    answer(NETWORKS[name](served))


def manigan(served: bool) -> Forward:
    """Encoders, main module, DCM."""
    config = ManiganConfig()
    detail = VggDetail() if served else vgg16(weights=None).features
    text = TextEncoder(TextEncoderConfig(5450))
    parts = _placed(
        [text, InceptionImageEncoder(), MainModule(config), DetailCorrection(config), detail],
        served,
    )
    encode_text, encode, edit, correct, look = parts
    photo = _layout(torch.rand(1, 3, 256, 256) * 2 - 1, served)
    ids, lengths = torch.randint(1, 5450, (1, WORDS)), torch.tensor([WORDS])
    z, noise = torch.randn(1, 100), torch.randn(1, 100)

    def forward() -> object:
        words, sentence = encode_text(ids, lengths)
        pad = padding(lengths, WORDS)
        regions, code = encode(photo)
        out = edit(z, noise, words, sentence, pad, code, regions, with_pictures=not served)
        return correct(out.hidden, detail_of(photo), words, pad)

    def detail_of(x: torch.Tensor) -> torch.Tensor:
        if served:
            return torch.as_tensor(look(x))
        kept = x
        for place, layer in enumerate(detail):
            x = layer(x)
            kept = x if place == 8 else kept  # relu2_2
        return kept

    return forward


def tdanet(served: bool) -> Forward:
    """Text encoder, encoder, generator."""
    config = InpaintConfig()
    networks: list[nn.Module] = [InpaintEncoder(config), InpaintGenerator(config)]
    if served:
        networks = [fold(x.eval()) for x in networks]
    text, encoder, generator = _placed([TextEncoder(TextEncoderConfig(5450)), *networks], served)
    image = _layout(torch.rand(1, 3, 256, 256) * 2 - 1, served)
    mask = torch.ones(1, 1, 256, 256)
    mask[..., 64:192, 64:192] = 0
    ids, lengths = torch.randint(1, 5450, (1, WORDS)), torch.tensor([WORDS])

    def forward() -> object:
        words, sentence = text(ids, lengths)
        seen = encoder(image, mask, words, sentence, padding(lengths, WORDS))
        return generator(seen.mu, seen.summary, seen.features[config.feature], mask)

    return forward


def efficient_t2i(served: bool) -> Forward:
    """The generator."""
    network: nn.Module = Generator(GeneratorConfig(96)).eval()
    (generator,) = _placed([fold_spectral_norm(network) if served else network], served)
    z, sentence = torch.randn(1, 128), torch.randn(1, 256)
    return lambda: generator(z, sentence)


def _plain_norms(module: nn.Module) -> nn.Module:
    """torch's own instance norm wherever the network has the faster group norm of one channel."""
    for name, child in module.named_children():
        if isinstance(child, nn.GroupNorm) and child.num_groups == child.num_channels:
            plain = nn.InstanceNorm2d(child.num_channels, affine=child.affine)
            module._modules[name] = plain
        else:
            _plain_norms(child)
    return module


def _placed(parts: list[nn.Module], served: bool) -> list[nn.Module]:
    if not served:
        parts = [_plain_norms(part) for part in parts]
    layout = torch.channels_last if served else torch.contiguous_format
    return [part.eval().to(memory_format=layout) for part in parts]  # type: ignore[call-overload]


def _layout(x: torch.Tensor, served: bool) -> torch.Tensor:
    return x.contiguous(memory_format=torch.channels_last) if served else x


NETWORKS: dict[str, Callable[[bool], Forward]] = {
    "manigan": manigan,
    "tdanet": tdanet,
    "efficient-t2i": efficient_t2i,
}

if __name__ == "__main__":
    if len(sys.argv) > 2:
        child(sys.argv[1], sys.argv[2] == "served")
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
