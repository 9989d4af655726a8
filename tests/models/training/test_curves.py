from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from models.errors import ModelsError
from models.training.curves import Curves, draw


def logged(folder: Path, steps: int, **options: object) -> Path:
    """A run's folder with ``steps`` lines of statistics."""
    folder.mkdir()
    lines = [
        f'{{"step": {k + 1}, "seconds": 1, "rate": 2, "d": {k / 2}, "g": 1}}' for k in range(steps)
    ]
    (folder / "stats.jsonl").write_text("\n".join(lines) + "\n")
    if options:
        (folder / "options.json").write_text(json.dumps(options))
    return folder


@pytest.mark.parametrize("name", ["losses.png", "losses.webp"])
def test_every_value_gets_a_panel(tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    draw(Curves.of([logged(tmp_path / "run", 30)]), out)
    with Image.open(out) as picture:
        assert picture.width > 600
        assert picture.format == name[-4:].strip(".").upper()
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 2
    assert out.stat().st_size < 100_000


def test_stages_continue_each_other(tmp_path: Path) -> None:
    told = {"part": "synthesis", "data": {"name": "aviary"}, "loop": {"batch": 32}}
    runs = [logged(tmp_path / f"s{k}", 3, stage=f"aviary/synthesis-{k}", **told) for k in (1, 2)]
    curves = Curves.of(runs, "weights/aviary")
    assert [step for step, _ in curves.values["d"]] == [1, 2, 3, 4, 5, 6]
    assert curves.starts == [(3, "aviary/synthesis-2")]
    assert curves.title == (
        "weights/aviary: synthesis (aviary/synthesis-1 … aviary/synthesis-2), 6 steps of "
        "32 pictures"
    )
    assert curves.meaning("d") == "discriminator: loss"
    assert curves.meaning("unheard") == "unheard"


def test_a_step_that_was_repeated_counts_once_and_a_torn_line_never(tmp_path: Path) -> None:
    (tmp_path / "stats.jsonl").write_text(
        '{"step": 1, "d": 5}\n{"step": 2, "d": 6}\n{"step": 1, "d": 7}\n{"step": 3, "d'
    )
    assert Curves.of([tmp_path]).values == {"d": [(1, 7), (2, 6)]}


def test_nothing_logged_draws_nothing(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match="logged nothing"):
        Curves.of([tmp_path])
    (tmp_path / "stats.jsonl").touch()
    draw(Curves.of([tmp_path]), tmp_path / "losses.png")
    assert not (tmp_path / "losses.png").exists()
