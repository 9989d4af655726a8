"""Is a data set fit to train on? Counts, broken photos, caption lengths and unknown words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.captions import Vocabulary, tokenize
from models.data.layouts.base import DataError, Listing, Record
from models.data.prepare import read_photos, vocabulary
from models.data.split import FEWEST, SPLITS, divide

LISTED = 20  # broken photos, or unknown words, shown one by one
_LEAST, _VALIDATION, _SEED = 2, 0.05, 0  # the defaults of prepare


@dataclass(frozen=True)
class Lengths:
    """Words in a caption. p95: 95 % of the captions have at most so many."""

    least: int
    median: int
    p95: int
    most: int


@dataclass(frozen=True)
class Check:
    """What was found. usable: records that decode and have captions; faults: key -> why a photo
    does not decode; uncaptioned: keys; split: keys of each split, empty when there is none to make;
    lengths: None without captions; masked: how many photos an object's outline is known of.
    """

    listing: Listing
    usable: tuple[Record, ...]
    faults: dict[str, str]
    uncaptioned: tuple[str, ...]
    split: dict[str, tuple[str, ...]]
    lengths: Lengths | None
    masked: int

    def require_usable(self) -> None:
        """Raise DataError, which says why, unless training can use the set."""
        if len(self.split["train"]) < FEWEST:
            raise DataError(
                f"{self.listing.folder} cannot be trained on: of {len(self.listing.records)} "
                f"photos, {len(self.faults)} do not decode and {len(self.uncaptioned)} have no "
                f"caption in the letters a to z, which leaves {len(self.usable)}; at least "
                f"{FEWEST} are needed beside those held out."
            )
        trained = frozenset(self.split["train"])
        vocabulary((record for record in self.usable if record.key in trained), _LEAST)


def check(listing: Listing) -> Check:
    """Decode every photo, draw every mask, and count."""
    fine, broken = read_photos(listing.records)
    usable = tuple(r for r in listing.records if r.captions and r.key in fine)
    return Check(
        listing=listing,
        usable=usable,
        faults=broken,
        uncaptioned=tuple(r.key for r in listing.records if not r.captions),
        split=_split(usable, listing.held_out),
        lengths=lengths(text for record in usable for text in record.captions),
        masked=sum(map(_has_mask, usable)),
    )


def _has_mask(record: Record) -> bool:
    """Whether its object's outline can be drawn, as inpainting will."""
    plane = record.object_mask() if record.object_mask else None
    return plane is not None and bool(plane.any())


def lengths(captions: Iterable[str]) -> Lengths | None:
    counts = sorted(len(tokenize(caption)) for caption in captions)
    if not counts:
        return None
    last = len(counts) - 1
    return Lengths(counts[0], counts[last // 2], counts[round(0.95 * last)], counts[-1])


def unknown_words(
    captions: Iterable[str], vocabulary: Vocabulary, tokenizer: str = "regexp"
) -> Counter[str]:
    """Words of the captions that the vocabulary lacks, and how often each occurs."""
    words = (word for caption in captions for word in tokenize(caption, tokenizer))
    return Counter(word for word in words if word not in vocabulary)


def bundle_vocabularies(folder: Path) -> dict[str, tuple[Vocabulary, str]]:
    """Tasks that share words, as "inpaint, synthesize" -> their vocabulary and tokenizer."""
    from models.bundle import Bundle  # torch takes seconds to import

    bundle = Bundle.open(folder)
    tasks: dict[tuple[Path, str], list[str]] = {}
    for task, spec in sorted(bundle.tasks.items()):
        if bundle.has_words(task):
            tasks.setdefault((bundle.vocabulary_path(task), spec.tokenizer), []).append(task)
    return {
        ", ".join(names): (Vocabulary.load(path), tokenizer)
        for (path, tokenizer), names in tasks.items()
    }


def lines(found: Check) -> list[str]:
    """The report that a person reads."""
    listing = found.listing
    rows = [
        f"{listing.name}: layout {listing.layout}, {len(listing.records)} photos, "
        f"{sum(len(r.captions) for r in listing.records)} captions, {listing.domain}",
        f"licence: {listing.licence}",
        *_split_lines(found),
        *_lengths_lines(found.lengths),
        *_some("photos that do not decode", [f"{k}: {why}" for k, why in found.faults.items()]),
        *_some("photos without a caption", found.uncaptioned),
        *_garbled_lines(found.usable),
    ]
    boxed = sum(record.box is not None for record in listing.records)
    skipped = _some("skipped", listing.skipped) if listing.skipped else []
    return [*rows, *skipped, f"boxes: {boxed} photos; object masks: {found.masked} photos"]


def unknown_lines(tasks: str, counts: Counter[str]) -> list[str]:
    if not counts:
        return [f"unknown words ({tasks}): none"]
    listed = ", ".join(f"{word} {count}" for word, count in counts.most_common(LISTED))
    total = f"{len(counts)} words, {counts.total()} occurrences"
    return [f"unknown words ({tasks}): {total}; most frequent: {listed}"]


def _split(usable: Sequence[Record], held_out: frozenset[str]) -> dict[str, tuple[str, ...]]:
    """As `prepare` will divide the photos."""
    try:
        return divide(usable, held_out, validation=_VALIDATION, seed=_SEED)
    except DataError:
        return dict.fromkeys(SPLITS, ())


def _split_lines(found: Check) -> list[str]:
    classes = {record.key: record.class_name for record in found.usable}
    rows = []
    for split, keys in found.split.items():
        sizes = Counter(classes[key] for key in keys if classes[key]).values()
        by_class = f" in {len(sizes)} classes ({min(sizes)} to {max(sizes)} each)" if sizes else ""
        rows.append(f"{split}: {len(keys)} photos{by_class}")
    return rows


def _lengths_lines(found: Lengths | None) -> list[str]:
    if found is None:
        return ["caption lengths: there are no captions"]
    return [
        f"caption lengths in words: min {found.least}, median {found.median}, "
        f"95 % at most {found.p95}, max {found.most}"
    ]


def _garbled_lines(usable: Sequence[Record]) -> list[str]:
    """Captions in another encoding, which are read without the letters that don't fit."""
    keys = [r.key for r in usable if any("\ufffd" in text for text in r.captions)]
    return _some("photos with captions that are not UTF-8", keys) if keys else []


def _some(text: str, names: Sequence[str]) -> list[str]:
    more = [f"  and {len(names) - LISTED} more"] if len(names) > LISTED else []
    return [f"{text}: {len(names)}", *(f"  {name}" for name in names[:LISTED]), *more]
