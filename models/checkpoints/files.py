"""Reading published ``.pth`` files: bare state dicts, whatever their prefixes and aliases."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from models.bundle import load_strict
from models.errors import BundleError
from models.files import is_safetensors, torch_reason, what_it_is

_BESIDE = ("numpy", "argparse", "pathlib", "datetime")  # modules of what is left beside weights
_COUNTER = "num_batches_tracked"


class _Ignored:
    """Stands for an object that nobody looks at; nothing of the real one is made or called."""

    def __new__(cls, *args: object, **kwargs: object) -> _Ignored:  # noqa: ARG004
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        pass


def read(path: Path, inside: str | None = None) -> dict[str, Tensor]:
    """The tensors of a state dict, without the leading ``module.`` that DataParallel adds to every
    key (and torch.compile's ``_orig_mod.``). ``inside``: where a training state holds the state
    dict, if the file is one; without it, the only state dict that there is.

    Raises BundleError when the file is missing, cut off, holds anything but tensors, or would run
    code.
    """
    loaded = _load(path)
    if inside and isinstance(loaded, Mapping) and isinstance(loaded.get(inside), Mapping):
        loaded = loaded[inside]
    state = {str(key): value for key, value in _state_dict(path, loaded).items()}
    _check_sizes(path, state)
    for prefix in ("module.", "_orig_mod."):
        if state and all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _load(path: Path) -> Any:
    if not path.exists():
        raise BundleError(f"There is no file {path}.")
    try:
        if is_safetensors(path):
            return safetensors.torch.load_file(path)
        with torch.serialization.safe_globals(_ignored_globals(path)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        message = what_it_is(path) or f"is not a readable checkpoint of tensors: {_reason(error)}"
        raise BundleError(f"{path} {message}.") from error


def _ignored_globals(path: Path) -> list[Any]:
    """For what training programs leave beside weights: counters of numpy, options, paths, dates."""
    try:
        asked = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError):
        return []  # no file of torch's, or one from before 1.6
    return [(_Ignored, name) for name in asked if name.split(".")[0] in _BESIDE]


def _reason(error: Exception) -> str:
    """Torch's in one sentence: its own advice, to trust the file, is none that we give."""
    if asked := re.search(r"GLOBAL (\S+)", str(error)):
        return (
            f"it holds Python objects ({asked[1]}), which could run code. Where it was made, save "
            "the state dict alone: torch.save(network.state_dict(), FILE)"
        )
    return torch_reason(error)


def _state_dict(path: Path, loaded: Any) -> Mapping[str, Tensor]:
    if _is_state(loaded):
        return dict(loaded)
    held = dict(loaded) if isinstance(loaded, Mapping) else {}
    states = {str(key): value for key, value in held.items() if value and _is_state(value)}
    if len(states) == 1:
        return dict(*states.values())
    found = ", ".join(map(str, list(held)[:8])) or type(loaded).__name__
    raise BundleError(
        f"{path} holds no state dict (names and tensors) but {found}; give the file that upstream "
        "published."
    )


def _check_sizes(path: Path, state: Mapping[str, Tensor]) -> None:
    """A tensor may repeat few numbers of its file by strides of zero, without end."""
    for key, value in state.items():
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise BundleError(
                f"{path}: {key} claims {value.numel()} numbers and holds fewer. Save it again from "
                "a contiguous tensor."
            )


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(v, Tensor) for v in value.values())


def read_beside(path: Path, inside: str) -> dict[str, Any]:
    """What a training state holds beside the state dict under ``inside``: numbers, texts and
    dictionaries of these. Nothing, if the file is no training state. Raises BundleError.
    """
    loaded = _load(path)
    if not isinstance(loaded, Mapping) or inside not in loaded:
        return {}
    return {str(key): value for key, value in loaded.items() if key != inside and _plain(value)}


def _plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _plain(v) for key, v in value.items())
    return value is None or isinstance(value, bool | int | float | str)


def drop_aliases(
    state: Mapping[str, Tensor], aliases: Mapping[str, str], what: str
) -> dict[str, Tensor]:
    """Every tensor once, by its own name; aliases: beginnings of keys, alias -> own. Raises
    BundleError when a tensor and its alias differ.
    """
    kept: dict[str, Tensor] = {}
    for key, value in state.items():
        alias = next((start for start in aliases if key.startswith(start)), "")
        name = aliases.get(alias, "") + key.removeprefix(alias)
        if name in kept and not torch.equal(kept[name], value):
            raise BundleError(
                f"{what}: {key} and its alias {name} hold different numbers; the file is damaged."
            )
        kept.setdefault(name, value)
    return kept


def add_aliases(state: Mapping[str, Tensor], aliases: Mapping[str, str]) -> dict[str, Tensor]:
    """The opposite: every tensor by its own name and by its aliases."""
    found = dict(state)
    for alias, own in aliases.items():
        found |= {alias + k.removeprefix(own): v for k, v in state.items() if k.startswith(own)}
    return found


def fit(module: nn.Module, state: Mapping[str, Tensor], what: str) -> nn.Module:
    """Load strictly; only batch counters may be missing, as before torch 0.4.1."""
    own = module.state_dict()
    counters = {k: torch.zeros_like(v) for k, v in own.items() if k.endswith(_COUNTER)}
    load_strict(module, {**counters, **state}, what)
    return module.eval()


def need(state: Mapping[str, Tensor], key: str, what: str) -> Tensor:
    """The tensor ``key``, from whose shape sizes are inferred."""
    if key not in state:
        some = ", ".join(sorted(state)[:4]) or "nothing"
        raise BundleError(
            f"{what}: the file has no {key!r}, so it is of another kind; it starts with {some}."
        )
    return state[key]


def count(state: Mapping[str, Tensor], pattern: str, what: str, start: int = 0) -> int:
    """How many of ``pattern.format(start)``, ``… + 1``, … there are, one at least."""
    number = start
    while any(key.startswith(pattern.format(number)) for key in state):
        number += 1
    if number == start:
        need(state, pattern.format(start), what)
    return number - start
