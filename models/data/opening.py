"""One door to every data set: ``aviary`` by its name, anything else by its folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from jobs.captions import Vocabulary
from models.data.aviary.dataset import Aviary, cache_folder
from models.data.layouts.base import DataError, Listing
from models.data.photos import Photos
from models.data.pictures import WholePhotos
from models.data.prepare import Prepared, prepared_for, refuse_inside
from models.data.sources import open_listing
from models.training.batch import TrainingData

AVIARY_SAMPLES = 6000  # geometries in Aviary unless a caller asks for another number
AVIARY_LARGE = 400  # the same where pictures alone are wanted, at sixteen times the pixels


def open_data(
    where: str | Path,
    *,
    size: int,
    split: str = "train",
    vocabulary: Vocabulary | None = None,
    captions: int = 0,
    limit: int | None = None,
    prepared: Path | None = None,
) -> TrainingData:
    """One split of a data set at ``size`` pixels.

    vocabulary: the words that captions are written in, the data set's own when None; captions:
    further captions of each picture for the part synthesis; limit: use so many pictures at most;
    prepared: the folder that ``data prepare`` wrote; without one the cache holds what it would.
    """
    if str(where) != "aviary":
        more: Any = {"captions": captions, "limit": limit, "prepared": prepared}
        return open_photos(where, size=size, split=split, vocabulary=vocabulary, **more)
    data = Aviary(size, limit or AVIARY_SAMPLES, split, captions=captions)
    if vocabulary is not None and vocabulary.words != data.vocabulary.words:
        raise DataError(
            "The encoders were trained with other words than Aviary's; "
            "choose encoders trained on Aviary, or the data set that these were trained on."
        )
    return data


def open_photos(
    where: str | Path,
    *,
    size: int,
    split: str = "train",
    vocabulary: Vocabulary | None = None,
    captions: int = 0,
    limit: int | None = None,
    prepared: Path | None = None,
    cache: Path | None = None,
) -> Photos:
    """``open_data`` of a photo folder; cache: where prepared and decoded data is kept."""
    folder = cache or cache_folder()
    opened = _open_folder(Path(where), prepared, folder)
    more: Any = {"vocabulary": vocabulary, "captions": captions, "limit": limit}
    return Photos(*opened, size=size, split=split, folder=folder, **more)


def open_pictures(
    where: str | Path,
    *,
    size: int,
    split: str = "train",
    limit: int | None = None,
    prepared: Path | None = None,
) -> Aviary | WholePhotos:
    """``open_data`` for who needs pictures alone: whole photos, decoded anew for every batch."""
    if str(where) == "aviary":
        return Aviary(size, limit or AVIARY_LARGE, split)
    opened = _open_folder(Path(where), prepared, cache_folder())
    return WholePhotos(*opened, size=size, split=split, limit=limit)


def _open_folder(where: Path, prepared: Path | None, cache: Path) -> tuple[Listing, Prepared]:
    listing = open_listing(where)
    refuse_inside(listing, cache)
    found = Prepared.open(prepared) if prepared else prepared_for(listing, cache)
    if found.left_out:
        sys.stderr.write(
            f"{listing.name}: {len(found.left_out)} photos left out, which do not decode or have "
            f"no caption (python -m models data check names them), {found.left_out[0]} for one\n"
        )
    return listing, found
