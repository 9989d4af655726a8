from pathlib import Path

import numpy as np
import pytest
import torch

from models.data.aviary import render
from models.data.aviary_set import Aviary


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Aviary:
    return Aviary(32, 8, cache=tmp_path_factory.mktemp("cache"))


def test_painted_equals_rendered(data: Aviary) -> None:
    rng = np.random.default_rng(0)
    sample = data.sample(3, rng)
    painted = data.paint(np.array([3]), [sample])[0]
    rendered = torch.from_numpy(np.array(render(sample, 32))).permute(2, 0, 1) / 127.5 - 1
    assert (painted - rendered).abs().max() < 0.03


def test_batch_follows_from_its_source(data: Aviary) -> None:
    one, two = (data.batch("damsm", np.arange(4), np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(one.images, two.images)
    assert torch.equal(one.ids, two.ids)


def test_edit_changes_only_some_of_the_picture(data: Aviary) -> None:
    batch = data.batch("manipulation", np.arange(8), np.random.default_rng(1))
    assert batch.source is not None
    changed = (batch.source != batch.images).any(1).float().mean()
    assert 0 < changed < 0.5


def test_inpainting_batch_has_holes(data: Aviary) -> None:
    batch = data.batch("inpainting", np.arange(8), np.random.default_rng(1))
    assert batch.hole is not None
    assert batch.hole.shape == (8, 1, 32, 32)
    assert all(0 < plane.mean() < 1 for plane in batch.hole)


def test_bank_is_drawn_once(tmp_path: Path) -> None:
    Aviary(16, 2, cache=tmp_path)
    stamps = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    Aviary(16, 2, cache=tmp_path)
    assert stamps == {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
