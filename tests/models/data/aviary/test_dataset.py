from pathlib import Path

import numpy as np
import pytest
import torch

from models.data.aviary.dataset import Aviary
from models.data.aviary.drawing import LABELS, bird, label_map, render
from models.synthesis.efficient_t2i.latent import width


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Aviary:
    return Aviary(32, 8, cache=tmp_path_factory.mktemp("cache"))


def sources(count: int, seed: int = 1) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, k]) for k in range(count)]


def test_painted_equals_rendered(data: Aviary) -> None:
    rng = np.random.default_rng(0)
    sample = data.sample(3, rng)
    painted = data.paint(np.array([3]), [sample])[0]
    rendered = torch.from_numpy(np.array(render(sample, 32))).permute(2, 0, 1) / 127.5 - 1
    assert (painted - rendered).abs().max() < 0.03


def test_batch_follows_from_its_source(data: Aviary) -> None:
    one, two = (data.batch("damsm", range(4), sources(4)) for _ in range(2))
    assert torch.equal(one.images, two.images)
    assert torch.equal(one.ids, two.ids)


def test_a_sample_does_not_depend_on_its_batch(data: Aviary) -> None:
    whole = data.batch("damsm", range(4), sources(4))
    half = data.batch("damsm", range(2, 4), sources(4)[2:])
    assert torch.equal(whole.images[2:], half.images)
    assert torch.equal(whole.lengths[2:], half.lengths)


def test_further_captions_for_mixing(tmp_path: Path) -> None:
    data = Aviary(16, 2, cache=tmp_path, captions=3)
    batch = data.batch("synthesis", range(2), sources(2))
    assert batch.more_ids is not None
    assert batch.more_lengths is not None
    assert batch.more_ids.shape[:2] == batch.more_lengths.shape == (2, 3)


def test_edit_changes_only_some_of_the_picture(data: Aviary) -> None:
    batch = data.batch("manipulation", range(8), sources(8))
    assert batch.source is not None
    changed = (batch.source != batch.images).any(1).float().mean()
    assert 0 < changed < 0.5


def test_inpainting_batch_has_holes(data: Aviary) -> None:
    batch = data.batch("inpainting", range(8), sources(8))
    assert batch.known_mask is not None
    assert batch.known_mask.shape == (8, 1, 32, 32)
    assert all(0 < plane.mean() < 1 for plane in batch.known_mask)


def test_parts_that_nothing_tells_continue_their_neighbours(data: Aviary) -> None:
    batch = data.batch("inpainting", [0, 1] * 40, sources(80))
    assert batch.image_attributes is not None
    assert batch.caption_attributes is not None
    assert batch.known_mask is not None
    told = batch.caption_attributes >= 0
    assert torch.equal(batch.image_attributes[told], batch.caption_attributes[told])
    share = told.all(1).float().mean()
    assert 0.2 < share < 0.6  # a quarter by design, others by chance
    masks = torch.from_numpy(data.part_masks(np.array([0, 1] * 40)))
    seen = (masks * batch.known_mask).sum((2, 3)) / masks.sum((2, 3))
    lost = (seen < 0.05) & ~told
    assert lost.any()
    for row, part in lost.nonzero().tolist():
        others = [k for k in range(6) if k != part]
        assert batch.image_attributes[row, part] in batch.image_attributes[row, others]


def test_inpainting_batch_follows_from_its_sources(data: Aviary) -> None:
    whole = data.batch("inpainting", range(4), sources(4))
    half = data.batch("inpainting", range(2, 4), sources(4)[2:])
    assert torch.equal(whole.images[2:], half.images)
    assert whole.known_mask is not None
    assert half.known_mask is not None
    assert torch.equal(whole.known_mask[2:], half.known_mask)


@pytest.mark.parametrize("part", ["synthesis", "inpainting", "manipulation"])
def test_labels_say_what_each_pixel_shows(part: str, data: Aviary) -> None:
    labels = data.batch(part, range(8), sources(8)).labels
    assert labels is not None
    assert labels.shape == (8, 32, 32)
    assert labels.unique().tolist() == list(range(LABELS))


def test_bank_is_drawn_once(tmp_path: Path) -> None:
    Aviary(16, 2, cache=tmp_path)
    stamps = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    Aviary(16, 2, cache=tmp_path)
    assert stamps == {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}


def test_the_code_says_what_the_caption_does_not(data: Aviary) -> None:
    batch = data.batch("synthesis", range(8), sources(8))
    assert batch.code is not None
    assert batch.caption_attributes is not None
    assert batch.image_attributes is not None
    assert batch.code.shape == (8, width(data.latent))
    assert set(batch.code[:, 0].tolist()) <= {-1.0, 1.0}
    assert batch.code[:, 1:28].abs().max() <= 3**0.5
    colours = batch.code[:, 34:].view(8, 6, 10).argmax(2)
    unnamed = batch.caption_attributes < 0
    assert torch.equal(colours[unnamed], batch.image_attributes[unnamed])
    assert not torch.equal(colours[~unnamed], batch.image_attributes[~unnamed])


def test_the_code_has_the_spread_of_the_noise_that_stands_for_it(data: Aviary) -> None:
    code = data.batch("synthesis", [k % 8 for k in range(400)], sources(400)).code
    assert code is not None
    assert code[:, 34:].mean().abs() < 0.01
    assert (code[:, 34:].var() - 1).abs() < 0.05


def test_labels_come_with_drawings(data: Aviary) -> None:
    batch = data.batch("synthesis", range(2), sources(2))
    assert batch.labels is not None
    assert batch.labels.shape == (2, 32, 32)
    assert np.array_equal(batch.labels[1].numpy(), label_map(bird("train", 1), 32))
