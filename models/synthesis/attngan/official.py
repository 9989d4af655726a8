"""AttnGAN's published files: import and export. Bare state dicts of before torch 0.4.1."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from models.bundle import Bundle
from models.checkpoints.files import count, fit, need, read
from models.checkpoints.published import UNCUT, Published
from models.damsm.official import read_text
from models.synthesis.attngan.network import AttnganConfig, AttnganGenerator


def read_published(files: Mapping[str, Path]) -> Published:
    """files: generator, text-encoder, captions. Raises BundleError for files of another kind."""
    words, text = read_text(files)
    what, state = f"generator {files['generator'].name}", read(files["generator"])
    conditions, features = need(state, "ca_net.fc.weight", what).shape
    entry = need(state, "h_net1.fc.0.weight", what).shape[1]
    config = AttnganConfig(
        ngf=need(state, "img_net1.img.0.weight", what).shape[1],
        base=4 << count(state, "h_net1.upsample{}.", what, start=1),
        stages=count(state, "img_net{}.", what, start=1),
        blocks=count(state, "h_net2.residual.{}.", what),
        z=entry - conditions // 4,
        condition=conditions // 4,
        text=features,
    )
    roles = {"generator": fit(AttnganGenerator(config), state, what), "text_encoder": text}
    more = {"text_encoder": asdict(text.config), "explains": True}
    return Published(config.size, asdict(config), roles, words, UNCUT, more)


def published_files(bundle: Bundle, task: str) -> dict[str, Mapping[str, Tensor]]:
    """The generator's file."""
    return {"generator.pth": bundle.state(task, "generator")}
