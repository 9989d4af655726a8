"""What a method's folder reads of its published files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Published:
    """size: of pictures, in pixels; network: the configuration for ``bundle.json``; roles: networks
    by role; words: the vocabulary, ``<end>`` first, None for a method that reads no text;
    max_words: captions are cut there; more: further fields of the task in ``bundle.json``; notes:
    lines for the card.
    """

    size: int
    network: Mapping[str, Any]
    roles: Mapping[str, nn.Module]
    words: Sequence[str] | None = None
    max_words: int = 0
    more: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
