"""``judges.json``: which judging networks a folder holds, each by name and sha256.

``{"attributes": {"aviary": {"file", "sha256", "accuracy", …}}, "encoders": {DATA: {…}}}``
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor, nn

from models.bundle import load_strict
from models.data.aviary.dataset import cache_folder
from models.errors import ModelsError
from models.files import write_whole

EVALUATORS = Path(__file__).parents[2] / "weights" / "judges"
MANIFEST = "judges.json"


class EvaluatorError(ModelsError):
    """A judging network's file is missing, damaged or of another kind; the text says which."""


class EvaluatorMissing(ModelsError):
    """A judging network was never made; the text names the command to make it."""


def manifest(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """The folder's ``judges.json``, or an empty one."""
    path = folder / MANIFEST
    if not path.exists():
        return {}
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EvaluatorError(f"{path} is not JSON: {error}.") from error
    kinds = raw.values() if isinstance(raw, dict) else [None]
    judges = [j for kind in kinds for j in (kind.values() if isinstance(kind, dict) else [None])]
    if not all(isinstance(j, dict) and {"file", "sha256"} <= j.keys() for j in judges):
        raise EvaluatorError(
            f"{path} must hold objects by kind and name, each with file and sha256."
        )
    return dict(raw)


def entry(folder: Path, kind: str, name: str) -> dict[str, Any] | None:
    """What the folder says about one judge, or None when it has none."""
    return manifest(folder).get(kind, {}).get(name)


def evaluator_folders(folder: Path | None) -> list[Path]:
    """Where judges are looked for, in order: ``folder``, the shipped ones, the user's cache."""
    return [*([folder] if folder else []), EVALUATORS, cache_folder() / "judges"]


def require_judges(folder: Path) -> None:
    """Raises EvaluatorError when a folder that somebody named holds no judges at all."""
    if not (folder / MANIFEST).is_file():
        raise EvaluatorError(
            f"{folder} holds no judges ({MANIFEST}); leave --judges out, or make some: "
            f"python -m models judge encoders --data DIR --out {folder}."
        )


def read_checked(folder: Path, found: Mapping[str, Any]) -> bytes:
    """The bytes of an entry's file. Raises EvaluatorError when they are not what the entry says."""
    path = folder / Path(str(found["file"])).name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EvaluatorError(f"{path} can't be read: {error}.") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != found["sha256"]:
        raise EvaluatorError(
            f"{path} has sha256 {digest[:12]}…, but {MANIFEST} says "
            f"{str(found['sha256'])[:12]}…; make it again or restore it."
        )
    return data


def read_evaluator(
    folders: Sequence[Path] | None, kind: str, name: str = "aviary"
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights, float32, and entry of the judge for the data set ``name`` from the first of the
    folders that has one, of those where judges lie when None.

    Raises EvaluatorMissing when there is none, EvaluatorError when its file is damaged.
    """
    for place in evaluator_folders(None) if folders is None else folders:
        found = entry(place, kind, name)
        if found is not None:
            state = safetensors.torch.load(read_checked(place, found))
            return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}, found
    if kind != "encoders":
        raise EvaluatorMissing(f"There is no judge of {kind}; restore the folder {EVALUATORS}.")
    data = "" if name == "aviary" else " --data DIR"
    raise EvaluatorMissing(
        f"There is no judge of {kind} for {name!r}; make one by "
        f"`python -m models judge {kind}{data} --out weights/judges`."
    )


def load_network(folders: Sequence[Path] | None, kind: str, network: nn.Module) -> dict[str, Any]:
    """Fill a judge of Aviary, and give its entry; errors as :func:`read_evaluator`."""
    state, found = read_evaluator(folders, kind)
    load_strict(network, state, f"the judge of {kind}")
    network.eval().requires_grad_(False)
    return found


def save_network(
    folder: Path, kind: str, state: Mapping[str, Tensor], facts: Mapping[str, object], name: str
) -> Path:
    """Write a judge's weights (matrices as float16) as ``NAME-KIND-HASH8.safetensors`` and its
    entry; an older file of the entry goes. Returns the path. Raises EvaluatorError, before anything
    is written, where the folder's ``judges.json`` is damaged.
    """
    small = {k: (v.half() if v.ndim > 1 else v).contiguous() for k, v in state.items()}
    data = safetensors.torch.save(small)
    digest = hashlib.sha256(data).hexdigest()
    path = folder / f"{name}-{kind}-{digest[:8]}.safetensors"
    known = manifest(folder)  # before anything is written
    old = known.setdefault(kind, {}).get(name)
    known[kind][name] = {"file": path.name, "sha256": digest, **facts}
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)
    write_whole(folder / MANIFEST, json.dumps(known, indent=2) + "\n")
    if old and old["file"] != path.name:
        (folder / Path(old["file"]).name).unlink(missing_ok=True)
    return path
