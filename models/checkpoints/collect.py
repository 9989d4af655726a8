"""Put the tasks of several bundles, one per training run, into one bundle."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from models.bundle import Bundle, save_task
from models.card import put_section, read_section
from models.errors import BundleError
from models.training.training_state import state_path


def collect(
    out: Path,
    folders: Sequence[Path],
    *,
    half: bool = False,
    training_state: bool = False,
    domain: str = "",
    licence: str = "",
) -> Bundle:
    """Copy every task of ``folders`` into the bundle ``out``, the last of a kind winning; equal
    files are kept once. The encoders' own task, ``damsm``, serves nobody but further training.
    Numbers stay as they are stored, and what the cards say of imported files goes along.

    half: round matrices and kernels to float16; training_state: also what training goes on from;
    domain, licence: of the whole, instead of the last one's.

    Raises BundleError, before anything is written, when there is nothing to collect or a file of
    the bundles is missing or damaged.
    """
    bundles = [Bundle.open(folder) for folder in folders]
    parts = [part for bundle in bundles for part in _read(bundle)]  # before anything is written
    if not parts:
        raise BundleError("None of these bundles holds a task that can be served.")
    for part in parts:
        found = save_task(
            out,
            part.task,
            part.spec,
            part.states,
            name=out.name,
            domain=domain or part.source.domain,
            licence=licence or str(part.source.raw.get("licence", "")),
            words=part.words,
            half=half,
            metrics=part.source.raw.get("metrics", {}).get(part.task),
        )
        state = state_path(part.source.folder, part.task)
        _copy_state(state, state_path(out, part.task), wanted=training_state)
    for method, origin in {str(part.spec["method"]): part.origin for part in parts}.items():
        put_section(found, method, origin)
    return found


@dataclass(frozen=True)
class _Part:
    """A task as it was read, with what the card says of its method's files."""

    source: Bundle
    task: str
    spec: dict[str, Any]
    states: dict[str, dict[str, Tensor]]
    words: tuple[str, ...] | None
    origin: str


def _read(bundle: Bundle) -> Iterator[_Part]:
    """Every task of a bundle. Raises BundleError for files that are missing or damaged."""
    for task, spec in bundle.tasks.items():
        words = bundle.vocabulary(task).words if bundle.has_words(task) else None
        states = {role: bundle.stored(task, role) for role in spec.files}
        dropped = ("files", "vocabulary", "vocabulary_sha256")
        raw = {key: value for key, value in spec.raw.items() if key not in dropped}
        origin = read_section(bundle.folder, spec.method)
        yield _Part(bundle, task, raw, states, words, origin)


def _copy_state(source: Path, target: Path, *, wanted: bool) -> None:
    """The training state of a task that was copied; that of the task before it goes."""
    target.unlink(missing_ok=True)
    if wanted and source.exists():
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)
