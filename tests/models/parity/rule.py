"""Weights and inputs by rule: every tensor is drawn from a generator seeded with its own name.

Reference networks were filled by the same rule, so a few of their outputs are all that has to be
kept here.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Array = np.ndarray[Any, Any]
Scale = Callable[[str, Array, set[str]], Array]


def source(name: str, seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()) ^ seed))


def normal(name: str, shape: tuple[int, ...], seed: int) -> Array:
    return source(name, seed).standard_normal(shape)


def filled(
    module: nn.Module,
    seed: int,
    scale: Scale,
    prefix: str = "",
    rename: Mapping[str, str] | None = None,
) -> nn.Module:
    """The module in eval mode with every tensor drawn by its published name."""
    shapes = {k: tuple(v.shape) for k, v in module.state_dict().items()}
    named = {k: (rename or {}).get(k, k) for k in shapes}
    names = set(named.values())
    state: dict[str, Array] = {}
    for key, shape in shapes.items():
        if key.endswith("num_batches_tracked"):
            state[key] = np.zeros((), np.int64)
        else:
            state[key] = scale(named[key], normal(prefix + named[key], shape, seed), names)
    module.load_state_dict(
        {k: torch.from_numpy(np.asarray(v)).to(_kind(v)) for k, v in state.items()}
    )
    return module.eval()


def _kind(values: Array) -> torch.dtype:
    return torch.float32 if np.asarray(values).dtype.kind == "f" else torch.int64


def manigan(name: str, n: Array, names: set[str]) -> Array:
    """Unit embeddings, near-identity norms, He-like kernels."""
    stem, _, leaf = name.rpartition(".")
    if leaf == "weight" and f"{stem}.running_mean" in names:
        return 1 + 0.02 * n
    if leaf == "running_var":
        return 1 + 0.1 * np.abs(n)
    if n.ndim <= 1:
        return 0.02 * n
    if name == "encoder.weight":
        return n
    scale = 1.4 / np.sqrt(np.prod(n.shape[1:]))
    if "channel_att.conv_context" in name:
        scale *= 4 / np.sqrt(n.shape[0])
    return scale * n


def tdanet(name: str, n: Array, names: set[str]) -> Array:
    """Drawn in float32; ``_bar`` kernels small, since spectral norm rescales them."""
    g = n.astype(np.float32)
    leaf = name.rpartition(".")[2]
    if leaf.endswith(("_u", "_v")):
        return g / (np.linalg.norm(g) + 1e-12)
    if leaf in ("gamma", "alpha"):
        return 0.5 + 0.1 * g
    if leaf == "running_var":
        return 1 + 0.1 * np.abs(g)
    if leaf == "weight" and g.ndim == 1:
        return 1 + 0.02 * g
    if g.ndim > 1 and not leaf.endswith("_bar"):
        return g if name == "encoder.weight" else g / np.sqrt(np.prod(g.shape[1:]))
    return 0.02 * g


def efficient_t2i(name: str, n: Array, names: set[str]) -> Array:
    leaf = name.rpartition(".")[2]
    if leaf == "running_var":
        return 1 + 0.1 * np.abs(n)
    if leaf in ("weight_u", "weight_v"):
        return n / np.linalg.norm(n)
    if leaf == "gamma" or (leaf == "weight" and n.ndim == 1):
        return 1 + 0.02 * n
    return 0.02 * n


def picnet(prefix: str, seed: int) -> Scale:
    """Of the network whose names are drawn with ``prefix``: kernels of which the spectral norm
    depends on how it is taken, twice an orthonormal matrix with scaled rows.
    """

    def scale(name: str, n: Array, names: set[str]) -> Array:
        leaf = name.rpartition(".")[2]
        if leaf.endswith("_bar"):
            flat = n.reshape(n.shape[0], -1)
            wide = flat.shape[0] <= flat.shape[1]
            q = np.linalg.qr(flat.T if wide else flat)[0]
            rows = 1 + 0.2 * normal(f"{prefix}{name}/rows", (n.shape[0], 1), seed)
            return (2 * rows * (q.T if wide else q)).reshape(n.shape).astype(np.float32)
        if leaf.endswith(("_u", "_v")):
            return (n / np.linalg.norm(n)).astype(np.float32)
        if leaf in ("gamma", "alpha"):
            return (0.5 + 0.1 * n).astype(np.float32)
        if n.ndim == 1:
            return (1 + 0.1 * n if leaf == "weight" else 0.05 * n).astype(np.float32)
        return (n / np.sqrt(np.prod(n.shape[1:]))).astype(np.float32)

    return scale


CSA_GAIN = {"netP": 1.0, "netG": 1.0, "netD": 1.4, "netF": 1.0, "vgg16": 1.4}


def csa(net: str) -> Scale:
    """Of one of CSA's networks; the last layer before tanh, or the pixels, is small."""

    def scale(name: str, n: Array, names: set[str]) -> Array:
        del names
        if n.ndim == 1:
            return 1 + 0.1 * n if name.endswith(".weight") else 0.1 * n
        last = 0.3 if name == "model.model.3.weight" else 1.0
        return n * CSA_GAIN[net] * last / np.sqrt(np.prod(n.shape[1:]))

    return scale


def inpainting_inputs(rows: int, seed: int) -> dict[str, Tensor]:
    """image [B,3,256,256] in [-1,1], mask [B,1,256,256] (1 = known), noise [2,B,128,8,8]; row i
    depends on i alone.
    """
    images, noise = [], []
    mask = np.ones((rows, 1, 256, 256), np.float32)
    for i in range(rows):
        r = source(f"photo{i}", seed)
        blocks, grain = r.uniform(-0.9, 0.9, (3, 16, 16)), r.uniform(-0.1, 0.1, (3, 256, 256))
        photo = np.kron(blocks, np.ones((1, 16, 16))) + grain
        images.append(np.clip(photo, -1, 1).astype(np.float32))
        mask[i, 0][_placed_hole(i, seed)] = 0
        noise.append(normal(f"noise{i}", (2, 128, 8, 8), seed))
    drawn = np.stack(noise, 1).astype(np.float32)
    return {"image": tensor(np.stack(images)), "mask": tensor(mask), "noise": tensor(drawn)}


def _placed_hole(i: int, seed: int) -> Array:
    """A rectangle, an ellipse or strokes, where the seed puts it."""
    yy, xx = np.mgrid[:256, :256]
    y, x, h, w = source(f"hole{i}", seed).integers([40, 40, 90, 90], [80, 80, 150, 150])
    if i % 3 == 0:
        return (yy >= y) & (yy < y + h) & (xx >= x) & (xx < x + w)
    if i % 3 == 1:
        return ((yy - y - 20) / h) ** 2 + ((xx - x - 20) / w) ** 2 < 0.8
    strokes = [np.abs((yy - 28 * k) + (k - 4) * 0.25 * (xx - x)) < 7 for k in range(9)]
    return np.any(strokes, 0)


@torch.no_grad()
def settle_spectral(module: nn.Module, iterations: int = 20) -> nn.Module:
    """Twenty power iterations in float64, as trained vectors have seen thousands."""
    for layer in module.modules():
        if hasattr(layer, "weight_orig"):
            values = dict(layer.named_parameters()) | dict(layer.named_buffers())
            matrix = values["weight_orig"].flatten(1).double()
            u = values["weight_u"].double()
            for _ in range(iterations):
                v = matrix.T @ u
                v = v / v.norm()
                u = matrix @ v
                u = u / u.norm()
            values["weight_u"].copy_(u)
            values["weight_v"].copy_(v)
    return module


def tensor(values: Array) -> Tensor:
    return torch.from_numpy(values)


LENGTHS = (18, 16, 14, 12, 10, 9, 7, 5)


def manigan_inputs(rows: int, seed: int) -> dict[str, Tensor]:
    """image [B,3,256,256] in [-1,1], captions [B,18], lengths, z and ca_noise [B,100]; row i
    depends on i alone.
    """
    made: dict[str, list[Any]] = {k: [] for k in ("image", "captions", "lengths", "z", "ca_noise")}
    for i in range(rows):
        r = source(f"input.{i}", seed)
        blocks, grain = r.uniform(-0.9, 0.9, (3, 16, 16)), r.uniform(-0.1, 0.1, (3, 256, 256))
        made["image"].append(
            np.clip(np.kron(blocks, np.ones((1, 16, 16))) + grain, -1, 1).astype(np.float32)
        )
        length = LENGTHS[i % 8]
        made["captions"].append(np.pad(r.integers(1, 5450, length), (0, 18 - length)))
        made["lengths"].append(length)
        made["z"].append(r.standard_normal(100).astype(np.float32))
        made["ca_noise"].append(r.standard_normal(100).astype(np.float32))
    return {k: tensor(np.stack(v)) for k, v in made.items()}


def tdanet_inputs(rows: int, seed: int) -> dict[str, Tensor]:
    """image [B,3,256,256] in [0,1], mask [B,1,256,256] (1 = known), tokens [B,128], lengths, eps
    [B,256,8,8].
    """
    yy, xx = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    image = np.zeros((rows, 3, 256, 256), np.float32)
    mask = np.ones((rows, 1, 256, 256), np.float32)
    tokens, lengths = np.zeros((rows, 128), np.int64), np.zeros(rows, np.int64)
    for b in range(rows):
        c = normal(f"img{b}", (3, 6), seed).astype(np.float32)
        for ch in range(3):
            wave = 0.5 + 0.22 * np.sin(0.03 * (1 + abs(c[ch, 0])) * xx + c[ch, 1])
            wave = wave + 0.22 * np.cos(0.05 * (1 + abs(c[ch, 2])) * yy + c[ch, 3])
            grain = 0.03 * normal(f"imgn{b}{ch}", (256, 256), seed).astype(np.float32)
            image[b, ch] = np.round(255 * np.clip(wave + grain, 0, 1)) / 255
        mask[b, 0][_hole(b, yy, xx)] = 0
        lengths[b] = 5 + (7 * b) % 13
        tokens[b, : lengths[b]] = source(f"tok{b}", seed).integers(1, 5450, lengths[b])
    eps = np.stack([normal(f"eps{b}", (256, 8, 8), seed).astype(np.float32) for b in range(rows)])
    return {
        "image": tensor(image),
        "mask": tensor(mask),
        "tokens": tensor(tokens),
        "lengths": tensor(lengths),
        "eps": tensor(eps),
    }


def _hole(b: int, yy: Array, xx: Array) -> Array:
    """A centre square, an ellipse, or thin strokes."""
    if b % 3 == 0:
        return (yy >= 64) & (yy < 192) & (xx >= 64) & (xx < 192)
    if b % 3 == 1:
        return ((yy - 120) / 70.0) ** 2 + ((xx - 140) / 50.0) ** 2 < 1
    found = np.zeros(yy.shape, bool)
    for k in range(12):
        found |= np.abs((yy - 20 * k) + (k - 6) * 0.2 * (xx - 128)) < 5
    return found


_LAST = ("decoder.11.weight", "decoder.8.weight", *(f"img_net{k}.img.0.weight" for k in (1, 2, 3)))


def scaled(gain: float) -> Scale:
    """The rule of SISGAN, TAGAN and AttnGAN: norms near the identity, kernels of one gain, which is
    less before the last layer.
    """

    def scale(name: str, n: Array, names: set[str]) -> Array:
        leaf = name.rpartition(".")[2]
        if leaf == "running_var":
            return 1 + 0.2 * np.abs(n)
        if n.ndim == 1:
            return 1 + 0.1 * n if leaf == "weight" else 0.1 * n
        last = (0.5 if "img_net" in name else 0.3) if name in _LAST else 1.0
        return n * gain * last / np.sqrt(np.prod(n.shape[1:]))

    return scale


def _blocks(name: str, side: int, seed: int) -> Array:
    """[3,side,side] in [-1,1]: coloured blocks under grain."""
    r = source(name, seed)
    blocks, grain = r.uniform(-0.9, 0.9, (3, 16, 16)), r.uniform(-0.1, 0.1, (3, side, side))
    return np.clip(np.kron(blocks, np.ones((1, side // 16, side // 16))) + grain, -1, 1)


def editing_inputs(rows: int, side: int, seed: int) -> dict[str, Tensor]:
    """Of SISGAN and TAGAN: image [B,3,side,side], vectors [B,T,300], pad [B,T], noise [3,B,128]."""
    lengths = [int(source(f"len{i}", seed).integers(5, 17)) for i in range(rows)]
    vectors = np.zeros((rows, max(lengths), 300), np.float32)
    for i, n in enumerate(lengths):
        vectors[i, :n] = 0.4 * normal(f"words{i}", (n, 300), seed)
    image = np.stack([_blocks(f"photo{i}", side, seed) for i in range(rows)]).astype(np.float32)
    noise = np.stack([normal(f"noise{i}", (3, 128), seed) for i in range(rows)], 1)
    pad = torch.arange(max(lengths))[None] >= torch.tensor(lengths)[:, None]
    given = {"image": image, "vectors": vectors, "noise": noise.astype(np.float32)}
    return {**{k: tensor(v) for k, v in given.items()}, "pad": pad}


def drawing_inputs(rows: int, seed: int) -> dict[str, Tensor]:
    """Of AttnGAN: words [B,256,T], pad [B,T], sentence [B,256], z and ca_noise [B,100], image
    [B,3,256,256].
    """
    lengths = [int(source(f"len{i}", seed).integers(5, 19)) for i in range(rows)]
    words = np.zeros((rows, 256, max(lengths)), np.float32)
    for i, n in enumerate(lengths):
        words[i, :, :n] = np.tanh(0.7 * normal(f"words{i}", (256, n), seed))
    made = {
        name: np.stack([normal(f"{name}{i}", (n,), seed) for i in range(rows)]).astype(np.float32)
        for name, n in (("sentence", 256), ("z", 100), ("ca_noise", 100))
    }
    made["sentence"] = np.tanh(np.float32(0.7) * made["sentence"])
    image = np.stack([_blocks(f"photo{i}", 256, seed) for i in range(rows)]).astype(np.float32)
    pad = torch.arange(max(lengths))[None] >= torch.tensor(lengths)[:, None]
    given = {**made, "words": words, "image": image}
    return {**{k: tensor(v) for k, v in given.items()}, "pad": pad}
