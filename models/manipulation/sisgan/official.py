"""SISGAN's published files: import and export. Bare state dicts; the sentence encoder is a part of
the file of the visual-semantic embedding, and word vectors come beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from torch import nn

from models.bundle import Bundle
from models.checkpoints.exporter import Content, role_files
from models.checkpoints.files import count, fit, need, read
from models.checkpoints.published import Published
from models.checkpoints.word_vectors import read_vectors, read_vocabulary, vector_note
from models.errors import BundleError
from models.manipulation.sisgan.network import (
    SentenceEncoder,
    SisganConfig,
    SisganDiscriminator,
    SisganDiscriminatorConfig,
    SisganGenerator,
)

_MAX_WORDS = 50  # of the authors' tables
_CELL = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def read_published(files: Mapping[str, Path]) -> Published:
    """files: generator, embedding, vectors, captions, and for further training discriminator.
    Raises BundleError when they are of another kind.
    """
    what, state = f"generator {files['generator'].name}", read(files["generator"])
    reader = _sentence_encoder(files["embedding"])
    condition, sentence = need(state, "mu.0.weight", what).shape
    config = SisganConfig(
        ngf=need(state, "decoder.8.weight", what).shape[1],
        blocks=count(state, "residual_blocks.{}.encoder.", what, start=2),
        condition=condition,
        sentence=sentence,
        words=reader.cell.input_size,
        vgg="encoder.29.weight" in state,
    )
    if reader.cell.hidden_size != sentence:
        raise BundleError(
            f"{what} reads sentences of {sentence} numbers, the embedding writes "
            f"{reader.cell.hidden_size}; give the embedding that belongs to it."
        )
    roles: dict[str, nn.Module] = {"generator": fit(SisganGenerator(config), state, what)}
    roles["sentence_encoder"] = reader
    if "discriminator" in files:
        roles["discriminator"] = _discriminator(files["discriminator"], sentence)
    asked = read_vocabulary(files["captions"])
    known, roles["word_vectors"] = read_vectors(files["vectors"], asked, config.words)
    more, notes = {"explains": False}, [vector_note(asked, known)]
    return Published(config.size, asdict(config), roles, known, _MAX_WORDS, more, notes)


def _sentence_encoder(path: Path) -> SentenceEncoder:
    what, state = f"embedding {path.name}", read(path)
    found = {f"cell.{name}": need(state, f"txt_encoder.{name}_l0", what) for name in _CELL}
    hidden, words = (found[f"cell.weight_{kind}"].shape[1] for kind in ("hh", "ih"))
    network = SentenceEncoder(words, hidden)
    fit(network, found, what)
    return network


def _discriminator(path: Path, sentence: int) -> nn.Module:
    what, state = f"discriminator {path.name}", read(path)
    condition = len(need(state, "compression.0.weight", what))
    ndf = len(need(state, "encoder.0.weight", what))
    config = SisganDiscriminatorConfig(ndf, condition, sentence)
    return fit(SisganDiscriminator(config), state, what)


def published_files(bundle: Bundle, task: str) -> dict[str, Content]:
    """The networks' files; of the embedding its sentence encoder alone. Raises BundleError when the
    bundle reads sentences otherwise.
    """
    if "sentence_encoder" not in bundle.task(task).files:
        raise BundleError(
            f"Bundle {bundle.name!r} can't be written in SISGAN's layout: it reads sentences by a "
            "DAMSM text encoder, which its authors' code does not have. Imported bundles can."
        )
    cell = bundle.state(task, "sentence_encoder")
    embedding = {f"txt_encoder.{k.removeprefix('cell.')}_l0": v for k, v in cell.items()}
    names = {"generator": "generator.pth", "discriminator": "discriminator.pth"}
    return {**role_files(bundle, task, names), "text_embedding.pth": embedding}
