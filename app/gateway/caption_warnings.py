"""What a bundle's model won't see of a text, and which other bundle would."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from app.gateway.problems import Problem
from jobs.bundles import BundleTask, Catalogue

log = logging.getLogger(__name__)
_MAX_LISTED = 20  # most words that one sentence lists
# Letters of words that say little of what a bundle can draw: the, has, its.
_FUNCTION_WORD_LENGTH = 3


def caption_warnings(
    found: BundleTask, method: str, texts: Sequence[str], catalogue: Catalogue
) -> list[str]:
    """What the model won't see of the texts. Raises Problem 422 when it would see nothing of one of
    them although its method reads text.
    """
    if method in found.methods_without_text:
        return [f"Method {method!r} reads no text, so the text changed nothing."]
    read = [found.encode(text) for text in texts]
    for number, encoded in enumerate(read, 1):
        if not encoded.ids:
            which = "this text" if len(texts) == 1 else f"text {number}"
            raise _no_known_words(found, which, texts[number - 1], catalogue)
    sentences = []
    if unknown := list(dict.fromkeys(word for encoded in read for word in encoded.unknown)):
        sentences.append(f"Unknown words were left out: {_join_words(unknown)}.")
        sentences += _suggest_bundle(found, unknown, catalogue)
    for number, encoded in enumerate(read, 1):
        if encoded.truncated:
            which = "The text" if len(texts) == 1 else f"Text {number}"
            sentences.append(
                f"{which} is longer than the {found.max_words} words this bundle reads; its last "
                f"{encoded.truncated} were left out."
            )
    return sentences


def _no_known_words(found: BundleTask, which: str, text: str, catalogue: Catalogue) -> Problem:
    sentences = [
        f"Bundle {found.bundle!r} knows no word of {which}.",
        *_suggest_bundle(found, found.encode(text).unknown, catalogue),
        f"GET /models/{found.bundle}/vocabulary lists the words it knows.",
    ]
    return Problem(422, " ".join(sentences), code="no_known_words")


def _suggest_bundle(found: BundleTask, unknown: Sequence[str], catalogue: Catalogue) -> list[str]:
    """The bundle that knows most of the words, of those that offer the same task; a sentence or
    none.
    """
    content_words = [word for word in unknown if len(word) > _FUNCTION_WORD_LENGTH]
    others = [i for i in catalogue.bundles.values() if found.task in i.tasks and content_words]
    known = {
        i.name: words
        for i in others
        if i.name != found.bundle and (words := _known_words(i.tasks[found.task], content_words))
    }
    if not known:
        return []
    # Of two that know as many, the one of fewer words is more about them.
    size = {name: len(catalogue.bundles[name].tasks[found.task].vocabulary) for name in known}
    best = max(known, key=lambda name: (len(known[name]), -size[name]))
    return [f"Bundle {best!r} knows {_join_words(known[best])}."]


def _known_words(task: BundleTask, words: Sequence[str]) -> list[str]:
    try:
        return [word for word in words if task.encode(word).ids]
    except (OSError, ValueError, KeyError) as error:  # no concern of who asked another bundle
        log.warning("the words of bundle %r can't be read: %r", task.bundle, error)
        return []


def _join_words(words: Sequence[str]) -> str:
    return ", ".join(words[:_MAX_LISTED]) + (" …" if len(words) > _MAX_LISTED else "")
