"""Several runs, one bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models.bundle import Bundle
from models.card import put_section, read_section
from models.checkpoints.collect import collect
from models.errors import BundleError
from models.pipeline import Item
from models.registry import load
from tests.models.tiny import tiny_bundle


def test_collected_tasks_serve_and_share_files(tmp_path: Path) -> None:
    source = tiny_bundle(tmp_path / "source")
    made = collect(tmp_path / "made", [source.folder])
    assert set(made.tasks) == {"synthesize", "manipulate", "inpaint"}
    encoders = {spec.files["text_encoder"]["path"] for spec in made.tasks.values()}
    assert len(encoders) == 1
    assert "efficient-t2i" in (made.folder / "CARD.md").read_text()
    pipeline = load(made.folder, "synthesize", None, "cpu")
    assert not isinstance(pipeline.run([Item("a red bird", 1)]).pictures[0], Exception)
    again = collect(tmp_path / "made", [source.folder])
    assert again.sha256 == Bundle.open(tmp_path / "made").sha256 == made.sha256


def test_nothing_to_collect(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="can be served"):
        collect(tmp_path / "made", [])


def test_nothing_is_written_before_all_bundles_are_found(tmp_path: Path) -> None:
    tiny_bundle(tmp_path / "run" / "bundle")
    with pytest.raises(BundleError, match=r"no bundle at .*run; there is one at .*bundle"):
        collect(tmp_path / "made", [tmp_path / "run" / "bundle", tmp_path / "run"])
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["inpaint-generator-*.safetensors", "vocabulary.json"])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"{}")])
def test_nothing_is_written_before_all_files_are_read(
    tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    whole = tiny_bundle(tmp_path / "whole")
    broken = tiny_bundle(tmp_path / "broken")
    damage(next(broken.folder.glob(name)))
    with pytest.raises(BundleError, match="'broken'"):
        collect(tmp_path / "made", [whole.folder, broken.folder])
    assert not (tmp_path / "made").exists()
    before = file_bytes(whole.folder)
    with pytest.raises(BundleError, match="'broken'"):
        collect(whole.folder, [broken.folder], domain="birds of prey")
    assert file_bytes(whole.folder) == before


def file_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_numbers_stay_as_they_are_stored_unless_rounding_is_asked_for(tmp_path: Path) -> None:
    source = tiny_bundle(tmp_path / "source")
    exact = collect(tmp_path / "exact", [source.folder])
    rounded = collect(tmp_path / "rounded", [source.folder], half=True)
    kept = collect(tmp_path / "kept", [rounded.folder])
    for task, spec in source.tasks.items():
        assert exact.task(task).files == spec.files
        assert kept.task(task).files == rounded.task(task).files != spec.files
    for values in rounded.stored("synthesize", "text_encoder").values():
        assert values.dtype == (torch.float16 if values.ndim > 1 else torch.float32)


def test_what_a_card_says_of_imported_files_goes_along(tmp_path: Path) -> None:
    source = tiny_bundle(tmp_path / "source")
    origin = "tdanet for `inpaint`. Licence: research.\n\n- encoder: `latest_net_E.pth`"
    put_section(source, "tdanet", origin)
    put_section(source, "Notes", "None of the above.")
    made = collect(tmp_path / "made", [source.folder])
    assert read_section(made.folder, "tdanet").strip() == origin
    assert "Notes" not in (made.folder / "CARD.md").read_text()
    collect(tmp_path / "made", [tiny_bundle(tmp_path / "trained").folder])
    card = (made.folder / "CARD.md").read_text()
    assert "latest_net_E.pth" not in card
    assert card.startswith("# made\n")
