"""A bundle: one folder with `bundle.json`, vocabularies and `*.safetensors`; nothing is pickled.

Weight files carry a part of their sha256 in their names and `bundle.json` is replaced last, so a
reader always sees either the old bundle or the new one, and equal files are stored once.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from jobs.captions import NO_WORDS, Vocabulary
from models.errors import BundleError, UnknownBundle
from models.files import exclusive, what_it_is, write_whole

C = TypeVar("C")

FORMAT = 1
MANIFEST = "bundle.json"
_HALF_LIMIT = torch.finfo(torch.float16).max
_WITHOUT_WORDS = {"max_words": 0, "tokenizer": "regexp", "vocabulary": "", "text_encoder": {}}
_LISTED = 8  # names of each kind shown in an error before "and N more"


@dataclass(frozen=True)
class TaskSpec:
    """One task's part of `bundle.json`.

    size: native side length in pixels. network, text_encoder, image_encoder: keyword arguments of
    the config classes. files: role -> {"path", "sha256"}. classical: weightless methods offered.
    serving: fields of :class:`models.item.Item` for requests that leave them open. reads_text:
    False for a method without words; it may lack vocabulary, tokenizer, max_words, text_encoder.
    min_words: a caption with fewer known words is read several times over, until it has as many;
    for networks that never saw captions as short.
    """

    method: str
    size: int
    max_words: int
    tokenizer: str
    vocabulary: str
    network: dict[str, Any]
    text_encoder: dict[str, Any]
    image_encoder: dict[str, Any] | None
    files: dict[str, dict[str, str]]
    classical: tuple[str, ...] = ()
    serving: dict[str, Any] = field(default_factory=dict)
    licence: str = ""
    reads_text: bool = True
    min_words: int = 0
    raw: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: Mapping[str, Any], where: str) -> TaskSpec:
        """Check and read one task's dictionary. Raises BundleError naming the faulty field."""
        reads_text = raw.get("reads_text", True) is not False
        need = _Fields(raw if reads_text else {**_WITHOUT_WORDS, **raw}, where)
        return cls(
            method=need.get("method", str),
            size=need.get("size", int),
            max_words=need.get("max_words", int),
            tokenizer=need.get("tokenizer", str),
            vocabulary=need.get("vocabulary", str),
            network=need.get("network", dict),
            text_encoder=need.get("text_encoder", dict),
            image_encoder=need.get("image_encoder", dict) if raw.get("image_encoder") else None,
            files=need.get("files", dict),
            classical=tuple(raw.get("classical", ())),
            serving=need.get("serving", dict) if "serving" in raw else {},
            licence=str(raw.get("licence", "")),
            reads_text=reads_text,
            min_words=need.get("min_words", int) if "min_words" in raw else 0,
            raw=dict(raw),
        )

    @property
    def methods(self) -> tuple[str, ...]:
        """The trained method first, then the weightless ones."""
        return (self.method, *self.classical)


@dataclass(frozen=True)
class Bundle:
    """An opened bundle. `sha256` is that of `bundle.json`, which names the sha256 of every file."""

    folder: Path
    name: str
    domain: str
    sha256: str
    tasks: dict[str, TaskSpec]
    raw: dict[str, Any]

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Bundle:
        """Read and check `bundle.json` (weights are read, and their sha256 checked, by `state`)."""
        path = Path(folder)
        raw, digest = _read_manifest(path / MANIFEST)
        need = _Fields(raw, MANIFEST)
        if need.get("format", int) != FORMAT:
            raise BundleError(
                f"{path} has bundle format {raw['format']}; this version reads format {FORMAT}."
            )
        tasks = {
            task: TaskSpec.parse(_as_dict(spec, f"tasks.{task}"), f"{MANIFEST} tasks.{task}")
            for task, spec in need.get("tasks", dict).items()
        }
        return cls(
            folder=path,
            name=need.get("name", str),
            domain=str(raw.get("domain", "")),
            sha256=digest,
            tasks=tasks,
            raw=raw,
        )

    def task(self, task: str) -> TaskSpec:
        """The task's part. Raises UnknownBundle when this bundle does not offer it."""
        if task not in self.tasks:
            offered = ", ".join(sorted(self.tasks)) or "nothing"
            raise UnknownBundle(f"Bundle {self.name!r} does not offer {task!r}; it has {offered}.")
        return self.tasks[task]

    def state(self, task: str, role: str) -> dict[str, Tensor]:
        """Weights of one role as float32 (integers as stored), after checking their sha256."""
        stored = self.stored(task, role)
        return {k: v.float() if v.is_floating_point() else v for k, v in stored.items()}

    def stored(self, task: str, role: str) -> dict[str, Tensor]:
        """The same as they are stored: rounded ones are float16."""
        files = self.task(task).files
        if role not in files:
            raise BundleError(
                f"Bundle {self.name!r} lists no {role!r} file for {task!r}; "
                f"it lists {', '.join(sorted(files)) or 'none'}."
            )
        entry = _Fields(_as_dict(files[role], role), f"tasks.{task}.files.{role}")
        data = self._read(entry.get("path", str), entry.get("sha256", str))
        try:
            return safetensors.torch.load(data)
        except SafetensorError as error:
            raise BundleError(f"{entry.raw['path']} is not a safetensors file: {error}") from error

    def vocabulary(self, task: str) -> Vocabulary:
        """The words that the task knows; none where its method reads no text."""
        return Vocabulary.load(self.vocabulary_path(task)) if self.has_words(task) else NO_WORDS

    def has_words(self, task: str) -> bool:
        """Whether the task has a vocabulary, which one that reads no text may lack."""
        return bool(self.task(task).vocabulary)

    def vocabulary_path(self, task: str) -> Path:
        """The vocabulary file of the task, checked when `bundle.json` gives its sha256."""
        spec = self.task(task)
        expected = spec.raw.get("vocabulary_sha256")
        self._read(spec.vocabulary, str(expected) if expected else None)
        return self.folder / spec.vocabulary

    def _read(self, name: str, sha256: str | None) -> bytes:
        if Path(name).name != name:
            raise BundleError(f"{self.folder / MANIFEST} names {name!r}: files lie in the bundle.")
        try:
            data = (self.folder / name).read_bytes()
        except OSError as error:
            raise BundleError(f"Bundle {self.name!r}: cannot read {name}: {error}.") from error
        if sha256 is not None and _sha256(data) != sha256:
            if message := what_it_is(self.folder / name, wanted=".safetensors"):
                raise BundleError(f"Bundle {self.name!r}: {name} {message}.")
            raise BundleError(
                f"Bundle {self.name!r}: {name} has sha256 {_sha256(data)[:12]}…, "
                f"but {MANIFEST} says {sha256[:12]}…; the file is damaged or of another version."
            )
        return data


def load_strict(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Load `state` into `module`. Raises BundleError with missing, unexpected, misshapen keys."""
    own = module.state_dict()
    missing = sorted(own.keys() - state.keys())
    unexpected = sorted(state.keys() - own.keys())
    shapes = sorted(
        f"{key} (file {list(state[key].shape)}, network {list(own[key].shape)})"
        for key in own.keys() & state.keys()
        if state[key].shape != own[key].shape
    )
    faults = {"missing": missing, "unexpected": unexpected, "wrong shape": shapes}
    if any(faults.values()):
        message = "; ".join(f"{kind}: {_shorten(keys)}" for kind, keys in faults.items() if keys)
        raise BundleError(f"Weights of {what} do not fit the network. {message}.")
    module.load_state_dict(dict(state), strict=True)


def config_from(cls: type[C], raw: Mapping[str, Any], where: str) -> C:
    """A network's configuration from ``bundle.json``; lists become tuples. Raises BundleError."""
    unknown = sorted(raw.keys() - {f.name for f in fields(cls)})  # type: ignore[arg-type]
    if unknown:
        raise BundleError(
            f"{where} has unknown options {', '.join(unknown)}; a newer version may have "
            f"written it."
        )
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()})


def save_task(
    folder: str | os.PathLike[str],
    task: str,
    spec: Mapping[str, Any],
    states: Mapping[str, Mapping[str, Tensor]],
    *,
    name: str | None = None,
    domain: str = "",
    licence: str = "",
    words: Sequence[str] | None = None,
    half: bool = False,
    metrics: Mapping[str, Any] | None = None,
) -> Bundle:
    """Add one task to a bundle folder, or replace it; returns the bundle as it now is.

    spec: the task's dictionary without `files` (`vocabulary` may be left out when words is given).
    states: role -> state dict. words: the vocabulary, index 0 = "<end>". half: matrices and kernels
    are stored as float16, vectors (biases, norms) stay float32; without it all are float32, but
    those that are float16 already. metrics: kept under metrics[task]. A crash at any moment leaves
    the old bundle whole.

    Raises BundleError for values that are not finite and for a faulty spec; nothing is written.
    """
    path = Path(folder)
    files = {role: _weights_file(role, state, half) for role, state in states.items()}
    own_words = {} if words is None else {"vocabulary": ""}
    TaskSpec.parse({**spec, **own_words, "files": {}}, f"the spec of {task}")
    path.mkdir(parents=True, exist_ok=True)
    with exclusive(path):  # two training runs may export into one folder
        raw = _existing(path, name, domain, licence)
        entry = dict(spec)
        if words is not None:
            entry |= _save_words(path, words)
        entry["files"] = {r: _save_weights(path, task, r, d, raw) for r, d in files.items()}
        raw["tasks"][task] = entry
        if metrics is not None:
            raw["metrics"][task] = dict(metrics)
        text = json.dumps(raw, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        write_whole(path / MANIFEST, text.encode())
        _drop_unused(path, raw)
    return Bundle.open(path)


def _weights_file(role: str, state: Mapping[str, Tensor], half: bool) -> bytes:
    return safetensors.torch.save({k: _stored(v, half, f"{role}.{k}") for k, v in state.items()})


def _save_weights(
    folder: Path, task: str, role: str, data: bytes, raw: Mapping[str, Any]
) -> dict[str, str]:
    digest = _sha256(data)
    for other in raw["tasks"].values():  # the same encoder in three tasks is one file
        for known in other.get("files", {}).values():
            if known["sha256"] == digest and (folder / known["path"]).exists():
                return dict(known)
    name = f"{task}-{role}-{digest[:8]}.safetensors"
    write_whole(folder / name, data)
    return {"path": name, "sha256": digest}


def _stored(value: Tensor, half: bool, key: str) -> Tensor:
    value = value.detach().to("cpu", copy=True).contiguous()
    if not value.is_floating_point():
        return value
    if not bool(torch.isfinite(value).all()):
        raise BundleError(f"{key} holds values that are not finite; a broken model is not saved.")
    if value.dtype == torch.float16:
        return value
    if not half or value.ndim < 2:
        return value.float()
    if float(value.abs().max()) > _HALF_LIMIT:
        return value.float()
    return value.half()


def _save_words(folder: Path, words: Sequence[str]) -> dict[str, str]:
    data = (json.dumps({"words": list(words)}, ensure_ascii=False) + "\n").encode()
    path = folder / "vocabulary.json"
    if path.exists() and path.read_bytes() != data:
        path = folder / f"vocabulary-{_sha256(data)[:8]}.json"
    write_whole(path, data)
    return {"vocabulary": path.name, "vocabulary_sha256": _sha256(data)}


def _existing(folder: Path, name: str | None, domain: str, licence: str) -> dict[str, Any]:
    raw: dict[str, Any] = {"format": FORMAT, "name": name or folder.resolve().name}
    if (folder / MANIFEST).exists():
        Bundle.open(folder)  # never write over what this version does not understand
        raw = _read_manifest(folder / MANIFEST)[0]
    given = {"name": name, "domain": domain, "licence": licence}
    raw |= {key: value for key, value in given.items() if value}
    for key in ("tasks", "metrics"):
        raw.setdefault(key, {})
    return raw


def _drop_unused(folder: Path, raw: Mapping[str, Any]) -> None:
    used = {f["path"] for task in raw["tasks"].values() for f in task["files"].values()}
    used |= {task.get("vocabulary") for task in raw["tasks"].values()}
    for path in (*folder.glob("*.safetensors"), *folder.glob("vocabulary-*.json")):
        if path.name not in used:
            path.unlink()


def _read_manifest(path: Path) -> tuple[dict[str, Any], str]:
    try:
        data = path.read_bytes()
        return _as_dict(json.loads(data), str(path)), _sha256(data)
    except FileNotFoundError:
        own = path.parent / "bundle"  # of a run's folder
        hint = f"; there is one at {own}" if (own / path.name).exists() else ""
        raise UnknownBundle(f"There is no bundle at {path.parent}{hint}.") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}.") from error


def _as_dict(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BundleError(f"{where} must be a JSON object, not {type(value).__name__}.")
    return value


class _Fields:
    """Typed access to one JSON object, with the place in the error."""

    def __init__(self, raw: Mapping[str, Any], where: str) -> None:
        self.raw, self.where = raw, where

    def get(self, key: str, kind: type) -> Any:
        value = self.raw.get(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            found = "nothing" if value is None else type(value).__name__
            raise BundleError(f"{self.where}: {key!r} must be {kind.__name__}, found {found}.")
        return value


def _shorten(names: Sequence[str]) -> str:
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
