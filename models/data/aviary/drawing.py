"""Aviary: drawn birds whose parts have known colours.

A :class:`Bird` says everything about one picture: pose, background, and a colour for each of six
parts. Geometry is drawn once as a label map; a picture is then a sum of part layers, each times its
part's colour. The sum is exact under box downsampling, so the same bird in other colours costs one
small product, which makes paired renders cheap. Sample *i* of split *s* is always the same bird.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Array = NDArray[np.float32]

PARTS = ("crown", "back", "belly", "wings", "tail", "bill")
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.84, 0.10, 0.12),
    "orange": (0.96, 0.52, 0.07),
    "yellow": (0.97, 0.87, 0.16),
    "green": (0.16, 0.58, 0.22),
    "blue": (0.13, 0.33, 0.83),
    "purple": (0.52, 0.18, 0.66),
    "brown": (0.44, 0.26, 0.12),
    "grey": (0.56, 0.56, 0.58),
    "black": (0.07, 0.07, 0.09),
    "white": (0.96, 0.96, 0.95),
}
COLOUR_NAMES = tuple(COLOURS)
SUPERSAMPLING = 4
# Soft backdrops: upper and lower end of a vertical gradient.
_BACKDROPS = (
    ((0.62, 0.80, 0.93), (0.88, 0.94, 0.97)),
    ((0.70, 0.83, 0.66), (0.87, 0.92, 0.80)),
    ((0.93, 0.86, 0.74), (0.97, 0.94, 0.88)),
    ((0.78, 0.76, 0.84), (0.92, 0.90, 0.94)),
    ((0.93, 0.80, 0.78), (0.97, 0.91, 0.88)),
    ((0.66, 0.84, 0.82), (0.88, 0.95, 0.93)),
)
BACKDROPS = len(_BACKDROPS)
_GRAIN = 32  # cells of plumage texture along a side
_EYE, _LEGS, _BRANCH, _EYE_LIGHT = 7, 8, 9, 10
LABELS = 10  # what a pixel can show: backdrop, PARTS, eye, legs, branch
# Ranges that the pose of a bird is drawn from, uniformly.
POSE: dict[str, tuple[float, float]] = {
    "x": (0.46, 0.54),
    "y": (0.46, 0.54),
    "scale": (0.9, 1.02),
    "tilt": (-0.28, 0.22),
    "plumpness": (0.9, 1.15),
    "tail_length": (0.98, 1.2),
    "wing_drop": (-0.12, 0.2),
    "bill_length": (1.1, 1.3),
    "branch_slope": (-0.08, 0.08),
}
TINT = 0.05  # a tint lies within ± this
_FIXED = {
    _EYE: (0.05, 0.05, 0.06),
    _LEGS: (0.30, 0.22, 0.16),
    _BRANCH: (0.36, 0.25, 0.16),
    _EYE_LIGHT: (0.95, 0.95, 0.95),
}


@dataclass(frozen=True)
class Bird:
    """One sample. Lengths are fractions of the picture's side; angles are radians."""

    colours: tuple[str, ...]  # one name for each of PARTS
    tints: tuple[
        tuple[float, float, float], ...
    ]  # what is added to each part's colour, in [-0.05, 0.05]
    centre: tuple[float, float]
    scale: float
    tilt: float
    facing_left: bool
    plumpness: float
    tail_length: float
    wing_drop: float
    bill_length: float
    backdrop: int
    branch_slope: float
    texture_seed: int

    def colour_of(self, part: str) -> str:
        """The colour's name for one of PARTS."""
        return self.colours[PARTS.index(part)]

    def recolour(self, changes: Mapping[str, str]) -> Bird:
        """The same bird with other colours for some parts; all else keeps its very pixels."""
        colours = tuple(changes.get(p, c) for p, c in zip(PARTS, self.colours, strict=True))
        return replace(self, colours=colours)


@dataclass(frozen=True)
class Layers:
    """A bird's geometry at one size S.

    base: float32 [S,S,3], everything that no part colours, in [0,1]; weights: float32 [6,S,S], how
    strongly (and how brightly) each part's colour shows; masks: float32 [6,S,S], share of each
    pixel that the part covers.
    """

    base: Array
    weights: Array
    masks: Array

    def paint(self, colours: Array) -> Array:
        """Picture float32 [S,S,3] in [0,1] from part colours [6,3]."""
        picture = self.base + np.einsum("pij,pc->ijc", self.weights, colours)
        return np.clip(picture, 0, 1).astype(np.float32)


def generator(split: str, index: int) -> np.random.Generator:
    """The random source of sample ``index`` of ``split``."""
    return np.random.default_rng([zlib.crc32(split.encode()), index])


def bird(split: str, index: int) -> Bird:
    """Sample ``index`` of ``split`` ("train", "validation", "test", or any other name)."""
    rng = generator(split, index)
    return Bird(
        colours=tuple(COLOUR_NAMES[k] for k in rng.integers(0, len(COLOUR_NAMES), len(PARTS))),
        tints=tuple(tuple(rng.uniform(-TINT, TINT, 3).tolist()) for _ in PARTS),
        centre=(rng.uniform(*POSE["x"]), rng.uniform(*POSE["y"])),
        scale=rng.uniform(*POSE["scale"]),
        tilt=rng.uniform(*POSE["tilt"]),
        facing_left=bool(rng.random() < 0.5),
        plumpness=rng.uniform(*POSE["plumpness"]),
        tail_length=rng.uniform(*POSE["tail_length"]),
        wing_drop=rng.uniform(*POSE["wing_drop"]),
        bill_length=rng.uniform(*POSE["bill_length"]),
        backdrop=int(rng.integers(BACKDROPS)),
        branch_slope=rng.uniform(*POSE["branch_slope"]),
        texture_seed=int(rng.integers(2**31)),
    )


def pose_values(sample: Bird) -> Array:
    """Where each value of POSE lies in its range, then each tint; float32 in [0,1]."""
    values = (*sample.centre, *(getattr(sample, name) for name in list(POSE)[2:]))
    pose = [(v - low) / (high - low) for v, (low, high) in zip(values, POSE.values(), strict=True)]
    tints = [(t + TINT) / (2 * TINT) for tint in sample.tints for t in tint]
    return np.array([*pose, *tints], np.float32)


def part_colours(sample: Bird) -> Array:
    """float32 [6,3] in [0,1]: the palette colour of each part plus the sample's own tint."""
    palette = np.array([COLOURS[name] for name in sample.colours], np.float32)
    return np.clip(palette + np.array(sample.tints, np.float32), 0, 1).astype(np.float32)


def render(sample: Bird, size: int) -> Image.Image:
    """The picture, RGB, ``size`` × ``size`` pixels."""
    return paint(layers(sample, size), sample)


def paint(geometry: Layers, sample: Bird) -> Image.Image:
    """The picture, of layers that all birds share that differ in their parts' colours alone."""
    pixels = geometry.paint(part_colours(sample))
    return Image.fromarray(np.round(pixels * 255).astype(np.uint8), "RGB")


def layers(sample: Bird, size: int) -> Layers:
    """Draw the geometry of ``sample`` at ``size`` pixels, antialiased by supersampling."""
    full = size * SUPERSAMPLING
    labels, shade = _labels(sample, full), _shading(sample, full)
    masks = np.zeros((len(PARTS), size, size), np.float32)
    weights = np.zeros_like(masks)
    for k in range(len(PARTS)):
        visible = labels == k + 1
        place, source = _extent(visible)  # of a picture a part fills a few hundredths
        masks[k][place] = _shrink(visible[source].astype(np.float32))
        weights[k][place] = _shrink(visible[source] * shade[source])
    drawn, fixed = labels > 0, np.zeros((max(_FIXED) + 1, 3), np.float32)  # parts are black here
    fixed[list(_FIXED)] = list(_FIXED.values())
    planes = []
    for channel, backdrop in enumerate(_backdrop(sample, full)):
        np.copyto(backdrop, fixed[:, channel][labels], where=drawn)
        planes.append(_shrink(backdrop))
    return Layers(np.stack(planes, axis=-1), weights, masks)


def label_map(sample: Bird, size: int) -> NDArray[np.uint8]:
    """uint8 [size,size], what shows in the middle of each pixel: 0 backdrop, 1–6 the parts in the
    order of PARTS, 7 eye, 8 legs, 9 branch.
    """
    full = _labels(sample, size * SUPERSAMPLING)
    middle = full[SUPERSAMPLING // 2 :: SUPERSAMPLING, SUPERSAMPLING // 2 :: SUPERSAMPLING]
    return np.where(middle == _EYE_LIGHT, _EYE, middle).astype(np.uint8)


def _extent(visible: NDArray[np.bool_]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Rows and columns of the small picture that hold what is visible in the large one, and those
    of the large one that are averaged there.
    """
    ends = []
    for axis in (1, 0):
        places = np.flatnonzero(visible.any(axis)) // SUPERSAMPLING
        ends.append((int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0))
    small = [slice(*end) for end in ends]
    large = [slice(start * SUPERSAMPLING, end * SUPERSAMPLING) for start, end in ends]
    return (small[0], small[1]), (large[0], large[1])


def _shrink(plane: Array) -> Array:
    """Means over blocks; summed row by row, so that numbers don't depend on what surrounds them."""
    height, width = (side // SUPERSAMPLING for side in plane.shape)
    columns = plane.reshape(len(plane), width, SUPERSAMPLING)
    rows = _sum([columns[..., k] for k in range(SUPERSAMPLING)])
    rows = rows.reshape(height, SUPERSAMPLING, width)
    return _sum([rows[:, k] for k in range(SUPERSAMPLING)]) / np.float32(SUPERSAMPLING**2)


def _sum(arrays: list[Array]) -> Array:
    total = arrays[0].copy()
    for array in arrays[1:]:
        total += array
    return total


def _shading(sample: Bird, full: int) -> Array:
    """Light from above and a faint plumage, at any size; float32 [full,full] around 1."""
    rng = np.random.default_rng(sample.texture_seed)
    height = np.linspace(1.06, 0.86, full, dtype=np.float32)[:, None]
    grain = Image.fromarray(rng.uniform(-1, 1, (_GRAIN, _GRAIN)).astype(np.float32))
    texture = np.asarray(grain.resize((full, full), Image.Resampling.BICUBIC))
    return (height * (1 + 0.05 * texture)).astype(np.float32)


def _backdrop(sample: Bird, full: int) -> Iterator[Array]:
    """A vertical gradient with a few blurred patches; red, green and blue, float32 [full,full]."""
    rng = np.random.default_rng(sample.texture_seed + 1)
    top, bottom = (np.array(c, np.float32) for c in _BACKDROPS[sample.backdrop])
    ramp = np.linspace(0, 1, full, dtype=np.float32)[:, None]
    patches = Image.new("L", (64, 64), 128)
    draw = ImageDraw.Draw(patches)
    for _ in range(5):
        x, y, r = rng.uniform(0, 64), rng.uniform(0, 64), rng.uniform(6, 18)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=int(rng.integers(96, 160)))
    soft = patches.filter(ImageFilter.GaussianBlur(5)).resize(
        (full, full), Image.Resampling.BICUBIC
    )
    light = (np.asarray(soft, np.float32) - 128) / 128 * 0.22
    for upper, lower in zip(top, bottom, strict=True):
        plane = upper + (lower - upper) * ramp + light
        yield np.clip(plane, 0, 1, out=plane)


def _ellipse(cx: float, cy: float, rx: float, ry: float, turn: float = 0.0) -> Array:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x, y = rx * np.cos(t), ry * np.sin(t)
    c, s = np.cos(turn), np.sin(turn)
    return np.stack([cx + c * x - s * y, cy + s * x + c * y], 1).astype(np.float32)


def _shapes(sample: Bird) -> list[tuple[int, Array]]:
    """Polygons in drawing order, in the bird's frame: from its centre, facing right, y down."""
    part = {name: k + 1 for k, name in enumerate(PARTS)}
    fat, tail, bill = sample.plumpness, sample.tail_length, sample.bill_length
    body = _ellipse(0, 0, 0.235, 0.165 * fat, 0.18)
    head = (0.175, -0.145)
    cap = _ellipse(*head, 0.112, 0.105)
    crown = _arc(cap, cap[:, 1] - head[1] < 0.012 + 0.25 * (cap[:, 0] - head[0]))
    crown = np.concatenate([crown, [[head[0] + 0.02, head[1] + 0.015]]]).astype(np.float32)
    back = _arc(body, _side(body) < 0)
    drop = sample.wing_drop
    wing = np.array(
        [
            [0.10, -0.06],
            [0.06, 0.03],
            [-0.05, 0.085 + 0.2 * drop],
            [-0.22, 0.10 + drop * 0.5],
            [-0.30, 0.06 + drop * 0.5],
            [-0.20, -0.02],
            [-0.06, -0.085],
            [0.04, -0.095],
        ]
    )
    rear = np.array(
        [
            [-0.17, -0.04],
            [-0.37 * tail, 0.01],
            [-0.41 * tail, 0.09],
            [-0.34 * tail, 0.15],
            [-0.15, 0.10],
        ]
    )
    beak = np.array([[0.22, -0.215], [0.27 + 0.16 * bill, -0.105], [0.23, -0.05]])
    eye = (head[0] + 0.045, head[1] - 0.008)
    return [
        (part["tail"], rear.astype(np.float32)),
        (part["bill"], beak.astype(np.float32)),
        (part["belly"], body),
        (part["back"], np.concatenate([back, [[0.0, -0.01]]]).astype(np.float32)),
        (part["belly"], cap),
        (part["crown"], crown),
        (part["wings"], wing.astype(np.float32)),
        (_EYE, _ellipse(*eye, 0.021, 0.021)),
        (_EYE_LIGHT, _ellipse(eye[0] + 0.007, eye[1] - 0.007, 0.006, 0.006)),
    ]


def _arc(ring: Array, kept: NDArray[np.bool_]) -> Array:
    """The kept points of a closed ring in its own order, beginning behind the gap. A ring that
    begins inside of the arc would otherwise give a polygon that crosses itself.
    """
    start = int(np.flatnonzero(kept & ~np.roll(kept, 1))[0])
    return np.roll(ring, -start, axis=0)[np.roll(kept, -start)]


def _side(points: Array) -> Array:
    """Negative above the line that divides back from belly."""
    return (points[:, 1] - 0.12 * points[:, 0]).astype(np.float32)


def _to_pixels(points: Array, sample: Bird, full: int) -> list[tuple[float, float]]:
    c, s = np.cos(sample.tilt), np.sin(sample.tilt)
    x = (c * points[:, 0] - s * points[:, 1]) * sample.scale
    y = (s * points[:, 0] + c * points[:, 1]) * sample.scale
    if sample.facing_left:
        x = -x
    return [
        (float(px), float(py))
        for px, py in zip((x + sample.centre[0]) * full, (y + sample.centre[1]) * full, strict=True)
    ]


def _labels(sample: Bird, full: int) -> NDArray[np.uint8]:
    """uint8 [full,full]: 0 backdrop, 1–6 PARTS, more for eye, legs and branch."""
    canvas = Image.new("L", (full, full), 0)
    draw = ImageDraw.Draw(canvas)
    foot = sample.centre[1] + 0.275 * sample.scale
    ends = [(0.0, foot - sample.branch_slope), (1.0, foot + sample.branch_slope)]
    draw.line([(x * full, y * full) for x, y in ends], fill=_BRANCH, width=max(1, full // 26))
    for offset in (-0.03, 0.05):
        legs = np.array([[offset, 0.12], [offset + 0.01, 0.27]], np.float32)
        draw.line(_to_pixels(legs, sample, full), fill=_LEGS, width=max(1, full // 60))
    for label, points in _shapes(sample):
        draw.polygon(_to_pixels(points, sample, full), fill=label)
    return np.asarray(canvas)
