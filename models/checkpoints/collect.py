"""Put the tasks of several bundles, one per training run, into one bundle."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

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

    Raises BundleError when there is nothing to collect.
    """
    found: Bundle | None = None
    origins: dict[str, str] = {}
    bundles = [Bundle.open(folder) for folder in folders]  # all of them, before any is written
    for folder, bundle in zip(folders, bundles, strict=True):
        for task, spec in bundle.tasks.items():
            words = bundle.vocabulary(task).words if bundle.has_words(task) else None
            states = {role: bundle.stored(task, role) for role in spec.files}
            dropped = ("files", "vocabulary", "vocabulary_sha256")
            raw = {k: v for k, v in spec.raw.items() if k not in dropped}
            found = save_task(
                out,
                task,
                raw,
                states,
                name=out.name,
                domain=domain or bundle.domain,
                licence=licence or str(bundle.raw.get("licence", "")),
                words=words,
                half=half,
                metrics=bundle.raw.get("metrics", {}).get(task),
            )
            _copy_state(state_path(folder, task), state_path(out, task), wanted=training_state)
            origins[spec.method] = read_section(folder, spec.method)
    if found is None:
        raise BundleError("None of these bundles holds a task that can be served.")
    for method, origin in origins.items():
        put_section(found, method, origin)
    return found


def _copy_state(source: Path, target: Path, *, wanted: bool) -> None:
    """The training state of a task that was copied; that of the task before it goes."""
    target.unlink(missing_ok=True)
    if wanted and source.exists():
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)
