import hashlib
import itertools
from dataclasses import replace

import numpy as np
import pytest

from jobs.captions import tokenize
from models.data.aviary.captions import COLOUR_WORDS, PART_WORDS, caption, vocabulary
from models.data.aviary.drawing import (
    COLOURS,
    PARTS,
    _shapes,
    bird,
    label_map,
    layers,
    part_colours,
    render,
)


def test_sample_is_always_the_same() -> None:
    assert bird("test", 7) == bird("test", 7)
    assert np.array_equal(
        np.asarray(render(bird("test", 7), 64)), np.asarray(render(bird("test", 7), 64))
    )


def test_splits_differ() -> None:
    assert bird("test", 7) != bird("train", 7)


def test_each_part_covers_thirty_two_pixels_of_a_small_picture() -> None:
    shares = [layers(bird("train", k), 64).masks.mean(axis=(1, 2)).min() for k in range(60)]
    assert min(shares) * 64**2 >= 32


def test_no_polygon_crosses_itself() -> None:
    """A ring of which an arc is kept has to begin at that arc's end."""
    for _, points in _shapes(bird("train", 0)):
        sides = list(itertools.pairwise([*points, points[0]]))
        crossings = [
            (a, b)
            for (k, a), (m, b) in itertools.combinations(enumerate(sides), 2)
            if m - k not in (1, len(sides) - 1) and _cross(a, b)
        ]
        assert not crossings


def _cross(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> bool:
    def side(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> float:
        return float((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))

    apart = side(*a, b[0]) * side(*a, b[1]) < 0
    return apart and side(*b, a[0]) * side(*b, a[1]) < 0


def test_a_drawing_is_the_same_at_every_size() -> None:
    large = np.asarray(render(bird("train", 2), 256), np.float32)
    shrunk = large.reshape(64, 4, 64, 4, 3).mean(axis=(1, 3))
    small = np.asarray(render(bird("train", 2), 64), np.float32)
    assert np.abs(shrunk - small).mean() < 2
    # Pillow's lines and polygons are up to a pixel wider, of four or sixteen to a pixel here.
    assert (np.abs(shrunk - small).max(axis=2) > 16).mean() < 0.06


def test_drawings_stay_what_they_were() -> None:
    """Weights were trained on them, and caches of drawings outlive a change of the code."""
    digest = hashlib.sha256()
    for k, (base, weights) in enumerate(
        [(-206.44596, -2.75936), (-153.59336, 27.37780), (-121.51276, -7.93956)]
    ):
        drawn = layers(bird("test", k), 64)
        digest.update((drawn.masks * 16).astype(np.uint8).tobytes())
        field = np.random.default_rng(k).standard_normal((64, 64))
        assert (drawn.base * field[..., None]).sum() == pytest.approx(base, abs=1e-4)
        assert (drawn.weights * field).sum() == pytest.approx(weights, abs=1e-4)
    assert digest.hexdigest().startswith("c5c06120c79deed6")


def test_labels_say_what_shows() -> None:
    sample = bird("train", 3)
    labels, masks = label_map(sample, 64), layers(sample, 64).masks
    assert labels.shape == (64, 64)
    assert set(np.unique(labels)) == set(range(10))
    for number, mask in enumerate(masks, 1):
        assert (labels[mask > 0.99] == number).all()


def test_part_shows_its_colour() -> None:
    sample = bird("train", 3)
    drawn = layers(sample, 64)
    picture = drawn.paint(part_colours(sample))
    for part, mask, expected in zip(PARTS, drawn.masks, part_colours(sample), strict=True):
        mean = picture[mask > 0.99].mean(axis=0)
        assert np.abs(mean - expected).max() < 0.15, part


def test_recolouring_leaves_other_pixels_alone() -> None:
    before = bird("train", 5)
    after = before.recolour({"wings": "red" if before.colour_of("wings") != "red" else "blue"})
    wings = layers(before, 64).masks[PARTS.index("wings")]
    changed = np.asarray(render(before, 64)) != np.asarray(render(after, 64))
    assert changed.any()
    assert not changed[wings == 0].any()


@pytest.mark.parametrize("size", [32, 64, 128])
def test_any_resolution(size: int) -> None:
    assert render(bird("train", 0), size).size == (size, size)


def test_captions_name_two_to_six_parts_truly() -> None:
    rng = np.random.default_rng(0)
    for k in range(50):
        sample = bird("train", k)
        for written in (caption(sample, rng) for _ in range(10)):
            assert 2 <= len(written.parts) <= 6
            for part in written.parts:
                colour = sample.colour_of(part)
                pairs = [
                    f"{c} {p}"
                    for c in COLOUR_WORDS.get(colour, (colour,))
                    for p in PART_WORDS[part]
                ]
                clauses = [
                    f"{p} {verb} {c}"
                    for c in COLOUR_WORDS.get(colour, (colour,))
                    for p in PART_WORDS[part]
                    for verb in ("is", "are")
                ]
                assert any(x in written.text for x in (*pairs, *clauses)), written


def test_must_name_is_named() -> None:
    rng = np.random.default_rng(1)
    for k in range(20):
        written = caption(bird("train", k), rng, must_name=("tail", "bill"), most=3)
        assert {"tail", "bill"} <= set(written.parts)


def test_vocabulary_knows_every_caption() -> None:
    words = vocabulary()
    rng = np.random.default_rng(2)
    for k in range(100):
        encoded = words.encode(caption(bird("train", k), rng).text, max_words=40)
        assert not encoded.unknown
        assert not encoded.truncated


def test_palette_is_ten_colours() -> None:
    assert len(COLOURS) == 10
    assert all(tokenize(name) == [name] for name in COLOURS)


def test_a_bird_outside_of_the_picture_leaves_the_backdrop() -> None:
    sample = replace(bird("train", 0), centre=(0.5, 3.0))
    drawn = layers(sample, 32)
    assert not drawn.masks.any()
    assert (drawn.paint(part_colours(sample)) == drawn.base).all()
