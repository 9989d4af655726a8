"""A CSV file as rows that were checked before anything is sent."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mmml.cli.context import CommandError
from mmml.tasks import Task, tasks

FORMATS = ("png", "jpeg", "webp")
_NOT_COLUMNS = ("frames",)  # of several texts, and a row has one
_SURPLUS = ""  # no column's name
_REFERENCE = re.compile(r"alpha|-?\d+(\s*,\s*-?\d+){3}|.*/jobs/\w+/images/\d+", re.ASCII)


@dataclass(frozen=True)
class Row:
    """Row ``number`` (the first behind the header is 1): fields as text, pictures as paths or as
    what the service understands. ``digest`` follows from all that is asked for, and from how often
    that was asked for above.
    """

    number: int
    task: str
    fields: Mapping[str, str]
    images: Mapping[str, str]
    digest: str


def read_rows(path: Path, task: str | None, most: int | None = None) -> list[Row]:
    """The rows of ``path``; empty cells are absent. Picture paths start at the file's folder.

    A column ``task`` says what a row asks for, unless ``task`` does for all. Raises
    CommandError with every row that can't be sent, or with the first ``most`` of them.
    """
    mistakes: list[str] = []
    rows: list[Row] = []
    occurrences: Counter[str] = Counter()
    for number, cells in enumerate(_cells(path), 1):
        try:
            rows.append(_row(number, cells, path.parent, task, occurrences))
        except ValueError as error:
            mistakes.append(f"row {number}: {error}")
    if mistakes:
        shown = mistakes[:most]
        left = len(mistakes) - len(shown)
        more = f"\n… and {left} more; --check shows all" if left else ""
        lines = "\n".join(shown)
        raise CommandError(f"{path} was not sent:\n{lines}{more}")
    return rows


def _cells(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            table = csv.DictReader(lines, restkey=_SURPLUS, strict=True)
            for cells in table:
                yield {
                    k: v.strip() for k, v in cells.items() if isinstance(v, str) and v.strip()
                } | ({_SURPLUS: f"line {table.line_num}"} if cells.get(_SURPLUS) else {})
    except OSError as error:
        raise CommandError(f"{path} can't be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CommandError(f"{path} is no CSV file in UTF-8: {error}.") from error


def _row(
    number: int, cells: dict[str, str], folder: Path, task: str | None, occurrences: Counter[str]
) -> Row:
    if _SURPLUS in cells:
        raise ValueError(
            f"{cells[_SURPLUS]} has more cells than the header; put texts with commas in quotes"
        )
    name = task or cells.pop("task", "")
    cells.pop("task", None)
    if name not in tasks():
        raise ValueError(f"give --task or a column task, one of {', '.join(tasks())}")
    known = tasks()[name]
    images = {image: _image(image, cells.pop(image, ""), folder) for image in known.images}
    _check(known, cells)
    content = _content(name, cells, images)
    occurrences[content] += 1
    digest = hashlib.sha256(f"{content}\0{occurrences[content]}".encode()).hexdigest()
    return Row(number, name, cells, images, digest)


def _image(name: str, value: str, folder: Path) -> str:
    if not value:
        raise ValueError(f"{name} is missing")
    path = folder / value
    if _is_file(path):
        _require_image(name, path)
        return str(path)
    if _REFERENCE.fullmatch(value):
        return value
    raise ValueError(f"{name}: there is no file {str(path)[:300]}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a data URL, which is too long for a name
        return False


def _require_image(name: str, path: Path) -> None:
    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP")):  # reads no more than its beginning
            pass
    except OSError as error:
        raise ValueError(f"{name}: {path} is no PNG, JPEG or WebP that can be read") from error


def _check(task: Task, cells: Mapping[str, str]) -> None:
    """Raises ValueError unless the cells can be fields of the task's request."""
    fields = {name: f for name, f in task.fields.items() if name not in _NOT_COLUMNS}
    for name, value in cells.items():
        if name not in fields:
            columns = ", ".join([*task.images, *fields])
            raise ValueError(f"{task.name} has no field {name!r}; it has {columns}")
        try:
            fields[name].check(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    if cells.get("format", "png") not in FORMATS:
        raise ValueError(f"format: must be one of {', '.join(FORMATS)}")
    for name in task.required:
        if name not in cells:
            raise ValueError(f"{name}: is missing")


def _content(task: str, cells: Mapping[str, str], images: Mapping[str, str]) -> str:
    pictures = {name: _fingerprint(value) for name, value in images.items()}
    return json.dumps([task, cells, pictures], sort_keys=True, ensure_ascii=False)


def _fingerprint(value: str) -> str:
    path = Path(value)
    return hashlib.sha256(path.read_bytes()).hexdigest() if _is_file(path) else value
