"""Captions to word indices: the tokenizers and vocabularies that gateway, worker and training
share.

Standard library only. The gateway refuses or warns with the very words the pipeline would drop.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path

END = "<end>"  # index 0: padding only, never a word of a caption

_WORD = re.compile(r"\w+")
_CHUNK = re.compile(r"\S+")
_APOSTROPHES = "’‘ʼ＇"
_PUNCTUATION = "–—…“”‘’«»"

# The Penn Treebank's rules as NLTK's word_tokenize has them: what ends a word wherever it stands,
# endings that are words of their own, and words that are two. app/studio/words.js has the same.
_SEPARATOR = (
    r"""[\s;@#$%&?!*()\[\]{}<>"«»“”‘’„`‒-―]|--|''|\.{2,}|[:,](?!\d)"""
    r"""|\.(?=[\])}>"'»”’]*(?:\s|$))|(?<!\w)'(?!(?:re|ve|ll|m|t|s|d|n)\b)"""
)
_ENDING = rf"(?:n't|'(?:s|m|d|ll|re|ve)?)(?={_SEPARATOR}|$)"
_INSIDE = (
    r"(?<=\bcan)(?=not\b)|(?<=\bgot)(?=ta\b)|(?<=\bd)(?='ye\b)|(?<=\bmore)(?='n\b)"
    r"|(?<=\b(?:gim|lem))(?=me\b)|(?<=\b(?:gon|wan))(?=na\b)"
)
_TREEBANK = re.compile(
    rf"{_SEPARATOR}|{_ENDING}|.(?:(?!{_SEPARATOR}|{_ENDING}|{_INSIDE}).)*", re.DOTALL
)


Blend = tuple[tuple[str, float], ...]  # captions and their shares, which are > 0 and sum to 1
Span = tuple[str, int, int]  # a token in lower case, and where it stands: [start, end)


def _match_spans(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    return ((match[0], *match.span()) for match in pattern.finditer(text))


def _regexp(lowered: str) -> Iterator[Span]:
    r"""Every match of ``\w+``, as the DAMSM encoders were trained with (AttnGAN's tokenizer)."""
    return _match_spans(_WORD, lowered)


def _treebank(lowered: str) -> Iterator[Span]:
    """Penn Treebank words, as TDANet reads captions: "black-and-white" stays one word, "bird's" and
    "cannot" are two. Punctuation, which no vocabulary holds, is left out.
    """
    return (span for span in _match_spans(_TREEBANK, lowered) if _WORD.search(span[0]))


TOKENIZERS: dict[str, Callable[[str], Iterator[Span]]] = {"regexp": _regexp, "treebank": _treebank}


def word_spans(text: str, tokenizer: str = "regexp") -> list[Span]:
    """Lower-case words of ``text`` and their places in it, in characters. Characters are read in
    their compatible form (NFKC), so a ligature is its letters; invisible ones, such as soft
    hyphens, are skipped; those outside ASCII are dropped, and words left empty with them.
    """
    if text.isascii():
        return list(TOKENIZERS[tokenizer](text.lower()))
    read = list(map(_plain, text))
    origin = [k for k, r in enumerate(read) for _ in r]  # some, such as İ and ﬂ, become several
    found = TOKENIZERS[tokenizer]("".join(read))
    spans = ((t.encode("ascii", "ignore").decode(), start, end) for t, start, end in found)
    return [(word, origin[start], origin[end - 1] + 1) for word, start, end in spans if word]


@lru_cache(4096)
def _plain(character: str) -> str:
    if character.isascii():
        return character.lower()
    if character in _APOSTROPHES:
        return "'"
    compatible = unicodedata.normalize("NFKC", character).lower()
    return "".join(c for c in compatible if not _is_invisible(c))


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) == "Cf"


def tokenize(text: str, tokenizer: str = "regexp") -> list[str]:
    """The words of :func:`word_spans` alone."""
    return [word for word, _, _ in word_spans(text, tokenizer)]


@dataclass(frozen=True)
class Word:
    """A word of a text. start, end: its place there, in characters; index: in the vocabulary, 0 for
    a word that it lacks; column: its place among the words that are read, None when it is left out.
    """

    word: str
    start: int
    end: int
    index: int
    column: int | None

    @property
    def known(self) -> bool:
        return self.index > 0


@dataclass(frozen=True)
class EncodedCaption:
    """A caption in a vocabulary's terms.

    ids: one index ≥ 1 per kept word; words: the kept words; unknown: the words left out because
    the vocabulary lacks them, each once, as they were written; truncated: how many known words
    were dropped from the end because the caption was too long.
    """

    ids: tuple[int, ...]
    words: tuple[str, ...]
    unknown: tuple[str, ...]
    truncated: int


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

    def read(
        self, text: str, *, tokenizer: str = "regexp", max_words: int = 18
    ) -> tuple[Word, ...]:
        """Every word of the text in its order, those that are left out as well: words that the
        vocabulary lacks, and known ones after the first ``max_words``.
        """
        read, columns = [], count()
        for word, start, end in word_spans(text, tokenizer):
            index = self._index.get(word, 0)
            column = next(columns) if index else max_words
            read.append(Word(word, start, end, index, column if column < max_words else None))
        # A word written only in other scripts leaves no ASCII token, yet its author expects to
        # hear of it.
        foreign = [
            Word(word, start, end, 0, None)
            for word, start, end in _foreign_words(text)
            if not any(start <= other.start < end for other in read)
        ]
        return tuple(sorted([*read, *foreign], key=lambda word: word.start))

    def encode(
        self, text: str, *, tokenizer: str = "regexp", max_words: int = 18
    ) -> EncodedCaption:
        """Indices of the first ``max_words`` known words. Nothing is dropped at random."""
        read = self.read(text, tokenizer=tokenizer, max_words=max_words)
        kept = [word for word in read if word.column is not None]
        unknown: dict[str, str] = {}
        for word in read:
            if not word.known:
                written = (c for c in text[word.start : word.end] if not _is_invisible(c))
                unknown.setdefault(word.word, "".join(written))
        cut = sum(word.known for word in read) - len(kept)
        ids, words = (word.index for word in kept), (word.word for word in kept)
        return EncodedCaption(tuple(ids), tuple(words), tuple(unknown.values()), cut)


NO_WORDS = Vocabulary([END])  # of a method that reads no text


def _foreign_words(text: str) -> list[Span]:
    """Words and symbols of ``text`` with no ASCII letter or digit at all, punctuation left
    aside.
    """
    if text.isascii():
        return []
    chunks = (
        span
        for span in _match_spans(_CHUNK, text)
        if not any(c.isascii() and c.isalnum() for c in span[0])
    )
    return [span for span in chunks if any(map(_is_foreign, span[0]))]


def _is_foreign(character: str) -> bool:
    return not (character.isascii() or character in _PUNCTUATION or _is_invisible(character))
