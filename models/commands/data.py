"""Data sets: is one fit to train on, what training needs beside it, and a look at drawn birds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from models.commands.arguments import new_folder, new_picture, whole
from models.data.aviary.drawing import PARTS

_BIRDS = 32  # whose captions are looked at


def add_data(parser: argparse.ArgumentParser) -> None:
    """Is a data set fit to train on, and what training needs; DIR is its folder, or aviary.

    DIR is the data set's folder, or the word aviary for the drawn birds."""
    actions = parser.add_subparsers(dest="action", required=True)
    check = actions.add_parser("check", help="count, decode every photo, measure the captions")
    check.add_argument("data", metavar="DIR", help="a data set's folder, or aviary")
    check.add_argument("--bundle", type=Path, help="count the words that this bundle lacks")
    check.add_argument("--split-file", type=Path, help="classes or photos held out for testing")
    check.set_defaults(act=_check)
    prepare = actions.add_parser("prepare", help="write the split and the vocabulary")
    prepare.add_argument("data", metavar="DIR", help="a data set's folder")
    prepare.add_argument(
        "--out", type=new_folder, required=True, help="a folder outside the data set"
    )
    prepare.add_argument(
        "--least", type=whole(1), default=2, help="least frequency of a known word"
    )
    prepare.add_argument("--split-file", type=Path, help="classes or photos held out for testing")
    prepare.add_argument(
        "--masks", action="store_true", help="does nothing any more: training draws and keeps masks"
    )
    prepare.set_defaults(act=_prepare)


def run_data(arguments: argparse.Namespace) -> None:
    arguments.act(arguments)


def _check(arguments: argparse.Namespace) -> None:
    from models.data.check import bundle_vocabularies, check, lines, unknown_lines, unknown_words
    from models.data.sources import open_listing

    found = None
    if arguments.data == "aviary":
        rows, captions = _describe_aviary()
    else:
        found = check(open_listing(Path(arguments.data), arguments.split_file))
        rows, captions = lines(found), [text for r in found.usable for text in r.captions]
    if arguments.bundle:
        for tasks, (words, tokenizer) in bundle_vocabularies(arguments.bundle).items():
            rows += unknown_lines(tasks, unknown_words(captions, words, tokenizer))
    _print(rows)
    if found is not None:
        found.require_usable()
    _print(["usable: yes"])


def _describe_aviary() -> tuple[list[str], list[str]]:
    """What there is to say, and some captions."""
    from models.data.aviary.captions import caption, vocabulary
    from models.data.aviary.drawing import bird, generator

    indices = range(_BIRDS)
    captions = [caption(bird("train", k), generator("train", k)).text for k in indices]
    rows = [
        "aviary: endless; every number of a split is another bird, drawn when it is asked for",
        f"vocabulary: {len(vocabulary())} entries, padding included",
    ]
    return rows, captions


def _prepare(arguments: argparse.Namespace) -> None:
    from models.data.layouts.base import DataError
    from models.data.prepare import prepare
    from models.data.sources import open_listing

    if arguments.data == "aviary":
        raise DataError("Aviary is drawn, with a vocabulary of its own: nothing to prepare.")
    listing = open_listing(Path(arguments.data), arguments.split_file)
    done = prepare(listing, arguments.out, least=arguments.least)
    sizes = ", ".join(f"{split} {len(keys)}" for split, keys in done.split.items())
    _print(
        [
            f"{listing.name}: {sizes} photos; {len(done.left_out)} left out",
            f"vocabulary: {len(done.words)} entries, padding included",
            f"content: {done.content}",
            f"wrote {done.folder}",
        ]
    )


def _print(rows: Iterable[str]) -> None:
    for row in rows:
        sys.stdout.write(row + "\n")


def add_draw(parser: argparse.ArgumentParser) -> None:
    """A bird that the demo bundle learns from, and its captions."""
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"))
    parser.add_argument("--index", type=whole(0), default=0)
    parser.add_argument("--size", type=whole(1, 4096), default=512, help="side in pixels")
    parser.add_argument("--out", type=new_picture, required=True)
    parser.add_argument("--mask", type=new_picture, help="also write a mask around --part")
    parser.add_argument("--part", default="crown", choices=PARTS)


def run_draw(arguments: argparse.Namespace) -> None:
    import numpy as np
    from PIL import Image

    from models.data.aviary.captions import caption
    from models.data.aviary.drawing import bird, generator, layers, render
    from models.data.masks import around

    sample = bird(arguments.split, arguments.index)
    source = generator(arguments.split, arguments.index)
    for path in filter(None, (arguments.out, arguments.mask)):
        path.parent.mkdir(parents=True, exist_ok=True)
    render(sample, arguments.size).save(arguments.out)
    if arguments.mask:
        plane = layers(sample, arguments.size).masks[PARTS.index(arguments.part)]
        hole = around(plane, source) == 0
        Image.fromarray(np.where(hole, 255, 0).astype(np.uint8)).save(arguments.mask)
    _print(caption(sample, source).text for _ in range(3))
