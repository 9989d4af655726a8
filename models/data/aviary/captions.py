"""Captions for Aviary in the manner of CUB's: free word order, synonyms, two to six parts named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jobs.captions import END, Vocabulary, tokenize
from models.data.aviary.drawing import COLOUR_NAMES, PARTS, Bird

PART_WORDS: dict[str, tuple[str, ...]] = {
    "crown": ("crown", "crown", "head", "cap", "crest"),
    "back": ("back", "back", "upperparts", "mantle"),
    "belly": ("belly", "belly", "breast", "chest", "underside", "stomach", "underparts"),
    "wings": ("wings", "wings", "wing", "wing feathers", "coverts"),
    "tail": ("tail", "tail", "tail feathers", "rectrices"),
    "bill": ("bill", "beak", "bill"),
}
COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "grey": ("grey", "gray"),
    "purple": ("purple", "purple", "violet"),
    "brown": ("brown", "brown"),
}
_PLURAL = {"wings", "wing feathers", "coverts", "tail feathers", "rectrices"}
_PLURAL |= {"upperparts", "underparts"}
_SUBJECTS = (
    "this bird",
    "the bird",
    "this is a bird",
    "a bird",
    "a small bird",
    "this small bird",
    "a large bird",
    "this little bird",
    "a colorful bird",
    "this colorful bird",
    "the small bird",
)
_ENDINGS = (
    "",
    "",
    "",
    " and sits on a branch",
    " on a branch",
    " perched on a branch",
    " on a thin branch",
)
# Words that visitors use and that say nothing about a colour: known, so that they cause no warning.
_FILLERS = (
    "an it its that are there very bright colored coloured color colour photo picture image "
    "drawing drawn of feathers body big short long pointed to in at facing left right "
    "standing sitting birds make one from mostly all fluffy"
)


@dataclass(frozen=True)
class Caption:
    """text, and the parts that it names (a subset of PARTS)."""

    text: str
    parts: tuple[str, ...]


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _phrases(sample: Bird, parts: Sequence[str], rng: np.random.Generator) -> list[tuple[str, str]]:
    """(colour word, part word) for each named part."""
    return [
        (
            _pick(rng, COLOUR_WORDS.get(sample.colour_of(p), (sample.colour_of(p),))),
            _pick(rng, PART_WORDS[p]),
        )
        for p in parts
    ]


def _noun(colour: str, word: str) -> str:
    if word in _PLURAL:
        return f"{colour} {word}"
    return f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {word}"


def _join(items: Sequence[str]) -> str:
    if len(items) == 1:
        return items[0]
    return f"{', '.join(items[:-1])} and {items[-1]}"


def _clause(colour: str, word: str) -> str:
    verb = "are" if word in _PLURAL else "is"
    return f"the {word} {verb} {colour}"


def _sentence(phrases: Sequence[tuple[str, str]], rng: np.random.Generator) -> str:
    nouns = _join([_noun(c, w) for c, w in phrases])
    subject = _pick(rng, _SUBJECTS)
    style = int(rng.integers(5))
    if style == 0:
        return _join([_clause(c, w) for c, w in phrases])
    if style == 1 and len(phrases) > 1:
        rest = _join([_clause(c, w) for c, w in phrases[1:]])
        return f"{subject} has {_noun(*phrases[0])}, and {rest}"
    if subject.startswith(("this is", "a ")):
        return f"{subject} with {nouns}"
    return f"{subject} has {nouns}"


def caption(
    sample: Bird, rng: np.random.Generator, must_name: Sequence[str] = (), most: int = 6
) -> Caption:
    """One caption of ``must_name`` and other parts at random: two to ``most`` in any order."""
    count = max(len(must_name), int(rng.integers(2, most + 1)))
    others = [p for p in PARTS if p not in must_name]
    extra = rng.permutation(len(others))[: count - len(must_name)]
    parts = [*must_name, *(others[k] for k in extra)]
    parts = [parts[k] for k in rng.permutation(len(parts))]
    text = _sentence(_phrases(sample, parts, rng), rng) + _pick(rng, _ENDINGS) + "."
    return Caption(text, tuple(parts))


def vocabulary() -> Vocabulary:
    """Every word that the grammar can write, and common fillers."""
    sources = [
        *COLOUR_NAMES,
        *(w for words in (*PART_WORDS.values(), *COLOUR_WORDS.values()) for w in words),
        *_SUBJECTS,
        *_ENDINGS,
        _FILLERS,
        "has with and the is are",
    ]
    words = {word for text in sources for word in tokenize(text)}
    return Vocabulary([END, *sorted(words)])
