"""Tiny data sets in every layout, drawn on the spot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

CAPTIONS = ("a red bird with a blue crown", "this bird is red.")


def photo(path: Path, size: tuple[int, int] = (40, 30), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)


def text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def cub(folder: Path, classes: int = 4, each: int = 2) -> Path:
    """Photos of 100×80 pixels; the first of each class tests. No class_split.json."""
    names = [(k, f"{k:03}.Bird_{k}/Bird_{k}_{n}.jpg") for k in range(1, classes + 1)
             for n in range(each)]  # fmt: skip
    for seed, (_, name) in enumerate(names):
        photo(folder / "images" / name, (100, 80), seed)
        text(folder / "text" / Path(name).with_suffix(".txt"), *CAPTIONS)
    numbered = list(enumerate(names, 1))
    text(folder / "images.txt", *(f"{i} {name}" for i, (_, name) in numbered))
    text(folder / "image_class_labels.txt", *(f"{i} {k}" for i, (k, _) in numbered))
    text(folder / "classes.txt", *(f"{k} {k:03}.Bird_{k}" for k in range(1, classes + 1)))
    text(folder / "bounding_boxes.txt", *(f"{i} 40.0 30.0 20.0 10.0" for i, _ in numbered))
    text(folder / "train_test_split.txt", *(f"{i} {int((i - 1) % each > 0)}" for i, _ in numbered))
    return folder


def flowers(folder: Path, classes: int = 4, each: int = 2) -> Path:
    """Class 2 is held out."""
    for k in range(classes * each):
        name = f"image_{k + 1:05}"
        photo(folder / "jpg" / f"{name}.jpg", seed=k)
        text(folder / f"text_c10/class_{k // each + 1:05}/{name}.txt", "a pink flower", ".", "pink")
    text(folder / "class_split.json", json.dumps({"test_classes": [2]}))
    return folder


def coco(folder: Path, each: int = 3) -> Path:
    """Photos of 40×30 pixels with a small square and a larger one, cut in two, as instances; the
    last photo of each split has none.
    """
    for split, first in (("train2017", 1), ("val2017", 101)):
        numbers = range(first, first + each)
        images = [
            {"id": n, "file_name": f"{n:012}.jpg", "width": 40, "height": 30} for n in numbers
        ]
        for n in numbers:
            photo(folder / split / f"{n:012}.jpg", seed=n)
        told: list[dict[str, object]] = [
            {"id": n, "image_id": n, "caption": "a cat \n on a mat."} for n in numbers
        ]
        drawn = [note for n in list(numbers)[:-1] for note in _instances(n)]
        for kind, notes in (("captions", told), ("instances", drawn)):
            content = {"images": images, "annotations": notes}
            if kind == "instances":  # as in the published files
                content["categories"] = [{"id": 1, "name": "cat"}]
            text(folder / "annotations" / f"{kind}_{split}.json", json.dumps(content))
    return folder


def _instances(number: int) -> list[dict[str, object]]:
    whole = {"image_id": number, "category_id": 1}
    return [
        whole | {"id": 10 * number, "area": 16, "iscrowd": 0, "segmentation": [_square(0, 0, 4)]},
        whole
        | {
            "id": 10 * number + 1,
            "area": 128,
            "iscrowd": 0,
            "segmentation": [_square(10, 10, 8), _square(20, 10, 8)],
        },
        whole | {"id": 10 * number + 2, "area": 900, "iscrowd": 1, "segmentation": []},
    ]


def _square(x: int, y: int, side: int) -> list[int]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def plain(folder: Path, count: int = 6) -> Path:
    """Photos without classes."""
    for k in range(count):
        photo(folder / f"photo{k}.png", seed=k)
        text(folder / f"photo{k}.txt", "a red bird", "a green bird")
    return folder
