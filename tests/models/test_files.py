"""Files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.files import write_whole


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_whole(tmp_path / "taken", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    write_whole(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"
