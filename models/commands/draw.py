"""``python -m models draw``: a bird that the demo bundle learns from, and its captions."""

from __future__ import annotations

import argparse
import sys

from models.commands.arguments import new_picture, whole
from models.data.aviary.drawing import PARTS


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--split", default="test")
    parser.add_argument("--index", type=whole(0), default=0)
    parser.add_argument("--size", type=whole(1), default=512, help="side in pixels")
    parser.add_argument("--out", type=new_picture, required=True)
    parser.add_argument("--mask", type=new_picture, help="also write a mask around --part")
    parser.add_argument("--part", default="crown", choices=PARTS)


def run(arguments: argparse.Namespace) -> None:
    import numpy as np
    from PIL import Image

    from models.data.aviary.captions import captions
    from models.data.aviary.drawing import bird, generator, layers, render
    from models.data.masks import around

    sample = bird(arguments.split, arguments.index)
    source = generator(arguments.split, arguments.index)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    render(sample, arguments.size).save(arguments.out)
    if arguments.mask:
        plane = layers(sample, arguments.size).masks[PARTS.index(arguments.part)]
        hole = around(plane, source) == 0
        Image.fromarray(np.where(hole, 255, 0).astype(np.uint8)).save(arguments.mask)
    for caption in captions(sample, source, 3):
        sys.stdout.write(caption.text + "\n")
