"""The card of a bundle trained on somebody's own photos: what it learned from, for how long, and
what nobody has measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from models.bundle import Bundle
from models.card import put_section
from models.data.check import Check
from models.data.prepare import Prepared
from models.files import json_lines
from models.plan.sheet import COLUMNS
from models.tables import markdown_table
from models.training.run import code_version

_COLUMNS = ("part", "minutes", "steps", "times that each photo was shown", "began with")
_FEW = 500  # photos, below which synthesis mostly repeats what it saw


def write_card(
    bundle: Bundle, runs: Mapping[str, Path], found: Check, prepared: Prepared, init: Path | None
) -> None:
    """Write ``CARD.md``. runs: part -> its run folder; init: the bundle that was begun with."""
    count = len(prepared.split["train"])
    put_section(bundle, "Data", _data(found, prepared))
    put_section(bundle, "Training", _training(runs, count))
    put_section(bundle, "What to expect", _expect(bundle, count, init))


def write_picture(run: Path | None, folder: Path) -> None:
    """``picture.webp``, by which the studio shows a bundle: the first one of synthesis's sheet."""
    if run is None or not (run / "sheet.webp").exists():
        return
    with Image.open(run / "sheet.webp") as sheet:
        side = sheet.width // COLUMNS
        sheet.crop((0, 0, side, side)).save(folder / "picture.webp", quality=90)


def _data(found: Check, prepared: Prepared) -> str:
    split = prepared.split
    listing = found.listing
    captions = sum(len(record.captions) for record in found.usable)
    return (
        f"{len(split['train'])} photos of a folder called `{listing.name}` (layout "
        f"{listing.layout}), with captions of {len(prepared.words) - 1} known words ({captions} "
        f"captions in all). Held out: {len(split['validation'])} for validation, "
        f"{len(split['test'])} for test. Left out: {len(found.faults)} undecodable, "
        f"{len(found.uncaptioned)} without a caption. None of the photos is in the bundle; rights "
        "to them are their owners' matter, and this command has asked nobody."
    )


def _training(runs: Mapping[str, Path], count: int) -> str:
    version = code_version()
    return (
        "By `mmml train-bundle`, preset `cub`; the frozen trunk of encoders and discriminators is "
        "EfficientNet-Lite0 with its public ImageNet weights (Apache-2.0). Code: commit "
        f"{version['commit']}, torch {version['torch']}.\n\n"
    ) + markdown_table(_COLUMNS, (_row(part, run, count) for part, run in runs.items()))


def _row(part: str, run: Path, count: int) -> tuple[str, ...]:
    options = json.loads((run / "options.json").read_text(encoding="utf-8"))
    last = max(json_lines(run / "stats.jsonl", "step"), key=lambda line: line["step"], default={})
    steps, batch = int(last.get("step", 0)), int(options["loop"]["batch"])
    done = f"{steps:,}" if steps else f"fewer than {options['loop']['log_every']}"
    minutes, shown = float(last.get("seconds", 0)) / 60, steps * batch / count
    init = Path(options["init"]).name if options["init"] else "nothing"
    return part, f"{minutes:.1f}", f"{done} of {batch}", f"{shown:,.0f}", init


def _expect(bundle: Bundle, count: int, init: Path | None) -> str:
    said = [
        f"{count} photos are few: expect `synthesize` to repeat what it saw, and edits and fills "
        "to know only what these captions name."
        if count < _FEW
        else "",
        f"Training began with the bundle `{init.name}`, whose licence holds here as well."
        if init
        else "",
        "Training measured nothing, and nobody looked at its pictures. To measure it on photos "
        f"that were held out: `python -m models evaluate {bundle.folder.name} --data FOLDER --out "
        "report`.",
    ]
    return "\n\n".join(filter(None, said))
