"""Photos of any size for networks of one: squares around holes, changes enlarged along edges."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.float32]  # [H,W,3] in [0,1]
Plane = NDArray[np.float32]  # [H,W]
HoleMask = NDArray[np.bool_]  # [H,W], True where the photo is to be filled

CONTEXT = 3.0  # side of a square as a multiple of the hole's bounding box
MAX_SQUARES = 8
_COARSE = 512  # longer side of the grid on which holes are separated
_SEAM_SIZE = 256  # side at which colours beside a hole are compared
_SEAM_BAND = 0.06  # how far from the hole, in sides of the square
_STRIP = 256  # rows handled at once, which bounds memory at 50 megapixels


@dataclass(frozen=True)
class Square:
    """A square of a photo, in pixels; it may stick out of the photo, which is mirrored there."""

    x: int
    y: int
    side: int


def squares(hole_mask: HoleMask, native: int) -> list[Square]:
    """Squares that together cover the hole with context, far-apart parts apart; largest first."""
    boxes = _boxes(hole_mask)
    found = [_around(box, hole_mask.shape, native) for box in boxes]
    while True:
        pair = _closest_overlap(found, force=len(found) > MAX_SQUARES)
        if pair is None:
            return sorted(found, key=lambda s: -s.side)
        a, b = pair
        union = _union(boxes[a], boxes[b])
        boxes = [box for k, box in enumerate(boxes) if k not in pair] + [union]
        found = [_around(box, hole_mask.shape, native) for box in boxes]


Box = tuple[int, int, int, int]  # x0, y0, x1, y1, ends excluded


def _boxes(hole_mask: HoleMask) -> list[Box]:
    """Bounding boxes of the hole's connected parts, found on a coarse grid."""
    h, w = hole_mask.shape
    factor = max(1, -(-max(h, w) // _COARSE))
    padded = np.pad(hole_mask, ((0, -h % factor), (0, -w % factor)))
    rows, columns = padded.shape[0] // factor, padded.shape[1] // factor
    blocks = padded.reshape(rows, factor, columns, factor)
    coarse = np.asarray(blocks.any((1, 3)), np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(coarse, connectivity=8)
    largest = sorted(range(1, count), key=lambda k: -int(stats[k, cv2.CC_STAT_AREA]))
    boxes = [_scale_square(stats[k], factor, w, h) for k in largest[: 4 * MAX_SQUARES]]
    rest = [_scale_square(stats[k], factor, w, h) for k in largest[4 * MAX_SQUARES :]]
    for box in rest:  # specks: each joins the first box
        boxes[0] = _union(boxes[0], box)
    return boxes


def _scale_square(stats: NDArray[np.int32], factor: int, w: int, h: int) -> Box:
    x, y, bw, bh = (int(v) * factor for v in stats[:4])
    return x, y, min(x + bw, w), min(y + bh, h)


def _union(a: Box, b: Box) -> Box:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _around(box: Box, shape: tuple[int, ...], native: int) -> Square:
    """The square of a box: with context, never finer than the network, within the photo."""
    h, w = shape
    extent = max(box[2] - box[0], box[3] - box[1])
    side = max(round(extent * CONTEXT), native)
    side = max(min(side, min(h, w)), extent)
    x = _fit_square((box[0] + box[2] - side) // 2, side, w)
    y = _fit_square((box[1] + box[3] - side) // 2, side, h)
    return Square(x, y, side)


def _fit_square(start: int, side: int, length: int) -> int:
    if side >= length:
        return (length - side) // 2
    return min(max(start, 0), length - side)


def _closest_overlap(found: list[Square], force: bool) -> tuple[int, int] | None:
    """Two squares that overlap, or with ``force`` the two that lie closest."""
    gaps = {(a, b): _gap(found[a], found[b]) for a in range(len(found)) for b in range(a)}
    pair = min(gaps, key=gaps.__getitem__, default=None)
    return pair if pair and (force or gaps[pair] < 0) else None


def _gap(s: Square, t: Square) -> float:
    """Between two squares, negative where they overlap."""
    across, down = (abs(2 * (a - b) + s.side - t.side) for a, b in ((s.x, t.x), (s.y, t.y)))
    return max(across, down) / 2 - (s.side + t.side) / 2


def cut(picture: NDArray[np.uint8], square: Square) -> NDArray[np.uint8]:
    """The square's pixels [side,side,…], mirrored outside of the picture."""
    rows = _places(square.y, square.side, picture.shape[0])
    columns = _places(square.x, square.side, picture.shape[1])
    # A slice first: only the other makes a copy.
    return picture[rows][:, columns] if isinstance(rows, slice) else picture[:, columns][rows]


def _places(start: int, side: int, length: int) -> slice | NDArray[np.int64]:
    """Where the square's pixels lie along an axis of the picture."""
    if start >= 0 and start + side <= length:
        return slice(start, start + side)
    index = np.arange(start, start + side) % (2 * length)
    return np.where(index < length, index, 2 * length - 1 - index)


def shrink(picture: NDArray[np.uint8], size: int) -> Pixels:
    """[H,W,3] uint8 → [size,size,3] in [0,1], without aliasing."""
    method = cv2.INTER_AREA if picture.shape[0] >= size else cv2.INTER_CUBIC
    small = cv2.resize(picture.astype(np.float32) / 255, (size, size), interpolation=method)
    return np.clip(small, 0, 1).astype(np.float32)


def downscale(pixels: Pixels, size: int) -> Pixels:
    """[S,S,3] → [size,size,3] by the mean over areas; size ≤ S."""
    if len(pixels) == size:
        return pixels
    return _float(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA))


def shrink_hole(hole_mask: HoleMask, size: int) -> Plane:
    """Known = 1, hole = 0 at [size,size]; a cell that touches the hole belongs to it."""
    share = cv2.resize(hole_mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    return (share <= 1e-3).astype(np.float32)


def paste(
    photo: NDArray[np.uint8],
    hole_mask: HoleMask,
    square: Square,
    filled: Pixels,
    *,
    meet_colours: bool = True,
) -> None:
    """Write ``filled`` [s,s,3] into the hole's pixels inside the square, in place; known pixels
    stay as they are.

    meet_colours: shift colours to the photo's at the hole's border, for which ``filled`` must be
    the network's own picture, known part included.
    """
    side = square.side
    method = cv2.INTER_CUBIC if side >= filled.shape[0] else cv2.INTER_AREA
    large = _float(cv2.resize(filled, (side, side), interpolation=method))
    if meet_colours:
        known_crop = _float(cut(photo, square).astype(np.float32) / 255)
        hole_crop = cut(hole_mask.astype(np.uint8), square).astype(bool)
        large = np.add(large, _seam_correction(known_crop, hole_crop, large))
    large = _float(np.clip(large, 0, 1))
    y0, x0 = max(square.y, 0), max(square.x, 0)
    y1, x1 = min(square.y + side, photo.shape[0]), min(square.x + side, photo.shape[1])
    inner = slice(y0 - square.y, y1 - square.y), slice(x0 - square.x, x1 - square.x)
    target = photo[y0:y1, x0:x1]
    inside = hole_mask[y0:y1, x0:x1]
    target[inside] = np.round(large[inner][inside] * 255).astype(np.uint8)


def _seam_correction(photo: Pixels, hole_mask: HoleMask, made: Pixels) -> Pixels:
    """The difference of both pictures beside the hole, continued smoothly across it.

    As in Poisson blending, the network decides what changes from place to place inside the hole,
    the photo's surroundings which colours it starts from.
    """
    side = len(hole_mask)
    work = min(side, _SEAM_SIZE)
    band = max(2, round(_SEAM_BAND * work))
    unknown = (
        cv2.resize(hole_mask.astype(np.float32), (work, work), interpolation=cv2.INTER_AREA) > 1e-3
    )
    near = cv2.dilate(unknown.astype(np.uint8), np.ones((2 * band + 1, 2 * band + 1), np.uint8)) > 0
    small = cv2.resize(photo - made, (work, work), interpolation=cv2.INTER_AREA)
    weight = (near & ~unknown).astype(np.float32)
    smooth = _membrane(_float(small), _float(weight))
    return _float(cv2.resize(smooth, (side, side), interpolation=cv2.INTER_LINEAR))


def _membrane(values: Pixels, weight: Plane) -> Pixels:
    """Fill in ``values`` [h,w,3] where ``weight`` [h,w] is 0, by push and pull."""
    h, w = weight.shape
    if max(h, w) <= 2:
        mean = (values * weight[..., None]).sum((0, 1)) / max(float(weight.sum()), 1e-6)
        return _float(np.broadcast_to(mean, values.shape))
    half = (-(-w // 2), -(-h // 2))
    coarse_weight = _float(cv2.resize(weight, half, interpolation=cv2.INTER_AREA))
    summed = _float(cv2.resize(values * weight[..., None], half, interpolation=cv2.INTER_AREA))
    means = _float(summed / np.maximum(coarse_weight, 1e-6)[..., None])
    coarse = _membrane(means, _float(np.minimum(2 * coarse_weight, 1)))
    raised = _float(cv2.resize(coarse, (w, h), interpolation=cv2.INTER_LINEAR))
    return raised + weight[..., None] * (values - raised)


@dataclass(frozen=True)
class Letterbox:
    """A photo scaled into a square of ``size`` pixels, its edges continued."""

    size: int
    left: int
    top: int
    width: int
    height: int

    @classmethod
    def of(cls, width: int, height: int, size: int) -> Letterbox:
        """Where a photo of width × height lies in the square."""
        scale = size / max(width, height)
        w, h = max(2, round(width * scale)), max(2, round(height * scale))
        return cls(size, (size - w) // 2, (size - h) // 2, w, h)

    def fit(self, photo: Image.Image) -> Pixels:
        """[size,size,3] in [0,1]."""
        small = photo.resize((self.width, self.height), Image.Resampling.LANCZOS, reducing_gap=3.0)
        pixels = np.asarray(small, np.float32) / 255
        below, right = self.size - self.top - self.height, self.size - self.left - self.width
        return np.pad(pixels, ((self.top, below), (self.left, right), (0, 0)), mode="edge")

    def area(self, photo: Image.Image) -> tuple[float, float, float, float]:
        """The whole square in pixels of the photo: x, y, width, height."""
        across, down = photo.width / self.width, photo.height / self.height
        return -self.left * across, -self.top * down, self.size * across, self.size * down

    def enlarged(self, scale: int) -> Letterbox:
        """The same place in a square whose side is ``scale`` times as long."""
        sides = (self.size, self.left, self.top, self.width, self.height)
        return Letterbox(*(scale * side for side in sides))

    def crop(self, square: Pixels) -> Pixels:
        """The photo's part of a square picture."""
        return square[self.top : self.top + self.height, self.left : self.left + self.width]


def enlarge_change(photo: Image.Image, before: Pixels, after: Pixels) -> Image.Image:
    """Add the change from ``before`` to ``after`` (both [h,w,3], small) to a photo of any size.

    Fast guided filter (He and Sun 2015): where the change is locally a linear function of the small
    photo's colours, the same function of the full photo's colours is added, so that the change ends
    where the photo's edges are. What that function leaves out, new patterns and colours that
    flatten, is added as it is where the change is large; elsewhere it is the network's imprecision.
    """
    change = after - before
    slope, offset = _linear_model(before, change)
    left_out = change - offset - np.einsum("hwoi,hwi->hwo", slope, before)
    offset = _float(offset + _where_large(change)[..., None] * left_out)
    source = np.asarray(photo)
    result = np.empty_like(source)
    for top in range(0, photo.height, _STRIP):
        rows = source[top : top + _STRIP].astype(np.float32) / 255
        added = _at(offset, photo.size, top, len(rows))
        for c in range(3):
            guide = cv2.merge([cv2.extractChannel(rows, c)] * 3)  # NumPy repeats channels slowly
            added += _at(slope[..., c], photo.size, top, len(rows)) * guide
        result[top : top + _STRIP] = np.round(np.clip(rows + added, 0, 1) * 255)
    return Image.fromarray(result)


def _where_large(change: Pixels) -> Plane:
    """0 where the surrounding pixels change by 0.02 or less, rising to 1 at 0.08."""
    mean = cv2.GaussianBlur(np.abs(change).mean(-1), (0, 0), 2.0)
    return _float(np.clip((mean - 0.02) / 0.06, 0, 1))


def _linear_model(
    guide: Pixels, change: Pixels, radius: int = 2, epsilon: float = 4e-3
) -> tuple[Pixels, Pixels]:
    """Per pixel slope [h,w,3 out,3 in] and offset [h,w,3] of change ≈ slope · guide + offset."""

    def mean(x: NDArray[np.float32]) -> NDArray[np.float32]:
        flat = np.ascontiguousarray(x.reshape(*x.shape[:2], -1))
        side = 2 * radius + 1
        return _float(cv2.blur(flat, (side, side), borderType=cv2.BORDER_REFLECT)).reshape(x.shape)

    mean_guide, mean_change = mean(guide), mean(change)
    spread = (
        mean(guide[..., :, None] * guide[..., None, :])
        - mean_guide[..., :, None] * mean_guide[..., None, :]
    )
    joint = (
        mean(change[..., :, None] * guide[..., None, :])
        - mean_change[..., :, None] * mean_guide[..., None, :]
    )
    spread = spread + epsilon * np.eye(3, dtype=np.float32)
    slope = joint @ _inverse(spread)
    offset = mean_change - np.einsum("hwoi,hwi->hwo", slope, mean_guide)
    return mean(slope), mean(offset)


def _inverse(matrices: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of 3×3 matrices [...,3,3], by their cofactors: LAPACK takes five times as long for small
    ones.
    """
    a, b, c = (matrices[..., k, :] for k in range(3))
    cofactors = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], -1)
    determinant = np.einsum("...i,...i", a, cofactors[..., 0])
    return _float(cofactors / determinant[..., None, None])


def _at(plane: Pixels, size: tuple[int, int], top: int, rows: int) -> Pixels:
    """Rows ``top`` … of ``plane`` [h,w,3] enlarged to ``size``, bilinearly."""
    h, w = plane.shape[:2]
    sx, sy = w / size[0], h / size[1]
    matrix = np.array([[sx, 0, 0.5 * sx - 0.5], [0, sy, (top + 0.5) * sy - 0.5]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    large = cv2.warpAffine(
        np.ascontiguousarray(plane),
        matrix,
        (size[0], rows),
        flags=flags,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(large, np.float32)


def _float(x: object) -> NDArray[np.float32]:
    return np.asarray(x, np.float32)
