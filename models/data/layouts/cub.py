"""CUB-200-2011, birds: photos, species and boxes of the official set with the captions of Reed et
al. (2016), "Learning Deep Representations of Fine-Grained Visual Descriptions".
"""

from pathlib import Path

from models.data.layouts import base

NAME = "cub"
NEEDS = "images.txt, image_class_labels.txt, classes.txt, images/ and text/<class>/<image>.txt"
_ROOM = 0.12  # share of a side: random crops of 64 from 76 pixels take up to 12/76 of it
LICENCE = "CUB-200-2011: non-commercial research and education; photo rights stay with their owners"


def recognise(folder: Path) -> bool:
    return _root(folder) is not None


def _root(folder: Path) -> Path | None:
    """Where the tables lie: in ``folder``, or in the official one below it (AttnGAN's birds/)."""
    files = ("images.txt", "image_class_labels.txt", "classes.txt")
    for root in (folder, folder / "CUB_200_2011"):
        if (root / "images").is_dir() and all((root / name).is_file() for name in files):
            return root
    return None


def _texts(root: Path, class_name: str) -> Path:
    """The captions' folder, text or text_c10, in the data set or beside it."""
    places = [place / name for place in (root, root.parent) for name in ("text", "text_c10")]
    return next((place for place in places if (place / class_name).is_dir()), root)


def read(given: Path, split_file: Path | None = None) -> base.Listing:
    """All photos in the order of images.txt; a key is the photo's name there."""
    folder = _root(given) or given
    names = _table(folder / "images.txt")
    labels = _table(folder / "image_class_labels.txt")
    classes = _table(folder / "classes.txt")
    boxes = _boxes(folder)
    texts = _texts(folder, next(iter(names.values()), "").split("/")[0])
    try:
        records = tuple(
            _record(folder, texts, name, classes[labels[number]], boxes.get(number))
            for number, name in names.items()
        )
    except KeyError as error:
        raise base.DataError(
            f"{folder}: image_class_labels.txt and classes.txt do not cover number {error} "
            "of images.txt; take all three from the same copy of the data set."
        ) from error
    out = _held_out(folder, split_file, records, names)
    return base.Listing(NAME, "CUB-200-2011", "birds", LICENCE, given, records, out)


def square_box(box: tuple[float, float, float, float], size: tuple[int, int]) -> base.Box:
    """AttnGAN's crop (x, y, w, h): reach 0.75 of the longer side around the centre, clipped to
    the photo of ``size`` (width, height), so square except at the photo's border.
    """
    x, y, w, h = box
    reach = int(0.75 * max(w, h))
    centre_x, centre_y = int(x + w / 2), int(y + h / 2)
    left, top = max(0, centre_x - reach), max(0, centre_y - reach)
    right, bottom = min(size[0], centre_x + reach), min(size[1], centre_y + reach)
    return left, top, right - left, bottom - top


def _record(
    folder: Path,
    texts: Path,
    name: str,
    class_name: str,
    box: tuple[float, float, float, float] | None,
) -> base.Record:
    path = base.find_ignoring_case(folder / "images" / name)
    size = base.photo_size(path) if box else None
    square = square_box(box, size) if box and size else None
    if square and min(square[2:]) < 1:  # a box beside the photo shows nothing
        square = None
    captions = base.read_captions(texts / Path(name).with_suffix(".txt"))
    # Without boxes the photos are taken for squares that were cut around the birds already.
    tight = square is None or box is None or _is_tight(box, square)
    return base.Record(
        base.printable_name(name),
        path,
        captions,
        base.printable_name(class_name),
        square,
        tight=tight,
    )


def _is_tight(box: tuple[float, float, float, float], square: base.Box) -> bool:
    """Whether the square leaves less room around the box than random crops take."""
    room = [square[k] - box[k] for k in (2, 3)]
    return min(room[0] / square[2], room[1] / square[3]) < _ROOM


def _table(path: Path) -> dict[str, str]:
    """Lines "number value" as number -> value."""
    rows = [line.split(maxsplit=1) for line in base.read_names(path)]
    if any(len(row) < 2 for row in rows):
        raise base.DataError(f"{path} has a line that is not a number and a value.")
    return {row[0]: row[1] for row in rows}


def _boxes(folder: Path) -> dict[str, tuple[float, float, float, float]]:
    """Official boxes (x, y, w, h); none where crops.json says that the photos are crops by now."""
    path = folder / "bounding_boxes.txt"
    if (folder / "crops.json").exists() or not path.is_file():
        return {}
    boxes = {}
    for number, values in _table(path).items():
        try:
            x, y, w, h = (float(value) for value in values.split())
        except ValueError as error:
            raise base.DataError(f"{path}: photo {number} needs four numbers x y w h.") from error
        boxes[number] = (x, y, w, h)
    return boxes


def _held_out(
    folder: Path, split_file: Path | None, records: tuple[base.Record, ...], names: dict[str, str]
) -> frozenset[str]:
    """Classes of the split file, or the photos that train_test_split.txt marks 0."""
    path = split_file or folder / "class_split.json"
    if split_file or path.is_file():
        return base.held_out(path, base.read_split(path), records)
    path = folder / "train_test_split.txt"
    if not path.is_file():
        return frozenset()
    flags = _table(path)
    return frozenset(base.printable_name(name) for n, name in names.items() if flags.get(n) == "0")
