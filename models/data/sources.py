"""From a folder to its photos: the layouts that are recognised, and which one a folder has."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Protocol

from models.data.layouts import coco, cub, flowers, folder
from models.data.layouts.base import DataError, Listing


class Layout(Protocol):
    """A module that reads one layout. NEEDS: the files by which a person recognises it."""

    NAME: str
    NEEDS: str

    def recognise(self, folder: Path) -> bool: ...

    def read(self, folder: Path, split_file: Path | None = None) -> Listing: ...


_SHOWN = 3  # of what was skipped; data check shows more
# The plain folder comes last: other layouts hold photos and texts as well.
LAYOUTS: tuple[Layout, ...] = (cub, flowers, coco, folder)


def open_listing(folder: Path, split_file: Path | None = None) -> Listing:
    """The photos of ``folder`` in whichever layout fits; ``split_file`` (JSON or one name a line)
    says what is kept for testing instead of the set itself. Raises DataError.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the folder that holds the data set.")
    if split_file and not split_file.is_file():
        raise DataError(f"The split file {split_file} does not exist.")
    for layout in LAYOUTS:
        if layout.recognise(folder):
            return _announce(layout.read(folder, split_file))
    needs = "; ".join(f"{layout.NAME} needs {layout.NEEDS}" for layout in LAYOUTS)
    raise DataError(f"{folder} has none of the known layouts: {needs}.")


def _announce(listing: Listing) -> Listing:
    """Says what was skipped, whoever opened the data set."""
    if listing.skipped:
        first = "; ".join(listing.skipped[:_SHOWN])
        sys.stderr.write(f"{listing.name}: {len(listing.skipped)} skipped ({first})\n")
    return listing
