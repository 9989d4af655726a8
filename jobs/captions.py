"""Captions to word indices: the tokenizers and vocabularies that gateway, worker and training
share.

Standard library only. The gateway refuses or warns with the very words the pipeline would drop.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

END = "<end>"  # index 0: padding only, never a word of a caption

_WORD = re.compile(r"\w+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_TREEBANK = re.compile(r"n't|'(?:s|m|d|ll|re|ve)\b|[\w][\w\-/]*?(?=n't\b)|[\w][\w\-/.]*[\w]|\w")


def _ascii(token: str) -> str:
    return token.encode("ascii", "ignore").decode()


def _regexp(text: str) -> list[str]:
    r"""Every match of ``\w+``, as the DAMSM encoders were trained with (AttnGAN's tokenizer)."""
    return _WORD.findall(text.replace("\ufffd\ufffd", " ").lower())


def _treebank(text: str) -> list[str]:
    """Penn Treebank words, as TDANet reads captions: "black-and-white" stays one word, "bird's" is
    two.
    """
    sentences = _SENTENCE_END.split(text.lower())
    return [word for sentence in sentences for word in _TREEBANK.findall(sentence.rstrip(".!?"))]


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {"regexp": _regexp, "treebank": _treebank}


def tokenize(text: str, tokenizer: str = "regexp") -> list[str]:
    """Lower-case words of ``text``; characters outside ASCII are dropped, and words left empty
    with them.
    """
    return [word for word in map(_ascii, TOKENIZERS[tokenizer](text)) if word]


@dataclass(frozen=True)
class Encoded:
    """A caption in a vocabulary's terms.

    ids: one index ≥ 1 per kept word; words: the kept words; unknown: the words left out because
    the vocabulary lacks
    them, each once; cut: how many known words were dropped from the end because the caption was
    too long.
    """

    ids: tuple[int, ...]
    words: tuple[str, ...]
    unknown: tuple[str, ...]
    cut: int


class Vocabulary:
    """The words that a text encoder knows; ``words[0]`` is padding."""

    def __init__(self, words: Sequence[str]) -> None:
        if not words or words[0] != END:
            raise ValueError(f"a vocabulary starts with {END!r}, which stands for padding")
        self.words = tuple(words)
        self._index = {word: k for k, word in enumerate(self.words) if k}

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read ``{"words": [...]}``."""
        return cls(json.loads(path.read_text(encoding="utf-8"))["words"])

    def to_json(self) -> str:
        return json.dumps({"words": self.words}, ensure_ascii=False, indent=0)

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self._index

    def encode(self, text: str, *, tokenizer: str = "regexp", max_words: int = 18) -> Encoded:
        """Indices of the first ``max_words`` known words. Nothing is dropped at random."""
        tokens = tokenize(text, tokenizer)
        known = [word for word in tokens if word in self._index]
        kept = tuple(known[:max_words])
        unknown = dict.fromkeys(word for word in tokens if word not in self._index)
        # A word written only in other scripts leaves no ASCII token, yet its author expects to
        # hear of it.
        foreign = dict.fromkeys(w for w in _foreign_words(text) if w not in unknown)
        ids = tuple(self._index[word] for word in kept)
        return Encoded(ids, kept, (*unknown, *foreign), len(known) - len(kept))


def _foreign_words(text: str) -> list[str]:
    """Words and symbols of ``text`` with no ASCII letter or digit at all, punctuation left
    aside.
    """
    chunks = (
        chunk for chunk in text.split() if not any(c.isascii() and c.isalnum() for c in chunk)
    )
    return [c for c in chunks if any(not ch.isascii() and ch not in "–—…“”‘’«»" for ch in c)]
