"""Photos cut to squares: which part they show, and that the cache survives what happens to it."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.data.cache import SquareCache, square_mask, square_photo
from models.data.layouts.base import DataError, Record
from tests.models.data.photo_sets import record


def near(a: np.ndarray, b: np.ndarray, tolerance: float = 12) -> bool:
    """Equal but for JPEG noise and the blur at edges."""
    return bool(np.median(np.abs(a.astype(float) - b.astype(float))) <= tolerance)


def corners(square: np.ndarray) -> np.ndarray:
    return square[np.ix_((3, -4), (3, -4))]


def photo_corners(path: Path) -> np.ndarray:
    pixels = np.asarray(Image.open(path))
    return pixels[np.ix_((5, -6), (5, -6))]


def test_a_whole_photo_is_cut_to_its_middle_square(tmp_path: Path) -> None:
    one = record(tmp_path, 1)
    square = square_photo(one, 38, "folder")
    pixels = np.asarray(Image.open(one.path))[:, 15:75]
    expected = np.asarray(Image.fromarray(pixels).resize((38, 38), Image.Resampling.BILINEAR))
    assert near(square, expected)
    assert near(corners(square), photo_corners(one.path))


def test_squashed_photos_keep_their_edges(tmp_path: Path) -> None:
    edge = np.zeros((60, 90, 3), np.uint8)
    edge[:, :10] = 255
    Image.fromarray(edge).save(tmp_path / "e.png")
    one = Record("e", tmp_path / "e.png", ("a bird",))
    assert square_photo(one, 30, "cub")[:, 0].min() > 200
    assert square_photo(one, 30, "folder").max() < 50


def test_a_box_says_what_is_shown_even_of_a_photo_decoded_small(tmp_path: Path) -> None:
    pixels = np.zeros((800, 1200, 3), np.uint8)
    pixels[400:, 800:] = (250, 20, 20)
    Image.fromarray(pixels).save(tmp_path / "big.jpg", quality=95)
    one = Record("big", tmp_path / "big.jpg", ("a bird",), box=(800, 400, 400, 400))
    square = square_photo(one, 40, "cub")
    assert near(square, np.broadcast_to((250, 20, 20), square.shape))


def test_a_clipped_box_is_cut_to_its_middle_square(tmp_path: Path) -> None:
    one = record(tmp_path, 2, box=(60, 0, 60, 60))  # half of it beyond the right edge
    square = square_photo(one, 20, "cub")
    pixels = np.asarray(Image.open(one.path))[15:45, 60:]
    assert near(corners(square), pixels[np.ix_((4, -5), (4, -5))])


def test_a_transparent_photo_is_turned_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.full((16, 16, 4), 255, np.uint8)
    pixels[:8, :, :3] = 0  # above, which is to the right once it is turned
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    made = square_photo(Record("photo.png", tmp_path / "photo.png", ("a",)), 16, "folder")
    assert made[:, -4:].max() == 0
    assert made[:, :4].min() == 255


def test_a_photo_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    one = record(tmp_path, 3)
    upright = square_photo(one, 32, "folder")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    Image.open(one.path).save(tmp_path / "turned.jpg", quality=95, exif=exif)
    turned = square_photo(replace(one, path=tmp_path / "turned.jpg"), 32, "folder")
    assert near(turned, np.rot90(upright, -1))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("p.jpg" if mode == "CMYK" else "p.png")
    Image.new("RGB", (40, 40), (200, 200, 200)).convert(mode).save(path)
    square = square_photo(Record("p", path, ("a bird",)), 20, "folder")
    assert square.shape == (20, 20, 3)


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 40), 100 * 257, np.uint16)).save(tmp_path / "p.png")
    square = square_photo(Record("p", tmp_path / "p.png", ("a bird",)), 20, "folder")
    assert (square == 100).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_places_are_white(tmp_path: Path, mode: str) -> None:
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[:20, :, 3] = 255
    picture = Image.fromarray(pixels)
    if mode == "P":
        picture = picture.convert("RGBA").quantize(4)
    picture.convert(mode).save(tmp_path / "p.png")
    square = square_photo(Record("p", tmp_path / "p.png", ("a bird",)), 20, "folder")
    assert square[:8].max() == 0
    assert square[12:].min() == 255


def test_a_mask_is_cut_as_its_photo(tmp_path: Path) -> None:
    mask = square_mask(record(tmp_path, 4, mask=True), 30, "folder")
    assert set(np.unique(mask)) == {0, 255}
    assert (mask[:, :15] == 255).all()
    assert (mask[:, 15:] == 0).all()


def test_broken_photos_are_named_and_the_rest_kept(tmp_path: Path) -> None:
    records = [record(tmp_path, k) for k in range(3)]
    records[1].path.write_bytes(records[1].path.read_bytes()[:300])
    records.append(Record("gone", tmp_path / "gone.jpg", ("a bird",)))
    for _ in range(2):
        squares = SquareCache(records, "folder", 32, "c", tmp_path / "cache").photos()
        assert squares.broken == ("1.jpg", "gone")
        assert squares.pixels.shape == (4, 38, 38, 3)
        assert squares.pixels[0].any()


def test_the_second_opening_decodes_nothing(tmp_path: Path) -> None:
    records = [record(tmp_path, k) for k in range(2)]
    first = SquareCache(records, "folder", 32, "c", tmp_path / "c").photos()
    kept = np.array(first.pixels)
    for one in records:
        one.path.unlink()
    again = SquareCache(records, "folder", 32, "c", tmp_path / "c").photos()
    assert np.array_equal(again.pixels, kept)
    other = SquareCache(records, "folder", 32, "d", tmp_path / "c").photos()
    assert len(other.broken) == 2


def test_a_failed_build_leaves_no_cache(tmp_path: Path) -> None:
    def stop() -> np.ndarray:
        raise KeyboardInterrupt

    good = record(tmp_path, 0, mask=True)
    options = "folder", 32, "c", tmp_path / "c"
    with pytest.raises(KeyboardInterrupt):
        SquareCache([good, replace(good, key="1", object_mask=stop)], *options).masks()
    assert [p.suffix for p in (tmp_path / "c").iterdir()] == [".lock"]
    assert SquareCache([good, replace(good, key="1")], *options).masks().pixels[1].any()


def test_a_cache_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="XDG_CACHE_HOME"):
        SquareCache([record(tmp_path, 0)], "folder", 32, "c", tmp_path / "file").photos()


def _open(folder: Path) -> None:
    records = [Record(f"{k}.jpg", folder / f"{k}.jpg", ("a bird",)) for k in range(40)]
    squares = SquareCache(records, "folder", 32, "c", folder / "c").photos()
    assert all(row.any() for row in squares.pixels)


def test_processes_that_start_at_once_share_one_cache(tmp_path: Path) -> None:
    for k in range(40):
        record(tmp_path, k)
    spawn = multiprocessing.get_context("spawn")
    both = [spawn.Process(target=_open, args=(tmp_path,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [p.exitcode for p in both] == [0, 0]
    assert len(list((tmp_path / "c").glob("*.npy"))) == 1
    assert not list((tmp_path / "c").glob("*.part"))
