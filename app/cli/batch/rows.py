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
from typing import Any

from pydantic import ValidationError

from app.cli.exits import Exit, Failed
from jobs.requests import TASKS, TaskRequest

_SHOWN = 10  # mistakes; the first ones tell enough
_WORDS = re.compile(r"alpha|-?\d+(\s*,\s*-?\d+){3}|.*/jobs/\w+/images/\d+", re.ASCII)


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


def read(path: Path, task: str | None) -> list[Row]:
    """The rows of ``path``; empty cells are absent. Picture paths start at the file's folder.

    A column ``task`` says what a row asks for, unless ``task`` does for all. Raises Failed with
    every mistake found.
    """
    given = _cells(path)
    wrong: list[str] = []
    rows: list[Row] = []
    seen: Counter[str] = Counter()
    for number, cells in enumerate(given, 1):
        try:
            rows.append(_row(number, cells, path.parent, task, seen))
        except ValueError as error:
            wrong.append(f"row {number}: {error}")
    if wrong:
        more = f"\n… and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        told = "\n".join(wrong[:_SHOWN])
        raise Failed(Exit.refused, f"{path} was not sent:\n{told}{more}")
    return rows


def _cells(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            table = csv.DictReader(lines, restkey="", strict=True)
            for cells in table:
                yield {k: v.strip() for k, v in cells.items() if isinstance(v, str) and v.strip()}
                if cells.get(""):
                    raise Failed(
                        Exit.refused,
                        f"{path}, line {table.line_num}, has more cells than the header; put texts "
                        "with commas in quotes.",
                    )
    except OSError as error:
        raise Failed(Exit.refused, f"{path} can't be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise Failed(Exit.refused, f"{path} is no CSV file in UTF-8: {error}.") from error


def _row(
    number: int, cells: dict[str, str], folder: Path, task: str | None, seen: Counter[str]
) -> Row:
    name = task or cells.pop("task", "")
    cells.pop("task", None)
    if name not in TASKS:
        raise ValueError(f"give --task or a column task, one of {', '.join(TASKS)}")
    images = {
        spec.name: _picture(spec.name, cells.pop(spec.name, ""), folder)
        for spec in TASKS[name].images
    }
    _check(TASKS[name], cells)
    content = _content(name, cells, images)
    seen[content] += 1
    return Row(number, name, cells, images, _digest(content, seen[content]))


def _picture(name: str, value: str, folder: Path) -> str:
    if not value:
        raise ValueError(f"{name} is missing")
    path = folder / value
    if path.is_file():
        return str(path)
    if _WORDS.fullmatch(value):
        return value
    raise ValueError(f"{name}: there is no file {path}")


def _check(task: type[TaskRequest], cells: Mapping[str, str]) -> None:
    try:
        task.model_validate(cells)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            known = ", ".join([*(s.name for s in task.images), *task.model_fields])
            raise ValueError(f"{task.task} has no field {where!r}; it has {known}") from error
        raise ValueError(f"{where}: {first['msg']}") from error


def _content(task: str, cells: Mapping[str, str], images: Mapping[str, str]) -> str:
    pictures = {name: _fingerprint(value) for name, value in images.items()}
    return json.dumps([task, cells, pictures], sort_keys=True, ensure_ascii=False)


def _fingerprint(value: str) -> str:
    path = Path(value)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else value


def _digest(*parts: Any) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()
