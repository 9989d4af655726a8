"""Reading published ``.pth`` files: bare state dicts, whatever their prefixes and aliases."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.bundle import load_strict
from models.errors import BundleError

_COUNTER = "num_batches_tracked"


def read(path: Path, inside: str | None = None) -> dict[str, Tensor]:
    """The tensors of a state dict, without the leading ``module.`` that DataParallel adds to every
    key. ``inside``: where a training state holds the state dict, if the file is one.

    Raises BundleError when the file is missing, cut off, holds anything but tensors, or would run
    code.
    """
    loaded = _loaded(path)
    if inside and isinstance(loaded, Mapping) and isinstance(loaded.get(inside), Mapping):
        loaded = loaded[inside]
    if not isinstance(loaded, Mapping) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise BundleError(
            f"{path} holds no state dict (names and tensors); give the file that upstream "
            f"published."
        )
    state = {str(k): v for k, v in loaded.items()}
    if state and all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def _loaded(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise BundleError(f"There is no file {path}.") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise BundleError(f"{path} is not a readable checkpoint of tensors: {reason}") from error


def read_beside(path: Path, inside: str) -> dict[str, Any]:
    """What a training state holds beside the state dict under ``inside``: numbers, texts and
    dictionaries of these. Nothing, if the file is no training state. Raises BundleError.
    """
    loaded = _loaded(path)
    if not isinstance(loaded, Mapping) or inside not in loaded:
        return {}
    return {str(key): value for key, value in loaded.items() if key != inside and _plain(value)}


def _plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _plain(v) for key, v in value.items())
    return value is None or isinstance(value, bool | int | float | str)


def drop_aliases(
    state: Mapping[str, Tensor], canonical: Callable[[str], str], what: str
) -> dict[str, Tensor]:
    """Rename every key by ``canonical``; keys that meet must hold the same numbers, else
    BundleError.
    """
    kept: dict[str, Tensor] = {}
    for key, value in state.items():
        name = canonical(key)
        if name in kept and not torch.equal(kept[name], value):
            raise BundleError(
                f"{what}: {key} and its alias {name} hold different numbers; the file is damaged."
            )
        kept.setdefault(name, value)
    return kept


def fit(module: nn.Module, state: Mapping[str, Tensor], what: str) -> nn.Module:
    """Load strictly; only batch counters, which files from before torch 0.4.1 lack, may be
    missing.
    """
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


def count(state: Mapping[str, Tensor], pattern: str, what: str) -> int:
    """How many of ``pattern.format(0)``, ``pattern.format(1)``, … there are, one at least."""
    number = 0
    while any(key.startswith(pattern.format(number)) for key in state):
        number += 1
    if not number:
        need(state, pattern.format(0), what)
    return number
