"""What a method's folder reads of its published files, and where these folders lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from torch import nn

from models.registry import MethodFolder, method_folders

UNCUT = 500  # words: no caption of a request is longer, and the authors' generation cuts none
# Of the methods that bundles had first, and of the encoders that no pipeline is needed for.
_FIRST = {
    "manigan": MethodFolder("manipulate", import_module("models.manipulation.manigan")),
    "tdanet": MethodFolder("inpaint", import_module("models.inpainting.tdanet")),
    "efficient-t2i": MethodFolder("synthesize", import_module("models.synthesis.efficient_t2i")),
    "damsm": MethodFolder("damsm", import_module("models.damsm")),
}


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


def published_folder(method: str) -> MethodFolder:
    """The folder whose ``official.py`` has ``read_published`` and ``published_files``."""
    return {**_FIRST, **method_folders()}[method]
