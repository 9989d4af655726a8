"""``python -m models draw``: a bird that the demo bundle learns from, and its captions."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from models.data.aviary import PARTS


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--split", default="test")
    parser.add_argument("--index", type=int, default=0)
    parser.add_argument("--size", type=int, default=512, help="side in pixels")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--mask", type=Path, help="also write a mask around --part")
    parser.add_argument("--part", default="crown", choices=PARTS)


def run(arguments: argparse.Namespace) -> None:
    import numpy as np
    from PIL import Image

    from models.data.aviary import bird, generator, layers, render
    from models.data.aviary_captions import captions
    from models.data.masks import around

    sample = bird(arguments.split, arguments.index)
    source = generator(arguments.split, arguments.index)
    render(sample, arguments.size).save(arguments.out)
    if arguments.mask:
        plane = layers(sample, arguments.size).masks[PARTS.index(arguments.part)]
        hole = around(plane, source) == 0
        Image.fromarray(np.where(hole, 255, 0).astype(np.uint8)).save(arguments.mask)
    for caption in captions(sample, source, 3):
        sys.stdout.write(caption.text + "\n")
