"""docs/notebooks: made in one go, small, and every cell still runs."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "docs" / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))
LARGEST = 200_000  # bytes


def cells(name: str) -> list[nbformat.NotebookNode]:
    """Those with code."""
    notebook = nbformat.read(FOLDER / name, as_version=4)  # type: ignore[no-untyped-call]
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(found: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    return [output for cell in found for output in cell.outputs]


def test_all_are_listed() -> None:
    index = (FOLDER / "README.md").read_text()
    assert len(NOTEBOOKS) == 3
    assert all(f"[{name}]({name})" in index for name in NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_its_outputs_are_whole_and_small(name: str) -> None:
    found = cells(name)
    assert [cell.execution_count for cell in found] == list(range(1, len(found) + 1))
    kinds = [output.output_type for output in outputs(found)]
    assert "error" not in kinds
    assert sum("image/png" in output.get("data", {}) for output in outputs(found)) >= 3
    assert (FOLDER / name).stat().st_size < LARGEST


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_runs_again(name: str, fake_url: str) -> None:
    notebook = nbformat.read(FOLDER / name, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(FOLDER)}})
    client.execute(env=os.environ | {"MMML_URL": fake_url})  # raises when a cell does
    assert outputs([cell for cell in notebook.cells if cell.cell_type == "code"])
