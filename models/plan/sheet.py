"""The first pictures that a bundle makes of a held-out split, as they come, on one sheet."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from models.bundle import Bundle
from models.errors import ModelsError
from models.evaluation.cases import Case, HeldOut
from models.evaluation.pictures import stack
from models.evaluation.run import TASKS, Options, open_held_out
from models.evaluation.runner import Runner
from models.pipeline import Item
from models.registry import PIPELINES, load
from models.training.objective import stack_rows
from models.training.run import grid

COLUMNS = 8
_MASK = "object"  # kind of mask, and the one where the data has no objects
_OTHER_MASK = "center"


def draw_sheet(source: Path, data: str, out: Path, count: int, split: str, device: str) -> None:
    """Write ``count`` pictures of fixed seeds, eight in a row, as ``out`` (WebP or PNG); edits and
    fills have a row of what they were made from above them.

    source: a bundle, or a run's folder. A run whose bundle serves nothing gives its newest grid of
    samples. Raises ModelsError when there is neither.
    """
    folder = source if (source / "bundle.json").exists() else source / "bundle"
    bundle = Bundle.open(folder)
    task = next((t for t in bundle.tasks if t in TASKS and t in PIPELINES), None)
    if task is None:
        page = _newest_grid(source)
    else:
        options = Options(split=split, device=device)
        page = _sample(folder, task, open_held_out(data, bundle, options), count, device)
    out.parent.mkdir(parents=True, exist_ok=True)
    page.save(out, quality=92)  # PNG has no such choice


def _sample(folder: Path, task: str, data: HeldOut, count: int, device: str) -> Image.Image:
    runner = Runner(load(folder, task, None, device))
    cases, asked = first_items(runner, data, task, count)
    made = runner.run(asked)
    if task == "synthesize":
        return grid(stack(made), COLUMNS)
    side = made[0].size
    before = [_show_hole(case).resize(side, Image.Resampling.BICUBIC) for case in cases]
    return grid(stack_rows(stack(before), stack(made)), COLUMNS)


def first_items(
    runner: Runner, data: HeldOut, task: str, count: int
) -> tuple[list[Case], list[Item]]:
    """The first samples of a split, and what is asked of them. Raises ModelsError without any."""
    cases = runner.filter_known(_cases(data, task, count, runner.size))
    if not cases:
        raise ModelsError(f"{data.name} has no samples for {task!r} in the split {data.split}.")
    # Index 1: of several pictures of a request the first is the mean, this one a sample.
    index = 1 if task == "inpaint" else 0
    return cases, runner.items(cases, [c.caption for c in cases], index)


def _cases(data: HeldOut, task: str, count: int, size: int) -> list[Case]:
    if task == "synthesize":
        return data.synthesis(count, size)
    if task == "manipulate":
        return data.manipulation(count, size)
    return data.inpainting(count, size, _MASK) or data.inpainting(count, size, _OTHER_MASK)


def _show_hole(case: Case) -> Image.Image:
    """The photo, white where there is a hole."""
    if case.mask is None:
        return case.picture
    return Image.composite(Image.new("RGB", case.picture.size, "white"), case.picture, case.mask)


def _newest_grid(run: Path) -> Image.Image:
    grids = sorted((run / "samples").glob("*.png"))
    if not grids:
        raise ModelsError(f"{run} serves no task and has no grid of samples.")
    with Image.open(grids[-1]) as grid:
        return grid.convert("RGB")
