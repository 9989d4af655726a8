from __future__ import annotations

from pathlib import Path

from PIL import Image

from models.training.curves import draw, read


def test_every_value_gets_a_panel(tmp_path: Path) -> None:
    stats, out = tmp_path / "stats.jsonl", tmp_path / "losses.png"
    lines = [f'{{"step": {k}, "seconds": 1, "rate": 2, "d": {k / 2}, "g": 1}}' for k in range(30)]
    stats.write_text("\n".join(lines) + "\n")
    draw(stats, out, "a run")
    with Image.open(out) as picture:
        assert picture.width > 600
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 2


def test_a_step_that_was_repeated_counts_once(tmp_path: Path) -> None:
    stats = tmp_path / "stats.jsonl"
    stats.write_text('{"step": 1, "d": 5}\n{"step": 2, "d": 6}\n{"step": 1, "d": 7}\n')
    assert read(stats) == {"d": [(1, 7), (2, 6)]}


def test_nothing_logged_draws_nothing(tmp_path: Path) -> None:
    stats, out = tmp_path / "stats.jsonl", tmp_path / "losses.png"
    stats.touch()
    draw(stats, out, "a run")
    assert not out.exists()
