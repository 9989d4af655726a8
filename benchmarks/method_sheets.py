"""The first samples of all rows of a task on one sheet, not chosen. No photo may be shown: captions
of photos are the project's own, and what is edited or filled was made by the bundle whose encoders
all rows have. Of drawn birds they are those of the validation split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from benchmarks.method_report import Budget, Trained
from docs.tools.gallery_photos import CAPTIONS, centre_mask, with_hole
from models.bundle import Bundle
from models.evaluation.pictures import stack
from models.evaluation.run import Options, open_held_out
from models.evaluation.runner import Runner
from models.pipeline import Item
from models.plan.sheet import first_items
from models.registry import load
from models.training.run import grid

_COUNT = 8
_MARGIN = 176  # pixels of a row's name
_INPUT = "input"


def draw_sheets(folder: Path, budget: Budget, rows: Mapping[str, Sequence[Trained]]) -> list[Path]:
    """``compare-TASK.webp`` of each task that has rows, by each row's first seed."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for task in dict.fromkeys(runs[0].details[0] for runs in rows.values()):
        own = {x: runs[0] for x, runs in rows.items() if runs[0].details[0] == task}
        asked = _items(task, budget, next(iter(own.values())))
        lines = {label: _runner(run.run / "bundle", task).run(asked) for label, run in own.items()}
        if asked[0].images:
            lines = {_INPUT: [with_hole(item.images) for item in asked], **lines}
        path = folder / f"compare-{task}.webp"
        _sheet(lines).save(path, quality=90)
        made.append(path)
    return made


def _runner(bundle: Path, task: str) -> Runner:
    return Runner(load(bundle, task, None, "cpu"))


def _items(task: str, budget: Budget, run: Trained) -> list[Item]:
    """What every row is asked for."""
    if budget.data == "aviary":
        data = open_held_out("aviary", Bundle.open(run.run / "bundle"), Options())
        return first_items(_runner(run.run / "bundle", task), data, task, _COUNT)[1]
    texts = CAPTIONS[budget.encoders.name][:_COUNT]
    drawn = [Item(text, seed=k) for k, text in enumerate(texts)]
    if task == "synthesize":
        return drawn
    given = [{"image": picture} for picture in _runner(budget.encoders, "synthesize").run(drawn)]
    if task == "inpaint":
        masked = [{**x, "mask": centre_mask(x["image"].size)} for x in given]
        return [Item(t, k, 1, x) for k, (t, x) in enumerate(zip(texts, masked, strict=True))]
    others = [*texts[1:], texts[0]]
    return [Item(t, k, 0, x) for k, (t, x) in enumerate(zip(others, given, strict=True))]


def _sheet(lines: Mapping[str, Sequence[Any]]) -> Image.Image:
    """Rows of pictures with their names at the left."""
    rows = {label: grid(stack(pictures), _COUNT) for label, pictures in lines.items()}
    height = next(iter(rows.values())).height
    width = max(row.width for row in rows.values())
    page = Image.new("RGB", (_MARGIN + width, height * len(rows)), "white")
    pen = ImageDraw.Draw(page)
    for k, (label, row) in enumerate(rows.items()):
        page.paste(row, (_MARGIN, k * height))
        pen.text((4, (k + 0.5) * height), label, fill="black", anchor="lm")
    return page
