"""What the gateway knows of the weights: the JSON files of each bundle, never a tensor."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from jobs.captions import NO_WORDS, EncodedCaption, Vocabulary, Word
from jobs.errors import BundlesError
from jobs.requests import CANDIDATE_RANKER, MAX_NOISE_SCALE, TASKS, Fidelity

DEFAULTS = "defaults.json"  # beside the bundles: a bundle's name for each task


class Serving(BaseModel):
    """What requests of a task get that leave these options open: the part ``serving`` of a task in
    ``bundle.json``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    noise_scale: Annotated[float, Field(ge=0, le=MAX_NOISE_SCALE, allow_inf_nan=False)] = 1.0
    candidates: Annotated[int, Field(ge=1, le=16)] = 1
    fidelity: Fidelity | None = None


@dataclass(frozen=True)
class BundleTask:
    """One task of one bundle. parts: everything that the bundle holds, the encoders of no task
    included; upscale: by how much its detail stage enlarges what the networks make.
    """

    task: str
    bundle: str
    folder: Path
    spec: Mapping[str, Any] = field(repr=False)
    parts: frozenset[str] = frozenset()
    upscale: int = 1
    sha256: str = ""  # of the bundle

    @property
    def method(self) -> str:
        return str(self.spec["method"])

    @property
    def methods(self) -> tuple[str, ...]:
        """The network's method first, then those that need no weights."""
        return (self.method, *self.spec.get("classical", ()))

    @property
    def methods_without_text(self) -> tuple[str, ...]:
        """The methods that look at no word of a request."""
        return self.methods if self.spec.get("reads_text") is False else self.methods[1:]

    @property
    def size(self) -> int:
        """Native side in pixels."""
        return int(self.spec["size"])

    @property
    def max_size(self) -> int:
        """The largest side that pictures of text alone can have, in pixels."""
        return self.size * self.upscale

    def size_problem(self, size: int | None) -> str | None:
        """Why no picture of ``size`` can be made, in a sentence; None when it can. An edit has any
        size, as a photo has.
        """
        if size is None or size <= self.max_size or TASKS[self.task].images:
            return None
        return (
            f"Bundle {self.bundle!r} makes pictures of up to {self.max_size} pixels, not {size}; "
            "ask for a smaller size, or leave it out."
        )

    @property
    def max_words(self) -> int:
        return int(self.spec.get("max_words", 0))

    @property
    def tokenizer(self) -> str:
        return str(self.spec.get("tokenizer", "regexp"))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Raises ValueError when it is not the one that ``bundle.json`` means. Without words where
        no text is read.
        """
        if self.spec.get("reads_text") is False and "vocabulary" not in self.spec:
            return NO_WORDS
        name, digest = str(self.spec["vocabulary"]), self.spec.get("vocabulary_sha256")
        if Path(name).name != name or name == "..":
            raise ValueError(f"{name!r} is no file in the folder of bundle {self.bundle!r}")
        data = (self.folder / name).read_bytes()
        if digest and hashlib.sha256(data).hexdigest() != digest:
            raise ValueError(
                f"{name} of bundle {self.bundle!r} is not the file that its bundle.json names; get "
                "both again"
            )
        return Vocabulary(json.loads(data)["words"])

    @cached_property
    def serving(self) -> Mapping[str, Any]:
        """Values for the fields of requests that leave them to the bundle. Raises ValueError."""
        found = Serving.model_validate(self.spec.get("serving", {})).model_dump()
        if not self.ranks_candidates:
            found["candidates"] = 1
        return {name: found[name] for name in TASKS[self.task].serving}

    @property
    def ranks_candidates(self) -> bool:
        """Whether the bundle holds what chooses among candidates."""
        return CANDIDATE_RANKER in self.parts

    def explanation_problem(self, method: str) -> str | None:
        """Why pictures of ``method`` can't be explained, in a sentence; None when they can."""
        needed = TASKS[self.task].explained_by
        if needed is None:
            return f"{self.task} explains no pictures; leave explain out."
        if self.spec.get("explains") is False:
            return f"Bundle {self.bundle!r} explains no edits by {self.method}; leave explain out."
        if method in self.methods_without_text:
            other = self.method not in self.methods_without_text
            return (
                f"Method {method!r} does not look at words, so there is nothing to explain; leave "
                "explain out" + (f", or use method {self.method!r}." if other else ".")
            )
        own = self.spec.get("explains") is True
        if missing := [part for part in needed if part not in self.parts and not own]:
            return (
                f"Bundle {self.bundle!r} lacks {', '.join(missing)}, which would look at the "
                "picture; leave explain out, or add it to the bundle."
            )
        return None

    def encode(self, text: str) -> EncodedCaption:
        return self.vocabulary.encode(text, tokenizer=self.tokenizer, max_words=self.max_words)

    def read(self, text: str) -> tuple[Word, ...]:
        """Every word of the text with its place, those that are left out as well."""
        return self.vocabulary.read(text, tokenizer=self.tokenizer, max_words=self.max_words)


@dataclass(frozen=True)
class BundleInfo:
    """One bundle's description. sha256: of its ``bundle.json``, which names every file by its
    own.
    """

    name: str
    domain: str
    licence: str
    sha256: str
    tasks: Mapping[str, BundleTask]
    metrics: Mapping[str, Any]
    folder: Path

    @classmethod
    def read(cls, folder: Path) -> BundleInfo:
        """Parse ``folder/bundle.json``."""
        path = folder / "bundle.json"
        try:
            data = path.read_bytes()
            raw, digest = json.loads(data), hashlib.sha256(data).hexdigest()
            parts = frozenset(raw["tasks"])
            enlarges = int(raw["tasks"].get("detail", {}).get("network", {}).get("scale", 1))
            tasks = {
                task: BundleTask(task, folder.name, folder, spec, parts, enlarges, digest)
                for task, spec in raw["tasks"].items()
                if task in TASKS
            }
            for task in tasks.values():
                _ = task.serving  # read now, so that a fault is found before a request comes
            return cls(
                folder.name,
                raw.get("domain", ""),
                raw.get("licence", ""),
                digest,
                tasks,
                raw.get("metrics", {}),
                folder,
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundlesError(f"{path} can't be read: {error!r}") from error

    def licence_of(self, task: str) -> str:
        """That of the task, else of the bundle."""
        return str(self.tasks[task].spec.get("licence", self.licence))

    def licensed(self, licences: Collection[str]) -> BundleInfo:
        """With those of its tasks whose licence is among these; with all if there are none."""
        kept = {n: t for n, t in self.tasks.items() if self.licence_of(n) in licences}
        return replace(self, tasks=kept) if licences else self


class Catalogue:
    """The bundles of one folder, and which serves a task by default."""

    def __init__(self, bundles: Mapping[str, BundleInfo], defaults: Mapping[str, str]) -> None:
        self.bundles = dict(sorted(bundles.items()))
        self._defaults = dict(defaults)

    @classmethod
    def open(
        cls, folder: Path, defaults: Mapping[str, str] | None = None, licences: Collection[str] = ()
    ) -> Catalogue:
        """Read every ``folder/*/bundle.json``. ``defaults`` go before the folder's own, which count
        where the bundle is there; ``licences``: of the tasks that are served, none for any.
        """
        paths = sorted(folder.glob("*/bundle.json"))
        read = [BundleInfo.read(p.parent).licensed(licences) for p in paths]
        bundles = {info.name: info for info in read if info.tasks or not licences}
        own = {
            task: name
            for task, name in _own_defaults(folder).items()
            if name in bundles and task in bundles[name].tasks
        }
        return cls(bundles, own | dict(defaults or {}))

    def default(self, task: str) -> str | None:
        """The bundle of ``task`` when none is asked for: as set, else the first that offers it."""
        chosen = self._defaults.get(task)
        if chosen:
            return chosen
        return next((b.name for b in self.bundles.values() if task in b.tasks), None)

    def find(self, task: str, bundle: str | None) -> BundleTask | None:
        info = self.bundles.get(bundle or self.default(task) or "")
        return info.tasks.get(task) if info else None

    def bundles_offering(self, task: str) -> list[str]:
        return [b.name for b in self.bundles.values() if task in b.tasks]


def _own_defaults(folder: Path) -> dict[str, str]:
    """What ``folder/defaults.json`` says, a bundle for each task; nothing when there is none."""
    path = folder / DEFAULTS
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BundlesError(f"{path} can't be read: {error!r}") from error
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise BundlesError(f'{path} must name a bundle for each task: {{"inpaint": "cub"}}.')
    return found
