"""Word vectors for the words of a vocabulary, from the files in which others keep them."""

from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor, nn

from jobs.captions import END
from models.checkpoints.captions import read_words
from models.errors import BundleError
from models.files import head_of, what_it_is

Found = dict[str, NDArray[np.float32]]
_FASTTEXT = (793712314).to_bytes(4, "little")  # how its binary models begin


def read_vocabulary(path: Path) -> list[str]:
    """Words by index, ``<end>`` first: of a .txt file, one a line, or of AttnGAN's captions."""
    if path.suffix != ".txt":
        return read_words(path)
    lines = _lines(path)
    return [END, *dict.fromkeys(word for line in lines if (word := line.strip().lower()))]


def read_vectors(
    path: Path, words: Sequence[str], width: int = 0
) -> tuple[list[str], nn.Embedding]:
    """The words that ``path`` has a vector for, ``<end>`` first, and these vectors [V,width], zeros
    for ``<end>``.

    path: text as fastText and GloVe write it, ``.npz`` with ``vectors`` [N,width] and ``words``, or
    ``.safetensors`` with ``vectors`` beside a ``.txt`` of the same name with one word a line.
    width 0: any. Raises BundleError when it is none of them, or has vectors of another width or of
    no word.
    """
    wanted = set(words[1:])
    readers = {".npz": _of_npz, ".safetensors": _of_safetensors}
    found = readers.get(path.suffix, _of_text)(path, wanted)
    kept = [END, *(word for word in words[1:] if word in found)]
    if len(kept) == 1:
        raise BundleError(f"{path} has a vector for none of the {len(wanted)} words.")
    table = torch.from_numpy(np.stack([found[word] for word in kept[1:]]))
    if width and table.shape[1] != width:
        raise BundleError(
            f"{path} holds vectors of {table.shape[1]} numbers; these networks read {width}."
        )
    if not bool(table.isfinite().all()):
        raise BundleError(f"{path} holds values that are not finite; print or fetch it again.")
    return kept, as_embedding(nn.functional.pad(table, (0, 0, 1, 0)))  # zeros for <end>


def vector_note(asked: Sequence[str], known: Sequence[str]) -> str:
    """For the card: how many words were left out."""
    missing, whole = len(asked) - len(known), len(asked) - 1
    return f"{missing} of {whole} words have no vector and are unknown."


def as_embedding(table: Tensor) -> nn.Embedding:
    return nn.Embedding.from_pretrained(table, freeze=True, padding_idx=0)


def _of_text(path: Path, wanted: Collection[str]) -> Found:
    """Read as a stream: such files have gigabytes."""
    if head_of(path).startswith(_FASTTEXT) or b"\0" in head_of(path):
        raise BundleError(
            f"{path} is binary. Print the vectors of your words, one a line in words.txt, as text: "
            f"fasttext print-word-vectors {path.name} < words.txt > words.vec"
        )
    lines = _lines(path)
    first = next(lines, "")
    head = first.split()
    width = int(head[1]) if len(head) == 2 and head[1].isdecimal() else len(head) - 1
    found: Found = {}
    for number, line in enumerate(lines if len(head) == 2 else chain([first], lines), 1):
        word, _, rest = line.strip().partition(" ")
        if word not in wanted or word in found:
            continue
        try:
            vector = np.array(rest.split(), np.float32)
        except ValueError:
            continue  # a "word" with blanks, as the largest of GloVe's files have some
        if len(vector) < width or width < 1:
            raise BundleError(
                f"{path} is cut off or damaged in line {number}: {word!r} should have {width} "
                "numbers there."
            )
        if len(vector) == width:
            found[word] = vector
    if not found and (what := what_it_is(path, wanted=".vec")):
        raise BundleError(f"{path} {what}.")
    return found


def _of_npz(path: Path, wanted: Collection[str]) -> Found:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return _pick(path, stored["words"].tolist(), stored["vectors"], wanted)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise BundleError(
            f"{path} must hold the arrays words, of texts, and vectors: {error}."
        ) from error


def _of_safetensors(path: Path, wanted: Collection[str]) -> Found:
    try:
        vectors = safetensors.torch.load_file(path)["vectors"]
    except (OSError, SafetensorError, KeyError) as error:
        raise BundleError(f"{path} must hold the tensor vectors: {error}.") from error
    words = [line.strip() for line in _lines(path.with_suffix(".txt"))]
    return _pick(path, words, vectors.float().numpy(), wanted)


def _pick(
    path: Path, words: Sequence[str], vectors: NDArray[np.generic], wanted: Collection[str]
) -> Found:
    if vectors.ndim != 2 or len(vectors) != len(words):
        raise BundleError(
            f"{path} holds {len(words)} words and vectors {list(vectors.shape)}; they must be as "
            "many."
        )
    table = np.asarray(vectors, np.float32)
    return {word: table[k] for k, word in enumerate(words) if word in wanted}


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError as error:
        raise BundleError(f"{path} can't be read: {error}.") from error
