"""DAMSM pretraining as published (AttnGAN section 3.2 and its code): Inception-v3 under two linear
heads, a bidirectional LSTM, words and sentence losses without weights.

The trunk's weights stay ImageNet's but, as published, its batch statistics follow the training
pictures: both encoders run in train mode. Adam starts anew each epoch, at 0.98 of the rate before
until a tenth of the first, and only the text encoder's gradient is clipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.checkpoints.captions import read_words
from models.checkpoints.files import fit, need, read
from models.checkpoints.published import UNCUT, Published
from models.damsm.inception import INPUT, InceptionImageEncoder, VggDetail, described
from models.damsm.losses import Caption, matching_losses
from models.damsm.recipe import EncodersObjective
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
from models.errors import BundleError, ModelsError
from models.training.batch import Batch
from models.training.noise import Noise
from models.training.objective import Values

_HEADS = ("emb_features", "emb_cnn_code")
_SPREAD = 0.1  # of the heads' first weights
_FLOOR = 0.1  # share of the first rate below which no epoch lowers it any more


@dataclass(frozen=True)
class OfficialDamsmOptions:
    """trunk: imagenet, from trunk_file (torchvision's Inception-v3) or else by torchvision's
    download, or random; decay: of the rate, per epoch of epoch_steps steps, 0 for a constant rate;
    clip: largest norm of the text encoder's gradient.
    """

    trunk: str = "imagenet"
    trunk_file: str = ""
    rate: float = 2e-3
    decay: float = 0.98
    epoch_steps: int = 0
    words: int = 300
    features: int = 256
    dropout: float = 0.5
    rnn: str = "lstm"
    clip: float = 0.25


class OfficialDamsmObjective(EncodersObjective):
    def __init__(self, options: OfficialDamsmOptions, vocabulary: int) -> None:
        super().__init__()
        self.options = options
        self.text = TextEncoder(
            TextEncoderConfig(
                vocabulary, options.words, options.features, options.rnn, options.dropout
            )
        )
        self.image = _image_encoder(options)
        self.modules = {"text_encoder": self.text, "image_encoder": self.image}
        self.optimizer_steps = self.one_step(options.rate, options.clip)

    def rate_share(self, step: int) -> float:
        o = self.options
        if not o.epoch_steps or o.decay >= 1:
            return 1.0
        lowest = math.ceil(math.log(_FLOOR) / math.log(o.decay))
        return o.decay ** min(step // o.epoch_steps, lowest)

    def forward_shared(self, batch: Batch, noise: Noise, step: int) -> Batch:
        if self.options.epoch_steps and step % self.options.epoch_steps == 0:
            self.optimizer_steps["damsm"].optimiser.state.clear()
        return batch

    def loss(self, name: str, state: Batch, step: int) -> tuple[Tensor, Values]:
        words, sentence = self.text(state.ids, state.lengths)
        caption = Caption(words, sentence, state.lengths)
        with self.autocast():
            regions, code = self.image(self.to_memory_format(state.images))
        by_words, by_sentence = matching_losses((regions, code), caption, state.class_ids)
        return by_words + by_sentence, {"words": by_words, "sentence": by_sentence}


def _image_encoder(options: OfficialDamsmOptions) -> InceptionImageEncoder:
    """Frozen trunk, heads U(±0.1) as published; biases keep torch's start."""
    image = InceptionImageEncoder(options.features)
    if options.trunk == "imagenet":
        load_trunk(image, options.trunk_file)
    elif options.trunk != "random":
        raise ModelsError(f"trunk is imagenet or random, not {options.trunk!r}.")
    image.requires_grad_(False)
    for name in _HEADS:
        head = image.get_submodule(name).requires_grad_(True)
        assert isinstance(head.weight, Tensor)  # noqa: S101
        nn.init.uniform_(head.weight, -_SPREAD, _SPREAD)
    return image


def load_trunk(image: InceptionImageEncoder, file: str = "") -> None:
    """Fill all but the heads with torchvision's ImageNet weights of Inception-v3."""
    from torchvision.models import Inception_V3_Weights

    state = imagenet_state(Inception_V3_Weights.IMAGENET1K_V1, file, "--set trunk_file=")
    heads = {k: v for k, v in image.state_dict().items() if k.startswith(_HEADS)}
    _fill(image, state, heads)


def load_detail(detail: nn.Module, file: str = "", option: str = "--set detail_file=") -> None:
    """Fill with torchvision's ImageNet weights of VGG-16."""
    from torchvision.models import VGG16_Weights

    _fill(detail, imagenet_state(VGG16_Weights.IMAGENET1K_V1, file, option), {})


def imagenet_state(weights: Any, file: str, option: str) -> dict[str, Tensor]:
    """A state dict from ``file``, or of ``weights`` from where torchvision has it; option: what
    names the file. Raises BundleError.
    """
    if file:
        return read(Path(file))
    get: Callable[..., dict[str, Tensor]] = weights.get_state_dict
    try:
        return get(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise BundleError(
            f"ImageNet weights can't be downloaded from {weights.url} ({error}); fetch that file "
            f"elsewhere and name it with {option}PATH."
        ) from error


@torch.no_grad()
def _fill(module: nn.Module, state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """The keys that ``module`` has, ``own`` before ``state``; a classifier's leftovers stay out."""
    training = module.training
    names = module.state_dict().keys()
    found = {k: v for k, v in {**state, **own}.items() if k in names}
    fit(module, found, "the ImageNet weights").train(training)


def read_published(files: Mapping[str, Path]) -> Published:
    """files: text-encoder, image-encoder, captions. Encoders alone, for training and evaluation."""
    words, text = read_text(files)
    image = read_image_encoder(files["image-encoder"])
    more = {"text_encoder": asdict(text.config), "image_encoder": described(image)}
    roles: dict[str, nn.Module] = {"text_encoder": text, "image_encoder": image}
    return Published(INPUT, {}, roles, words, UNCUT, more)


def read_text(files: Mapping[str, Path]) -> tuple[list[str], TextEncoder]:
    """The vocabulary of the file captions, and the text encoder that goes with it."""
    words = read_words(files["captions"])
    return words, read_text_encoder(files["text-encoder"], len(words))


def read_text_encoder(path: Path, words: int) -> TextEncoder:
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


def read_image_encoder(path: Path) -> InceptionImageEncoder:
    """DAMSM image encoder; a classifier's leftovers are not accepted."""
    what = f"image encoder {path.name}"
    state = read(path)
    network = InceptionImageEncoder(len(need(state, "emb_features.weight", what)))
    fit(network, state, what)
    return network


def read_vgg_detail(path: Path | None) -> VggDetail:
    """The convolutions up to relu2_2 of any VGG-16; without a file torchvision's weights."""
    network = VggDetail()
    if path is None:
        load_detail(network, option="--vgg ")
        return network
    state, what = read(path), f"VGG-16 {path.name}"
    fit(network, {key: need(state, key, what) for key in network.state_dict()}, what)
    return network
