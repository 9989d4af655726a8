"""The vocabulary of AttnGAN's ``captions.pickle``, by an unpickler of plain values only."""

import pickle
from pathlib import Path
from typing import Any

from jobs.captions import END
from models.errors import BundleError
from models.files import what_it_is


class _PlainUnpickler(pickle.Unpickler):
    """Numbers, texts, lists and dictionaries need no class, so every look-up of one is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(
            f"it asks for {module}.{name}, which a list of captions never does"
        )


def read_words(path: Path) -> list[str]:
    """Words by index, ``<end>`` first. Raises BundleError for a hostile file, or another."""
    try:
        with path.open("rb") as file:
            # Written by Python 2: its texts are bytes.
            loaded = _PlainUnpickler(file, encoding="latin1").load()
    except FileNotFoundError as error:
        raise BundleError(f"There is no file {path}.") from error
    except Exception as error:  # a broken pickle can raise anything
        message = what_it_is(path)
        if message:
            raise BundleError(f"{path} {message}: it should be the captions file.") from error
        raise BundleError(f"{path} is refused: {error}.") from error
    if not isinstance(loaded, list | tuple) or len(loaded) < 4 or not isinstance(loaded[2], dict):
        raise BundleError(f"{path} is no captions file: it must hold captions and two word lists.")
    index = loaded[2]
    if set(index) != set(range(len(index))):
        raise BundleError(f"{path}: its words are not numbered from 0 without gaps.")
    words = [_text(path, index[k]) for k in range(len(index))]
    words[0] = END
    return words


def _text(path: Path, word: object) -> str:
    """A word; one saved again from Python 2 is bytes."""
    if isinstance(word, bytes):
        return word.decode("utf-8", "replace")
    if not isinstance(word, str):
        raise BundleError(f"{path}: its list of words holds {word!r}, which is no text.")
    return word
