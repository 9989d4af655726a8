"""Oxford-102 flowers with the captions of Reed et al. (2016)."""

from collections.abc import Collection, Iterable
from pathlib import Path

from models.data.layouts import base

NAME = "flowers"
NEEDS = "jpg/image_XXXXX.jpg and text_c10/class_000NN/image_XXXXX.txt"
LICENCE = "Oxford-102: research use; photo rights stay with their owners"


def recognise(folder: Path) -> bool:
    return (folder / "jpg").is_dir() and (folder / "text_c10").is_dir()


def _find_named(paths: Iterable[Path], suffixes: Collection[str]) -> dict[str, Path]:
    """Files of these kinds by their names in lower case; what macOS and others hide is left out."""
    return {
        path.stem.lower(): path
        for path in sorted(paths)
        if path.suffix.lower() in suffixes and not path.name.startswith(".")
    }


def read(folder: Path, split_file: Path | None = None) -> base.Listing:
    """Photos by name; a photo's class is the folder of its captions. Photos without captions have
    no class either and are listed too, so that a check can name them.
    """
    texts = _find_named((folder / "text_c10").glob("class_*/*"), {".txt"})
    photos = _find_named((folder / "jpg").iterdir(), base.PHOTO_SUFFIXES)
    if not texts:
        raise base.DataError(f"{folder / 'text_c10'} holds no class_000NN/image_XXXXX.txt.")
    records = tuple(
        _record(photos.get(stem, folder / "jpg" / f"{stem}.jpg"), texts.get(stem))
        for stem in sorted(texts.keys() | photos.keys())
    )
    path = split_file or folder / "class_split.json"
    names = map(_class_name, base.read_split(path)) if split_file or path.is_file() else ()
    out = base.held_out(path, names, records)
    return base.Listing(NAME, "Oxford-102", "flowers", LICENCE, folder, records, out)


def _record(photo: Path, text: Path | None) -> base.Record:
    captions = base.read_captions(text) if text else ()
    return base.Record(
        base.printable_name(photo.name), photo, captions, text.parent.name if text else ""
    )


def _class_name(name: str) -> str:
    """Split files number the classes; folders are called class_000NN."""
    return f"class_{int(name):05}" if name.isdecimal() else name
