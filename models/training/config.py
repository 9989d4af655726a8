"""Options of a training: a preset, then the command line; unknown keys are refused."""

from __future__ import annotations

import math
import sys
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

from models.errors import ModelsError

PRESETS = Path(__file__).parent.parent / "presets"
_OF_METHODS = "*/*/presets/*.toml"  # beside it, in the methods' own folders
T = TypeVar("T")


class ConfigError(ModelsError):
    """An option is unknown or has the wrong type; the message names it and the ones that exist."""


_COUNTS = ("batch", "accumulate", "size", "threads", "nodes")
_EVERY = ("log_every", "preview_every", "snapshot_every")
_LIMITS = ("minutes", "steps", "samples", "captions", "settle_batches", "devices", "warmup", "seed")
_LEAST = dict.fromkeys((*_COUNTS, *_EVERY), 1) | dict.fromkeys(_LIMITS, 0) | {"workers": -1}
# Options by the names that presets and run folders of earlier versions have for them.
RENAMED = {
    "alone": "warmup_steps",
    "rebuild": "reconstruction_weight",
    "rebuild_until": "reconstruction_until",
    "reach": "saturation_weight",
    "divergence": "kl_weight",
    "look": "discriminator_size",
    "hole": "hole_weight",
    "settled": "mean_fill_weight",
}
_TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_SEEDS = 2**63  # torch takes no larger numbers
_PRECISIONS = ("32-true", "bf16-mixed", "bf16-true", "64-true")


@dataclass(frozen=True)
class LoopOptions:
    """What the loop itself needs. minutes and steps: whichever comes first; 0 means no such limit.

    batch: samples of one step, over all processes; accumulate: slices that each process takes its
    share in; samples: geometries or photos used of the data set, 0 for all; size: side of the
    pictures in pixels; captions: further captions of each picture, for mixing sentences; devices:
    processes on this machine, 0 for one; workers: processes that make batches, -1 for as many as
    pay (:mod:`models.training.loader`); nodes: machines; precision: bf16-mixed
    or 32-true; settle_batches: batches that re-estimate the averages' batch statistics; warmup:
    steps over which the learning rate rises to its own; schedule: constant, or cosine, which brings
    it to zero at ``steps``.
    """

    batch: int = 32
    accumulate: int = 1
    minutes: float = 0.0
    steps: int = 0
    seed: int = 0
    size: int = 64
    samples: int = 0
    captions: int = 0
    ema: float = 0.999
    threads: int = 2
    workers: int = -1
    log_every: int = 20
    preview_every: int = 500
    snapshot_every: int = 500
    settle_batches: int = 40
    devices: int = 0
    nodes: int = 1
    precision: str = "bf16-mixed"
    channels_last: bool = True
    warmup: int = 0
    schedule: str = "constant"

    def __post_init__(self) -> None:
        """Raises ConfigError for a value that means nothing."""
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= least):
                raise ConfigError(f"loop.{name} must be a number from {least} up, not {value}.")
        if self.seed >= _SEEDS:
            raise ConfigError(f"loop.seed must be below {_SEEDS}, not {self.seed}.")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"loop.ema is a share from 0 to below 1, not {self.ema}.")
        if self.schedule not in ("constant", "cosine"):
            raise ConfigError(f"loop.schedule is constant or cosine, not {self.schedule!r}.")
        if self.precision not in _PRECISIONS:
            raise ConfigError(
                f"loop.precision is one of {', '.join(_PRECISIONS)}, not {self.precision!r}; "
                "float16 would need scaled gradients, which these trainings do not have."
            )


def preset_paths() -> dict[str, Path]:
    """Every preset's file by its name."""
    found = [*PRESETS.glob("*.toml"), *PRESETS.parent.glob(_OF_METHODS)]
    return {path.stem: path for path in sorted(found, key=lambda path: path.stem)}


def read_preset(name: str, part: str) -> dict[str, Any]:
    """The table ``[part]`` of a preset, ``[loop]`` below it: ``{"loop": …, "options": …}``."""
    path = preset_paths().get(name)
    if path is None:
        raise ConfigError(f"There is no preset {name!r}; there are {', '.join(preset_paths())}.")
    return _of_part(tomllib.loads(path.read_text(encoding="utf-8")), part, f"Preset {name!r}")


def preset_encoders(name: str) -> Path | None:
    """The bundle whose encoders a preset trains with by default, if it ships."""
    table = tomllib.loads(preset_paths()[name].read_text(encoding="utf-8"))
    folder = PRESETS.parent.parent / str(table.get("encoders", ""))
    return folder if "encoders" in table and folder.exists() else None


def _of_part(table: Mapping[str, Any], part: str, where: str) -> dict[str, Any]:
    if part not in table:
        raise ConfigError(f"{where} has no table for {part!r}.")
    own = dict(table[part])
    loop = {**table.get("loop", {}), **own.pop("loop", {})}
    return {"loop": loop, "options": own}


def merge_file(
    values: dict[str, Any], path: Path, part: str, known: Callable[[str], Collection[str]]
) -> None:
    """Lay a TOML file in a preset's layout over ``values``; it needs to hold what differs only.

    known: the options of a part, none where there is no such part. Raises ConfigError for tables
    and keys that nothing reads, those of other parts included.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} can't be read as a TOML file: {error}.") from error
    for name, own in table.items():
        _check_table(path, name, own, known)
    found = _of_part({part: {}, **table}, part, str(path))
    for name, own in found.items():
        values[name] |= own


def _check_table(
    path: Path, name: str, own: object, known: Callable[[str], Collection[str]]
) -> None:
    """Raises ConfigError unless ``[name]`` and its keys are known."""
    if name == "encoders":
        raise ConfigError(f"{path} names encoders; only presets do: say --encoders BUNDLE instead.")
    loop = {f.name for f in fields(LoopOptions)}
    keys = loop if name == "loop" else {*known(name), "loop"} if known(name) else set()
    if not keys or not isinstance(own, Mapping):
        raise ConfigError(
            f"{path}: [{name}] is no table of a training; there are [loop], [PART] and [PART.loop]."
        )
    nested = own.get("loop", {}) if name != "loop" else {}
    if not isinstance(nested, Mapping):
        raise ConfigError(f"{path}: {name}.loop must be a table.")
    unknown = [f"{name}.{key}" for key in own if RENAMED.get(key, key) not in keys]
    unknown += [f"{name}.loop.{key}" for key in nested if key not in loop]
    if unknown:
        raise ConfigError(f"{path} sets {', '.join(sorted(unknown))}, which nothing reads.")


def changed_options(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Dotted names of the options that differ between two nested mappings."""
    names = []
    for key in sorted(before.keys() | now.keys()):
        one, two = before.get(key), now.get(key)
        if isinstance(one, Mapping) and isinstance(two, Mapping):
            names += [f"{key}.{name}" for name in changed_options(one, two)]
        elif one != two:
            names.append(key)
    return names


def with_new_names(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options by their names of today; where both names are given the later one counts."""
    return {RENAMED.get(name, name): value for name, value in options.items()}


def build_options(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """An options dataclass from a mapping; unknown keys and wrong types are errors."""
    assert is_dataclass(cls)  # noqa: S101 (a programming error, not an input)
    known = {f.name: f for f in fields(cls)}
    for key in values.keys() & RENAMED.keys():
        sys.stderr.write(f"warning: {where}.{key} is called {RENAMED[key]} now\n")
    values = with_new_names(values)
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{where} has no option {key!r}; there are {', '.join(known)}.")
        default = known[key].default
        number = isinstance(default, float) and type(value) is int
        if not number and type(default) is not type(value):
            raise ConfigError(f"{where}.{key} must be {_TYPES[type(default)]}, got {value!r}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{where}.{key} must be a finite number, got {value}.")
    made = cls(**values)
    for key, field in known.items():
        value, counts = getattr(made, key), type(field.default) is int and field.default > 0
        least = int(counts and not key.endswith("_start"))  # a first step may be step 0
        if where != "loop" and isinstance(value, int | float) and value < least:  # it checks itself
            raise ConfigError(f"{where}.{key} must be {least} or more, not {value}.")
    return made


def override(values: dict[str, Any], assignments: Sequence[str]) -> None:
    """Apply ``--set loop.batch=16`` or ``--set rate=1e-3`` (values in TOML notation)."""
    for text in assignments:
        key, sep, raw = text.partition("=")
        if not sep:
            raise ConfigError(f"--set needs KEY=VALUE, got {text!r}.")
        table = "loop" if key.startswith("loop.") else "options"
        try:
            value = tomllib.loads(f"x = {raw}")["x"]
        except tomllib.TOMLDecodeError:
            value = raw
        values[table][key.removeprefix("loop.")] = value


def with_limits(options: LoopOptions, minutes: float | None, steps: int | None) -> LoopOptions:
    """The same options with limits from the command line. Raises ConfigError for none at all."""
    if minutes is not None:
        options = replace(options, minutes=minutes, steps=steps or 0)
    elif steps is not None:
        options = replace(options, minutes=0.0, steps=steps)
    if not (options.minutes or options.steps):
        raise ConfigError("Say when training ends: --minutes or --steps.")
    check_schedule(options)
    return options


def check_schedule(options: LoopOptions) -> None:
    """Raises ConfigError for a schedule without its end."""
    if options.schedule == "cosine" and not options.steps:
        raise ConfigError(
            "loop.schedule = cosine ends at the last step; it needs --steps or loop.steps."
        )


def preset_descriptions() -> dict[str, str]:
    """Preset -> the sentence that its file begins with."""
    found = {}
    for name, path in preset_paths().items():
        lines = path.read_text(encoding="utf-8").splitlines()
        comment = [line.lstrip("# ") for line in takewhile(lambda x: x.startswith("#"), lines)]
        found[name] = " ".join(comment)
    return found
