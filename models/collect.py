"""Put the tasks of several bundles, one per training run, into one bundle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from models.bundle import Bundle, save_task
from models.errors import BundleError
from models.training.training_state import state_path


def collect(out: Path, folders: Sequence[Path], *, training_state: bool = False) -> Bundle:
    """Copy every task of ``folders`` into the bundle ``out``, the last of a kind winning; equal
    files are kept once. The encoders' own task, ``damsm``, serves nobody but further training.
    training_state: also what training goes on from.

    Raises BundleError when there is nothing to collect.
    """
    found: Bundle | None = None
    for folder in folders:
        bundle = Bundle.open(folder)
        for task, spec in bundle.tasks.items():
            words = json.loads(bundle.vocabulary_path(task).read_text(encoding="utf-8"))["words"]
            states = {role: bundle.state(task, role) for role in spec.files}
            dropped = ("files", "vocabulary", "vocabulary_sha256")
            raw = {k: v for k, v in spec.raw.items() if k not in dropped}
            found = save_task(
                out,
                task,
                raw,
                states,
                name=out.name,
                domain=bundle.domain,
                licence=str(bundle.raw.get("licence", "")),
                words=words,
                half=True,
                metrics=bundle.raw.get("metrics", {}).get(task),
            )
            _copy_state(state_path(folder, task), state_path(out, task), wanted=training_state)
    if found is None:
        raise BundleError("None of these bundles holds a task that can be served.")
    _write_card(found)
    return found


def _copy_state(source: Path, target: Path, *, wanted: bool) -> None:
    """The training state of a task that was copied; that of the task before it goes."""
    target.unlink(missing_ok=True)
    if wanted and source.exists():
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)


def _write_card(bundle: Bundle) -> None:
    """A model card to be filled in, unless there is one."""
    path = bundle.folder / "CARD.md"
    if path.exists():
        return
    lines = [
        f"# {bundle.name}",
        "",
        f"Domain: {bundle.domain}.",
        f"Licence: {bundle.raw.get('licence', '')}.",
        "",
    ]
    lines += [
        f"- `{t}`: {s.method}, {s.size}×{s.size} pixels" for t, s in sorted(bundle.tasks.items())
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
