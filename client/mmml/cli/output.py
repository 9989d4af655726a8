"""Waiting for a job, with one line on the terminal that says how far it is, and where finished
images go: files, stdout, the terminal, the desktop's viewer.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from PIL import Image, ImageDraw

from mmml import Explanation, Job, Word
from mmml.base_job import FORMATS
from mmml.cli.context import CliContext, CommandError, ExitStatus, printable
from mmml.cli.terminal import show_images

STDOUT = Path("-")


def output_parameters() -> list[click.Option]:
    """Options of every command that ends with pictures."""
    return [
        click.Option(
            ["-o", "--output"],
            type=click.Path(path_type=Path),
            callback=_check_name,
            help="file to write, whose suffix selects the format; - writes to stdout",
        ),
        click.Option(
            ["--show/--no-show"],
            default=None,
            help="show the images in the terminal; by default if stdout is one",
        ),
        click.Option(
            ["--open", "opened"], is_flag=True, help="open the files in the desktop's viewer"
        ),
    ]


def timeout_parameter() -> click.Option:
    return click.Option(
        ["--timeout"],
        type=click.FloatRange(0, min_open=True),
        default=300.0,
        help="seconds to wait for the end of the job",
    )


def _check_name(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Any:
    """Before a job is made whose images could not be written."""
    if value is None or value == STDOUT:
        return value
    if value.suffix.lower() not in FORMATS:
        raise click.BadParameter(f"{value}: the file's name must end in {', '.join(FORMATS)}.")
    if not value.parent.is_dir():
        raise click.BadParameter(f"There is no folder {value.parent}; create it first.")
    if value.is_dir() or not os.access(value.parent, os.W_OK):
        raise click.BadParameter(f"{value} can't be written; give another file.")
    return value


def default_output(job: Job, stem: str) -> Path:
    """A file for the job's pictures, in the format they have."""
    format = job.record["input"].get("format")
    extension = "jpg" if format == "jpeg" else format if format in FORMATS.values() else "png"
    return Path(f"{stem}.{extension}")


def deliver(
    run: CliContext, job: Job, output: Path, in_terminal: bool | None, opened: bool
) -> None:
    """Write the pictures of a job that was waited for, and say where."""
    for warning in job.warnings:
        run.warn(warning)
    if output == STDOUT:
        _write_to_stdout(job.pictures)
        require_all_images(job)
        return
    files = _save(job, output)
    files += _save_word_maps(job, files)
    run.print_result({**job.record, "files": [str(path) for path in files]}, map(str, files))
    if not run.as_json:
        show_images(job.images, in_terminal)
    if opened:
        _open_files(run, files)
    require_all_images(job)


def require_all_images(job: Job) -> None:
    """CommandError when some of the images failed; the others were delivered."""
    images = job.record["images"]
    failures = [image["error"]["detail"] for image in images if image["error"]]
    if failures and job.status == "succeeded":
        detail = f"{len(failures)} of {len(images)} images failed: {failures[0]}"
        raise CommandError(detail, ExitStatus.partial)


def _save(job: Job, output: Path) -> list[Path]:
    try:
        return job.save(output)
    except OSError as error:
        raise CommandError(f"{output} can't be written: {error.strerror or error}.") from error


def _save_word_maps(job: Job, files: list[Path]) -> list[Path]:
    """Beside each picture that is explained, where its words acted: bird.png, bird-words.png."""
    records = [image for image in job.record["images"] if image["url"]]
    written = []
    for image, picture, path in zip(records, job.images, files, strict=True):
        explanation = job.explanation(image["index"]) if image["explanation"] else None
        tiles = draw_word_maps(picture, explanation) if explanation else None
        if tiles:
            written.append(path.with_name(f"{path.stem}-words.png"))
            tiles.save(written[-1])
    return written


def _write_to_stdout(pictures: list[bytes]) -> None:
    if len(pictures) > 1:
        detail = f"stdout takes one picture, and there are {len(pictures)}; give -o FILE."
        raise CommandError(detail, ExitStatus.usage)
    sys.stdout.buffer.write(pictures[0])


def _open_files(run: CliContext, files: list[Path]) -> None:
    for path in files:
        if click.launch(str(path)):
            run.warn(f"{path} could not be opened; this machine seems to have no viewer.")


_CLEAR = "\r\033[K"


def wait_for_job(job: Job, fetch: bool = True) -> None:
    """Wait for the job's end. Raises JobFailed and StillRunning."""
    try:
        with _progress_line() as on_change:
            job.wait(on_change, fetch=fetch)
    except KeyboardInterrupt:
        job_id = printable(job.id)
        click.echo(f"The job continues: mmml wait {job_id}, or mmml cancel {job_id}", err=True)
        raise


@contextlib.contextmanager
def _progress_line() -> Iterator[Callable[[Mapping[str, Any]], None] | None]:
    """What to call with the job's record; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    try:
        yield lambda job: click.echo(f"{_CLEAR}{printable(_progress(job))}", nl=False, err=True)
    finally:
        click.echo(_CLEAR, nl=False, err=True)


def _progress(job: Mapping[str, Any]) -> str:
    position, progress = job.get("queue_position"), job.get("progress") or {}
    ahead = f", {position} in front" if position else ""
    total = progress.get("total", 1)
    share = f", {progress['done']} of {total} pictures" if total > 1 else ""
    return f"{job['task']}: {job['status']}{ahead}{share}"


SIDE = 192  # pixels of a tile's longer side
_LABEL = 18  # pixels below a tile
_COLUMNS = 4
_FAINT = 0.15  # of the picture's brightness, where a word did nothing


def draw_word_maps(picture: Image.Image, explanation: Explanation) -> Image.Image | None:
    """Tiles of the words that have a map; None when none has. Darker is less, for all alike."""
    words = [word for word in explanation.words if word.maps]
    if not words:
        return None
    tile = picture.convert("RGB")
    scale = SIDE / max(tile.size)
    tile = tile.resize((max(round(tile.width * scale), 1), max(round(tile.height * scale), 1)))
    columns, rows = min(len(words), _COLUMNS), -(-len(words) // _COLUMNS)
    sheet = Image.new("RGB", (columns * tile.width, rows * (tile.height + _LABEL)), "white")
    for number, (word, lit) in enumerate(zip(words, _highlight(tile, words), strict=True)):
        x, y = number % _COLUMNS * tile.width, number // _COLUMNS * (tile.height + _LABEL)
        sheet.paste(lit, (x, y))
        ImageDraw.Draw(sheet).text((x + 4, y + tile.height + 3), word.word, fill="black")
    return sheet


def _highlight(tile: Image.Image, words: list[Word]) -> Iterator[Image.Image]:
    dark = Image.blend(Image.new("RGB", tile.size), tile, _FAINT)
    for word in words:
        strength = 1.0 if word.peak is None else word.peak
        scaled = [round(value * min(strength, 1.0)) for value in range(256)]
        light = next(iter(word.maps.values())).resize(tile.size).point(scaled)
        yield Image.composite(tile, dark, light)
