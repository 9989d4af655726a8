"""Checkpoints with random weights, saved as the authors' trainers save theirs, and the pictures
that these networks make when they are run as published: float32, nothing folded, photo in, PNG out.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from models.damsm.inception import InceptionImageEncoder, VggDetail
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig, padding
from models.inpainting.tdanet.network import (
    InpaintConfig,
    InpaintEncoder,
    InpaintGenerator,
    compose,
)
from models.inpainting.tdanet.official import KEY_ALIASES
from models.manipulation.manigan.network import DetailCorrection, MainModule, ManiganConfig
from models.synthesis.efficient_t2i.network import Generator, GeneratorConfig

Bytes = NDArray[np.uint8]
Fill = Callable[[str, nn.Module], nn.Module]  # a method's name and one of its networks
TEXT = 16
T2I_PARAMS = {"g_model": "authors_name", "ngf": 8, "z_dim": 8, "norm": "batch"}


@dataclass(frozen=True)
class Sizes:
    """Of the networks. words: columns of the text encoder's embedding; text: its features."""

    t2i: GeneratorConfig
    tdanet: InpaintConfig
    manigan: ManiganConfig
    words: int
    text: int


SMALL = Sizes(  # pictures of 32 pixels
    GeneratorConfig(8, (2, 2, 1, 1), 8, TEXT, 8),
    InpaintConfig((8, 16), 0, (8, 4), 2, 4, TEXT, 2),
    ManiganConfig(8, 8, 2, 5, 6, TEXT, TEXT, 128, 8),
    8,
    TEXT,
)
PUBLISHED = Sizes(GeneratorConfig(), InpaintConfig(), ManiganConfig(), 300, 256)


def as_it_is(method: str, network: nn.Module) -> nn.Module:
    return network.eval()


class Published:
    """A folder of files as the authors published them; ``fill`` gives each network its weights. The
    networks stay at hand, by role.
    """

    def __init__(
        self,
        folder: Path,
        words: Sequence[str],
        sizes: Sizes = SMALL,
        fill: Fill = as_it_is,
    ) -> None:
        torch.manual_seed(3)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.words, self.sizes, self._fill = folder, list(words), sizes, fill
        self.networks: dict[str, Any] = {}
        self.captions = save_captions(folder / "captions.pickle", self.words)

    def efficient_t2i(self) -> dict[str, Path]:
        """The averaged generator's training state: weights under ``net``, blocks listed twice."""
        generator = self._made("efficient-t2i", "generator", Generator(self.sizes.t2i))
        state = generator.state_dict()
        for k, name in enumerate(generator.blocks):
            state |= {
                f"main.{k}.{key.removeprefix(name + '.')}": v
                for key, v in list(state.items())
                if key.startswith(name + ".")
            }
        path = self.folder / "netG_avg_epoch_7.pth"
        whole = {"it": 7, "optimizer": None, "net": state, "netG_params": T2I_PARAMS}
        torch.save(whole, path)
        return self._with_text("efficient-t2i", generator=path)

    def tdanet(self) -> dict[str, Path]:
        nets = {"encoder": InpaintEncoder, "generator": InpaintGenerator}
        paths = {}
        for role, cls in nets.items():
            network = self._made("tdanet", role, cls(self.sizes.tdanet))
            path = self.folder / f"latest_net_{role[0].upper()}.pth"
            paths[role] = save(with_aliases(network, network.state_dict()), path, "module.")
        return self._with_text("tdanet", **paths)

    def manigan(self) -> dict[str, Path]:
        config = self.sizes.manigan
        made = {
            "main": self._made("manigan", "main", MainModule(config)),
            "dcm": self._made("manigan", "dcm", DetailCorrection(config)),
            "image-encoder": self._made(
                "manigan", "image_encoder", InceptionImageEncoder(config.text)
            ),
            "vgg": self._made("manigan", "detail", VggDetail()),
        }
        names = ("netG_epoch_600", "netC_epoch_100", "image_encoder", "vgg16")
        files = {}
        for (role, network), name in zip(made.items(), names, strict=True):
            state = network.state_dict()
            if role == "image-encoder":  # files from before torch 0.4.1 have no counters
                state = {k: v for k, v in state.items() if "num_batches" not in k}
            if role == "vgg":  # the whole classifier, of which a part is needed
                state |= {"classifier.6.bias": torch.zeros(1000)}
            files[role] = save(state, self.folder / f"{name}.pth")
        return self._with_text("manigan", **files)

    def _with_text(self, method: str, **files: Path) -> dict[str, Path]:
        config = TextEncoderConfig(len(self.words), self.sizes.words, self.sizes.text)
        text = self._made(method, "text_encoder", TextEncoder(config))
        path = save(text.state_dict(), self.folder / f"{method}-text_encoder.pth")
        return {**files, "text-encoder": path, "captions": self.captions}

    def _made(self, method: str, role: str, network: nn.Module) -> Any:
        made = self._fill(method, network)
        self.networks[f"{method}/{role}"] = made
        return made

    def _network(self, name: str) -> Any:
        return self.networks[name]

    def _read(self, method: str, text: str) -> tuple[Tensor, Tensor, Tensor]:
        """Words [1,D,T], sentence [1,D], padding [1,T] of a caption of known words."""
        ids = torch.tensor([[self.words.index(word) for word in text.split()]])
        lengths = torch.tensor([ids.shape[1]])
        words, sentence = self._network(f"{method}/text_encoder")(ids, lengths)
        return words, sentence, padding(lengths, words.shape[2])

    @torch.no_grad()
    def synthesized(self, text: str, seed: int) -> Bytes:
        """[S,S,3], as Efficient-T2I's notebook makes it."""
        source = torch.Generator().manual_seed(seed)
        z = torch.randn(1, self.sizes.t2i.z, generator=source)
        _, sentence, _ = self._read("efficient-t2i", text)
        return truncated(self._network("efficient-t2i/generator")(z, sentence))

    @torch.no_grad()
    def manipulated(self, photo: Bytes, text: str, seed: int) -> Bytes:
        """[S,S,3] of a photo [S,S,3], as ManiGAN's ``gen_example`` makes it: noise first, then that
        of the conditioning; the DCM's picture.
        """
        config, source = self.sizes.manigan, torch.Generator().manual_seed(seed)
        z = torch.randn(1, config.z, generator=source)
        noise = torch.randn(1, config.condition, generator=source)
        words, sentence, pad = self._read("manigan", text)
        image = signed(photo)
        regions, code = self._network("manigan/image_encoder")(image)
        main = self._network("manigan/main")(z, noise, words, sentence, pad, code, regions)
        fine = self._network("manigan/detail")(image)
        return truncated(self._network("manigan/dcm")(main.hidden, fine, words, pad)[0])

    @torch.no_grad()
    def inpainted(self, photo: Bytes, hole: NDArray[np.bool_], text: str) -> Bytes:
        """[S,S,3] of a photo [S,S,3] and its hole [S,S], as TDANet's test makes it with
        ``--no_variance``: the mean, pasted into the photo.
        """
        words, sentence, pad = self._read("tdanet", text)
        image, mask = signed(photo), torch.from_numpy(~hole).float()[None, None]
        seen = self._network("tdanet/encoder")(image, mask, words, sentence, pad)
        feature = seen.features[self.sizes.tdanet.feature]
        made = self._network("tdanet/generator")(seen.mu, seen.summary, feature, mask)
        return truncated(compose(made[-1], image, mask))


@dataclass(frozen=True)
class Case:
    """A request of a task: form fields, pictures by field, and the PNG that upstream's code makes
    of the same.
    """

    task: str
    name: str
    fields: dict[str, str]
    pictures: dict[str, Bytes]
    expected: Bytes


METHODS = {"synthesize": "efficient-t2i", "manipulate": "manigan", "inpaint": "tdanet"}


def cases(published: Published, task: str, side: int) -> Iterator[Case]:
    """A short caption, one of a sentence, and one longer than any set's; photos of the networks'
    own size, with holes of three shapes.
    """
    words = published.words[1:]
    hole = holes(side)
    for seed, (name, length) in enumerate((("short", 3), ("usual", 13), ("long", 60))):
        text = " ".join(words[(7 * k + seed) % len(words)] for k in range(length))
        fields, photo = {"text": text, "seed": str(seed)}, a_photo(side, seed)
        if task == "synthesize":
            yield Case(task, name, fields, {}, published.synthesized(text, seed))
        elif task == "manipulate":
            edited = published.manipulated(photo, text, seed)
            yield Case(task, name, fields, {"image": photo}, edited)
        else:
            shape = list(hole)[seed]
            mask = np.where(hole[shape], 255, 0).astype(np.uint8)
            filled = published.inpainted(photo, hole[shape], text)
            yield Case(task, f"{name}, {shape}", fields, {"image": photo, "mask": mask}, filled)


def a_photo(side: int, seed: int) -> Bytes:
    """[side,side,3]: soft spots of colour under grain."""
    rng = np.random.default_rng(seed)
    spots = Image.fromarray(rng.integers(0, 256, (7, 7, 3), np.uint8))
    soft = np.asarray(spots.resize((side, side), Image.Resampling.BICUBIC), np.float64)
    return cast("Bytes", (soft + rng.normal(0, 6, soft.shape)).clip(0, 255).astype(np.uint8))


def holes(side: int) -> dict[str, NDArray[np.bool_]]:
    """Holes [side,side] by shape."""
    y, x = np.mgrid[:side, :side] / side
    square = (np.abs(x - 0.5) < 0.25) & (np.abs(y - 0.5) < 0.25)
    ellipse = ((x - 0.6) / 0.3) ** 2 + ((y - 0.4) / 0.2) ** 2 < 1
    strokes = np.abs((x + 0.3 * y) % 0.25 - 0.1) < 0.03
    return {"centre": square, "ellipse": ellipse, "strokes": strokes}


def save(state: dict[str, Tensor], path: Path, prefix: str = "") -> Path:
    torch.save({prefix + k: v for k, v in state.items()}, path)
    return path


def save_captions(path: Path, words: Sequence[str]) -> Path:
    index = dict(enumerate(words))
    content = [[[1, 2]], [[3]], index, {w: k for k, w in index.items()}]
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def with_aliases(network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As upstream's TDANet files list every convolution: twice, the second time under ``model`` or
    ``shortcut``.
    """
    doubled = dict(state)
    for block, module in network.named_modules():
        for alias, name in KEY_ALIASES.get(type(module), {}).items():
            start = f"{block}.{name}."
            doubled |= {
                f"{block}.{alias}.{k.removeprefix(start)}": v
                for k, v in state.items()
                if k.startswith(start)
            }
    return doubled


def signed(photo: Bytes) -> Tensor:
    """[S,S,3] uint8 → float32 [1,3,S,S] in [-1,1]."""
    return torch.from_numpy(photo.astype(np.float32) / 255 * 2 - 1).permute(2, 0, 1)[None]


def truncated(picture: Tensor) -> Bytes:
    """[1,3,S,S] in [-1,1] → uint8 [S,S,3], cut off as all three methods' code does it."""
    unit = (picture[0].permute(1, 2, 0).clamp(-1, 1) + 1) / 2
    return cast("Bytes", (unit * 255).to(torch.uint8).numpy())
