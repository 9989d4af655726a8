"""Bundles back to the authors' file layouts, for their code and for comparison."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from jobs.captions import Vocabulary
from models.bundle import Bundle
from models.checkpoints.published import published_folder
from models.errors import BundleError
from models.pipeline import config_from

Content = Mapping[str, Any]  # of one file: a state dict, or a training state that holds one
Config = TypeVar("Config")


def exportable_config(bundle: Bundle, task: str, cls: type[Config], fixed: Sequence[str]) -> Config:
    """The task's configuration. Raises BundleError unless ``fixed`` are as published: the authors'
    code has no network of another kind, and would not load its weights.
    """
    config, usual = config_from(cls, bundle.task(task).network, f"bundle {bundle.name!r}"), cls()
    own = {name: getattr(config, name) for name in fixed}
    differing = [f"{k} = {v!r}" for k, v in own.items() if v != getattr(usual, k)]
    looks = bundle.task(task).image_encoder
    if looks and looks.get("kind") != "inception":
        differing.append("an image encoder other than Inception-v3")
    if differing:
        raise BundleError(
            f"Bundle {bundle.name!r} can't be written in the published layout of {task!r}: its "
            f"network differs by {', '.join(differing)}. Imported bundles can, and those trained "
            "with the preset official."
        )
    return config


def role_files(bundle: Bundle, task: str, names: Mapping[str, str]) -> dict[str, Content]:
    """Bare state dicts of the roles that the bundle holds; names: role -> file."""
    held = bundle.task(task).files
    return {name: bundle.state(task, role) for role, name in names.items() if role in held}


def export(folder: Path, layout: str, out: Path) -> list[Path]:
    """Write one task's files, text encoder or word vectors and captions file into ``out``; what was
    imported comes back bit by bit.

    Raises BundleError, before anything is written, when the bundle's task is of another method or
    of a network that the authors' code does not have, and when a file is missing or damaged.
    """
    bundle = Bundle.open(folder)
    method = published_folder(layout)
    task, spec = method.task, bundle.task(method.task)
    if spec.method != layout:
        raise BundleError(
            f"Bundle {bundle.name!r} does {task!r} by {spec.method}, not by {layout}."
        )
    states = method.module("official").published_files(bundle, task)
    if "text_encoder" in spec.files:
        states["text_encoder.pth"] = bundle.state(task, "text_encoder")
    beside = _captions_and_vectors(bundle, task) if spec.reads_text else {}
    out.mkdir(parents=True, exist_ok=True)  # everything has been read
    for name, state in states.items():
        torch.save(dict(state), out / name)
    for name, data in beside.items():
        (out / name).write_bytes(data)
    return [out / name for name in (*states, *beside)]


def _captions_and_vectors(bundle: Bundle, task: str) -> dict[str, bytes]:
    """The captions file, and the word vectors of a bundle that holds some, by their names."""
    words = Vocabulary.load(bundle.vocabulary_path(task)).words
    index = dict(enumerate(words))
    content = [[], [], index, {word: k for k, word in index.items()}]
    found = {"captions.pickle": pickle.dumps(content, protocol=2)}
    if "word_vectors" in bundle.task(task).files:
        vectors = bundle.state(task, "word_vectors")["weight"].numpy()
        file = BytesIO()
        np.savez(file, vectors=vectors[1:], words=np.array(words[1:]))
        found["vectors.npz"] = file.getvalue()
    return found
