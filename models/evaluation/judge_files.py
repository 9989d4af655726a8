"""``judges.json``: which judging networks a folder holds, each by name and sha256.

``{"attributes": {"aviary": {"file", "sha256", "accuracy", …}}, "encoders": {DATA: {…}}}``
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.data.aviary_set import cache_folder
from models.errors import ModelsError

JUDGES = Path(__file__).parents[2] / "weights" / "judges"
MANIFEST = "judges.json"


class JudgeError(ModelsError):
    """A judging network's file is missing, damaged or of another kind; the text says which."""


def manifest(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """The folder's ``judges.json``, or an empty one."""
    path = folder / MANIFEST
    if not path.exists():
        return {}
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise JudgeError(f"{path} is not JSON: {error}.") from error
    kinds = raw.values() if isinstance(raw, dict) else [None]
    judges = [j for kind in kinds for j in (kind.values() if isinstance(kind, dict) else [None])]
    if not all(isinstance(j, dict) and {"file", "sha256"} <= j.keys() for j in judges):
        raise JudgeError(f"{path} must hold objects by kind and name, each with file and sha256.")
    return dict(raw)


def entry(folder: Path, kind: str, name: str) -> dict[str, Any] | None:
    """What the folder says about one judge, or None when it has none."""
    return manifest(folder).get(kind, {}).get(name)


def places(folder: Path | None) -> list[Path]:
    """Where judges are looked for, in order: ``folder``, the shipped ones, the user's cache."""
    return [*([folder] if folder else []), JUDGES, cache_folder() / "judges"]


def checked(folder: Path, found: Mapping[str, Any]) -> bytes:
    """The bytes of an entry's file. Raises JudgeError when they are not what the entry says."""
    path = folder / Path(str(found["file"])).name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise JudgeError(f"{path} can't be read: {error}.") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != found["sha256"]:
        raise JudgeError(
            f"{path} has sha256 {digest[:12]}…, but {MANIFEST} says "
            f"{str(found['sha256'])[:12]}…; make it again or restore it."
        )
    return data


def add_entry(
    folder: Path, kind: str, name: str, stem: str, data: bytes, facts: Mapping[str, object]
) -> Path:
    """Write ``NAME-STEM-HASH8.safetensors`` and its entry; an older file of the entry goes."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(data).hexdigest()
    path = folder / f"{name}-{stem}-{digest[:8]}.safetensors"
    path.write_bytes(data)
    known = manifest(folder)
    old = known.setdefault(kind, {}).get(name)
    known[kind][name] = {"file": path.name, "sha256": digest, **facts}
    (folder / MANIFEST).write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    if old and old["file"] != path.name:
        (folder / Path(old["file"]).name).unlink(missing_ok=True)
    return path
