"""Filling by patches of the same picture: every patch that touches the hole is matched with a known
one (PatchMatch, Barnes et al. 2009), every hidden pixel is the mean of what the matches over it
show (Wexler et al. 2007), from coarse to fine.

Patches are named by their top left pixels, "corners", numbered row by row over all places where a
patch fits into the picture.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from models.geometry import HoleMask, Pixels, Plane

PATCH = 7
_FEWEST = 64  # known patches below which a level is too coarse to copy from
_ROUNDS = (4, 8, 12, 20)  # of matching and voting, from the finest level on
_FALL = 1.3  # a patch counts so many times less with every pixel into the hole (Wexler: gamma)
_LOWEST = 1e-30  # keeps trust above zero in the middle of large holes
_BLOCK = 512  # patches compared at once
_SIDES = ((0, 1), (0, -1), (1, 0), (-1, 0))

Numbers = NDArray[np.int64]
Floats = NDArray[np.float32]


class Level:
    """One level of the pyramid. pixels [h,w,3], whose hole is being filled; hole [h,w]; targets:
    corners [n] of the patches that touch the hole; sources: corners of those that do not.
    """

    def __init__(self, pixels: Pixels, hole_mask: HoleMask) -> None:
        self.pixels, self.hole_mask = pixels.copy(), hole_mask
        touching = sliding_window_view(hole_mask, (PATCH, PATCH)).any((2, 3))
        self.rows, self.columns = touching.shape
        self.known = ~touching.ravel()
        self.targets, self.sources = np.flatnonzero(touching), np.flatnonzero(~touching)
        self.number = np.full(touching.size, -1)  # of a corner among the targets
        self.number[self.targets] = np.arange(len(self.targets))
        self.y, self.x = np.divmod(self.targets, self.columns)

    def patches(self, corners: Numbers) -> Floats:
        """Their pixels, flat [n,3·PATCH²]."""
        windows = sliding_window_view(self.pixels, (PATCH, PATCH), (0, 1))
        y, x = np.divmod(corners, self.columns)
        return np.asarray(windows[y, x].reshape(len(corners), -1))

    def firsts(self, corners: Numbers) -> Numbers:
        """Numbers of the corners' own pixels in the flat picture."""
        y, x = np.divmod(corners, self.columns)
        return np.asarray(y * self.hole_mask.shape[1] + x)

    def trust(self) -> Plane:
        """1 for known pixels, then less with every pixel into the hole [h,w]."""
        depth = cv2.distanceTransform(self.hole_mask.astype(np.uint8), cv2.DIST_L2, 5)
        return np.asarray(np.maximum(_FALL**-depth, _LOWEST), np.float32)

    def middles(self, plane: Plane) -> Floats:
        """Values [n] of a plane [h,w] in the middles of the targets."""
        return plane[self.y + PATCH // 2, self.x + PATCH // 2]

    def vote(self, match: Numbers, weight: Floats) -> None:
        """Set the hole to the weighted means of what the matches over it show."""
        # Over all places, those that are no targets with weight 0: planes that are moved are added
        # several times as fast as pixels that are picked. The last column adds the weights up.
        weights = np.zeros((self.rows, self.columns, 1), np.float32)
        source = np.zeros((self.rows, self.columns), np.int64)
        weights[self.y, self.x, 0], source[self.y, self.x] = weight, self.firsts(match)
        box = self._box()
        weights, source = weights[box], source[box]
        top, left = box[0].start, box[1].start
        height, width = source.shape
        values = np.ones((self.hole_mask.size, 4), np.float32)
        values[:, :3] = self.pixels.reshape(-1, 3)
        total = np.zeros((*self.hole_mask.shape, 4), np.float32)
        for dy in range(PATCH):
            for dx in range(PATCH):
                moved = values.take(source + (dy * self.hole_mask.shape[1] + dx), 0)
                moved *= weights
                total[top + dy : top + dy + height, left + dx : left + dx + width] += moved
        self.pixels[self.hole_mask] = total[self.hole_mask, :3] / total[self.hole_mask, 3:]

    def _box(self) -> tuple[slice, slice]:
        """The rows and columns of all targets."""
        ends = ((int(at.min()), int(at.max()) + 1) for at in (self.y, self.x))
        rows, columns = (slice(*end) for end in ends)
        return rows, columns


class Matching:
    """The nearest known patch of every target: match [n] corners, cost [n] squared differences."""

    def __init__(self, level: Level, match: Numbers) -> None:
        self.level, self.match = level, match
        trust = sliding_window_view(level.trust(), (PATCH, PATCH))[level.y, level.x]
        flat = trust.reshape(len(match), -1)
        self.trust = flat / flat.sum(1, keepdims=True)
        every = sliding_window_view(level.pixels, (PATCH, PATCH), (0, 1))
        self.known = every.reshape(level.rows * level.columns, -1)  # a copy: sources don't change
        self.read_targets()

    def read_targets(self) -> None:
        """See the targets as they are now."""
        self.now = self.level.patches(self.level.targets)
        self.cost = self._costs(np.arange(len(self.match)), self.match)

    def improve(self, random: np.random.Generator) -> None:
        """One pass: neighbours' matches, moved along, from near and far; then random corners at
        ever smaller distances from the best.
        """
        for reach in (8, 2, 1):
            for dy, dx in _SIDES:
                self._propagate(reach * dy, reach * dx)
        reach = max(self.level.rows, self.level.columns)
        while reach >= 1:
            y, x = np.divmod(self.match, self.level.columns)
            moves = random.integers(-reach, reach, (2, len(y)), endpoint=True)
            self._try(np.arange(len(y)), y + moves[0], x + moves[1])
            reach //= 3

    def _propagate(self, dy: int, dx: int) -> None:
        level = self.level
        y, x = level.y + dy, level.x + dx
        who = np.flatnonzero(_within(level, y, x))
        neighbour = level.number[y[who] * level.columns + x[who]]
        who, neighbour = who[neighbour >= 0], neighbour[neighbour >= 0]
        y, x = np.divmod(self.match[neighbour], level.columns)
        self._try(who, y - dy, x - dx)

    def _try(self, who: Numbers, y: Numbers, x: Numbers) -> None:
        """Let targets ``who`` take the patches at (y,x) where these are known and nearer."""
        level = self.level
        fits = np.flatnonzero(_within(level, y, x))
        who, found = who[fits], y[fits] * level.columns + x[fits]
        new = level.known[found] & (found != self.match[who])
        who, found = who[new], found[new]
        costs = self._costs(who, found)
        nearer = costs < self.cost[who]
        self.match[who[nearer]], self.cost[who[nearer]] = found[nearer], costs[nearer]

    def _costs(self, who: Numbers, found: Numbers) -> Floats:
        """Of the patches ``found``, a block at a time, which stays in the processor's cache."""
        costs = np.empty(len(who), np.float32)
        for start in range(0, len(who), _BLOCK):
            part = slice(start, start + _BLOCK)
            difference = self.known.take(found[part], 0)
            difference -= self.now.take(who[part], 0)
            difference *= difference
            colours = difference.reshape(-1, 3, PATCH * PATCH)
            np.einsum("ick,ik->i", colours, self.trust.take(who[part], 0), out=costs[part])
        return costs


def fill(pixels: Pixels, hole_mask: HoleMask, seed: int) -> Pixels:
    """pixels [h,w,3] in [0,1] with the hole [h,w] filled; the rest as it was. Where no whole patch
    is known the hole is filled smoothly.
    """
    levels = _pyramid(_smooth(pixels, hole_mask), hole_mask)
    random = np.random.default_rng(seed)
    match: Numbers | None = None
    for k in reversed(range(len(levels))):
        level = levels[k]
        if match is None:
            match = random.choice(level.sources, len(level.targets))
        else:
            match = _upsample(levels[k + 1], match, level, random)
            level.vote(match, level.middles(level.trust()))
        match = _refine(level, match, random, _ROUNDS[min(k, len(_ROUNDS) - 1)])
    return levels[0].pixels if levels else _smooth(pixels, hole_mask)


def _refine(level: Level, match: Numbers, random: np.random.Generator, rounds: int) -> Numbers:
    matching = Matching(level, match)
    trust = level.middles(level.trust())
    for k in range(rounds):
        matching.improve(random)
        # The last vote hardly mixes: means of many patches are blurred.
        spread = np.percentile(matching.cost, 75) * (0.1 if k == rounds - 1 else 1)
        likeness = np.exp(-matching.cost / (2 * max(float(spread), 1e-8)))
        level.vote(matching.match, np.asarray(trust * np.maximum(likeness, 1e-6), np.float32))
        matching.read_targets()
    return matching.match


def _upsample(coarse: Level, match: Numbers, fine: Level, random: np.random.Generator) -> Numbers:
    """Matches at twice the size: the same way to go, doubled; random where that is no source."""
    y, x = np.minimum(fine.y // 2, coarse.rows - 1), np.minimum(fine.x // 2, coarse.columns - 1)
    number = coarse.number[y * coarse.columns + x]
    to_y, to_x = np.divmod(match[number], coarse.columns)
    y, x = fine.y + 2 * (to_y - y), fine.x + 2 * (to_x - x)
    inside = _within(fine, y, x) & (number >= 0)
    found = np.where(inside, y * fine.columns + x, 0)
    good = inside & fine.known[found]
    return np.where(good, found, random.choice(fine.sources, len(found)))


def _within(level: Level, y: Numbers, x: Numbers) -> NDArray[np.bool_]:
    return np.asarray((y >= 0) & (y < level.rows) & (x >= 0) & (x < level.columns))


def _pyramid(pixels: Pixels, hole_mask: HoleMask) -> list[Level]:
    """Levels from fine to coarse, each of half the size, while there is enough to copy."""
    levels: list[Level] = []
    while min(hole_mask.shape) >= 2 * PATCH:
        level = Level(pixels, hole_mask)
        if len(level.sources) < _FEWEST or not hole_mask.any():
            break
        levels.append(level)
        half = (-(-hole_mask.shape[1] // 2), -(-hole_mask.shape[0] // 2))
        share = cv2.resize(hole_mask.astype(np.float32), half, interpolation=cv2.INTER_AREA)
        pixels = np.asarray(cv2.resize(pixels, half, interpolation=cv2.INTER_AREA), np.float32)
        hole_mask = np.asarray(share > 1e-3)
    return levels


def _smooth(pixels: Pixels, hole_mask: HoleMask) -> Pixels:
    """The hole filled by fast marching, 8-bit; the rest as it was."""
    bytes_ = np.round(pixels.clip(0, 1) * 255).astype(np.uint8)
    filled = cv2.inpaint(bytes_, hole_mask.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    return np.where(hole_mask[..., None], np.asarray(filled, np.float32) / 255, pixels)
