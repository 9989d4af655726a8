"""What a bundle's model won't see of a text, and which other bundle would."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from app.gateway.problems import Problem
from jobs.bundles import BundleTask, Catalogue

log = logging.getLogger(__name__)
_NAMED = 20  # most words that one sentence lists
_GRAMMAR = 3  # letters of words that say little of what a bundle can draw: the, has, its


def warnings(found: BundleTask, texts: Sequence[str], catalogue: Catalogue) -> list[str]:
    """What the model won't see of the texts. Raises Problem 422 when it would see nothing of one of
    them.
    """
    read = [found.encode(text) for text in texts]
    for number, encoded in enumerate(read, 1):
        if not encoded.ids:
            which = "this text" if len(texts) == 1 else f"text {number}"
            raise _unread(found, which, texts[number - 1], catalogue)
    told = []
    if unknown := list(dict.fromkeys(word for encoded in read for word in encoded.unknown)):
        told.append(f"Unknown words were left out: {_listed(unknown)}.")
        told += _hints(found, unknown, catalogue)
    for number, encoded in enumerate(read, 1):
        if encoded.cut:
            which = "The text" if len(texts) == 1 else f"Text {number}"
            told.append(
                f"{which} is longer than the {found.max_words} words this bundle reads; its last "
                f"{encoded.cut} were left out."
            )
    return told


def _unread(found: BundleTask, which: str, text: str, catalogue: Catalogue) -> Problem:
    told = [
        f"Bundle {found.bundle!r} knows no word of {which}.",
        *_hints(found, found.encode(text).unknown, catalogue),
        f"GET /models/{found.bundle}/vocabulary lists the words it knows.",
    ]
    return Problem(422, " ".join(told), code="no_known_words")


def _hints(found: BundleTask, unknown: Sequence[str], catalogue: Catalogue) -> list[str]:
    """The bundle that knows most of the words, of those that offer the same task; a sentence or
    none.
    """
    telling = [word for word in unknown if len(word) > _GRAMMAR]
    others = [i for i in catalogue.bundles.values() if found.task in i.tasks and telling]
    known = {i.name: _known(i.tasks[found.task], telling) for i in others if i.name != found.bundle}
    known = {name: words for name, words in known.items() if words}
    if not known:
        return []
    # Of two that know as many, the one of fewer words is more about them.
    best = max(known, key=lambda name: (len(known[name]), -_size(catalogue, name, found.task)))
    return [f"Bundle {best!r} knows {_listed(known[best])}."]


def _size(catalogue: Catalogue, bundle: str, task: str) -> int:
    return len(catalogue.bundles[bundle].tasks[task].vocabulary)


def _known(task: BundleTask, words: Sequence[str]) -> list[str]:
    try:
        return [word for word in words if task.encode(word).ids]
    except (OSError, ValueError, KeyError) as error:  # no concern of who asked another bundle
        log.warning("the words of bundle %r can't be read: %r", task.bundle, error)
        return []


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:_NAMED]) + (" …" if len(words) > _NAMED else "")
