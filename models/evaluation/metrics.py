"""Per-picture metrics. Pictures are float32 [N,3,H,W] in [0,1] here; results are float64 [N].

Two protocols for inpainting, named apart: the plain names measure colour pictures one by one; the
names with ``_upstream`` repeat TDANet's ``evaluation.py`` (grey pictures, relative L1, wrapped TV,
SSIM along columns only, the best candidate of several).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.image import total_variation

from models.evaluation.estimates import Floats, Scores

Grey = NDArray[np.float64]
_LUMA = np.array([0.2125, 0.7154, 0.0721])  # scikit-image's rgb2gray
_SSIM_WINDOW = 7  # upstream's, of columns
_SSIM_BORDER = 5  # pixels beside an edge, where Wang's window of 11 would look outside
_SSIM_SIGMA = 1.5


def _floats(values: Tensor) -> Floats:
    return cast("Floats", values.detach().double().cpu().numpy().reshape(-1))


def l1(a: Tensor, b: Tensor) -> Floats:
    """Mean absolute difference."""
    return _floats((a - b).abs().mean((1, 2, 3)))


def psnr(made: Tensor, truth: Tensor) -> Floats:
    """Peak signal to noise ratio of each picture in dB, data range 1, at most 100: equal pictures
    would otherwise have none.
    """
    return psnr_inside(made, truth, torch.ones_like(made[:, :1]))


def psnr_inside(made: Tensor, truth: Tensor, hole_mask: Tensor) -> Floats:
    """PSNR in dB over the pixels where ``hole_mask`` [N,1,H,W] is 1; at most 100."""
    squared = ((made - truth) ** 2 * hole_mask).sum((1, 2, 3))
    mean = squared / (hole_mask.sum((1, 2, 3)) * made.shape[1]).clamp_min(1)
    return _floats(-10 * torch.log10(mean.clamp_min(1e-10)))


def tv(made: Tensor) -> Floats:
    """Total variation per value: sum of |dx| + |dy| over the number of values."""
    return _floats(total_variation(made, reduction="none")) / made[0].numel()


def edges(made: Tensor, where: Tensor | None = None) -> dict[str, Floats]:
    """Of the steps between neighbouring values: ``edges``, their mean size, which tells grain and
    contours from plain areas, and ``sharpness``, the root of their mean square, which also tells a
    hard contour from the same contour blurred.

    where: float32 [N,1,H,W]; only the pairs that it both holds.
    """
    inside = torch.ones_like(made[:, :1]) if where is None else where
    steps = (
        (inside[..., 1:] * inside[..., :-1], made[..., 1:] - made[..., :-1]),
        (inside[..., 1:, :] * inside[..., :-1, :], made[..., 1:, :] - made[..., :-1, :]),
    )
    count = sum(w.sum((1, 2, 3)) for w, _ in steps) * made.shape[1]
    size = sum((w * d.abs()).sum((1, 2, 3)) for w, d in steps)
    square = sum((w * d**2).sum((1, 2, 3)) for w, d in steps)
    least = torch.as_tensor(count).clamp_min(1)
    return {"edges": _floats(size / least), "sharpness": _floats((square / least).sqrt())}


def ssim(made: Tensor, truth: Tensor) -> Floats:
    """Structural similarity, Gaussian window of 11 pixels with σ = 1.5, data range 1, the mean over
    the places where the window lies inside the picture (Wang et al. 2004, as scikit-image with
    ``gaussian_weights=True, sigma=1.5, use_sample_covariance=False`` has it).
    """
    planes = (t.double().permute(0, 2, 3, 1).contiguous().numpy() for t in (made, truth))
    return np.array([_ssim(a, b) for a, b in zip(*planes, strict=True)])


def _ssim(a: Grey, b: Grey) -> float:
    """Of one pair [H,W,3]. OpenCV's filter goes along columns, then rows: torch's convolution of
    doubles would copy each picture 121 times, all pictures at once.
    """
    x, y, xx, yy, xy = (_window_mean(p) for p in (a, b, a * a, b * b, a * b))
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * x * y + c1) * (2 * (xy - x * y) + c2)
    bottom = (x * x + y * y + c1) * (xx - x * x + yy - y * y + c2)
    return float((top / bottom).mean())


def _window_mean(planes: Grey) -> Grey:
    side = 2 * _SSIM_BORDER + 1
    mean = cv2.GaussianBlur(planes, (side, side), _SSIM_SIGMA)
    inside = slice(_SSIM_BORDER, -_SSIM_BORDER)
    return np.asarray(mean[inside, inside], np.float64)


def frame_metrics(made: Tensor, truth: Tensor) -> dict[str, Floats]:
    """The correct protocol's four numbers of each picture."""
    return {
        "l1": l1(made, truth),
        "psnr": psnr(made, truth),
        "tv": tv(made),
        "ssim": ssim(made, truth),
    }


def grey(picture: Tensor) -> Grey:
    """[3,H,W] in [0,1] → float64 [H,W], the luma that upstream measures."""
    return np.asarray(np.tensordot(_LUMA, picture.double().numpy(), 1), np.float64)


def upstream_metrics(made: Grey, truth: Grey) -> dict[str, float]:
    """TDANet's ``evaluation.py`` on one pair of grey pictures (fractions, not per cent)."""
    total = float((truth + made).sum())  # 0 where both are black, and so alike
    return {
        "l1": float(np.abs(truth - made).sum()) / total if total else 0.0,
        "psnr": float(10 * np.log10(1 / max(float(((truth - made) ** 2).mean()), 1e-10))),
        "tv": float(np.sqrt(_step(made, 1) ** 2 + _step(made, 0) ** 2).mean()),
        "ssim": vertical_ssim(truth, made),
    }


def _step(plane: Grey, axis: int) -> Grey:
    return plane - np.roll(plane, -1, axis)


def vertical_ssim(truth: Grey, made: Grey) -> float:
    """The mean over columns of a one-dimensional SSIM along each: what scikit-image computes when
    with the columns of a 2-D picture as channels. Uniform window of 7, K1 0.01, K2 0.03, sample
    covariance, 3 pixels cropped at both ends, data range = spread of ``made``.
    """
    spread = float(made.max() - made.min()) or 1.0
    c1, c2 = (0.01 * spread) ** 2, (0.03 * spread) ** 2
    x, y = (
        np.lib.stride_tricks.sliding_window_view(p, _SSIM_WINDOW, axis=0) for p in (truth, made)
    )
    mx, my = x.mean(-1), y.mean(-1)
    norm = _SSIM_WINDOW / (_SSIM_WINDOW - 1)
    vx = norm * ((x * x).mean(-1) - mx * mx)
    vy = norm * ((y * y).mean(-1) - my * my)
    vxy = norm * ((x * y).mean(-1) - mx * my)
    top = (2 * mx * my + c1) * (2 * vxy + c2)
    bottom = (mx**2 + my**2 + c1) * (vx + vy + c2)
    return float((top / bottom).mean())


def upstream_best(candidates: Iterable[dict[str, float]]) -> dict[str, float]:
    """Of the ``upstream_metrics`` of several fills of one hole those of the fill that upstream
    keeps: least l1 − PSNR + TV.

    Its list also holds the grey-holed input, because a file pattern matches one file too many.
    """
    return min(candidates, key=lambda m: m["l1"] - m["psnr"] + m["tv"])


def attribute_scores(
    read: NDArray[np.int64], truth: NDArray[np.int64], counted: NDArray[np.bool_]
) -> Scores:
    """Share of the counted parts [N,6] whose colour was read right; weights: how many count."""
    hits = ((read == truth) & counted).sum(1)
    return Scores.rates(hits.astype(np.float64), counted.sum(1).astype(np.float64))


def distinct_colours(read: NDArray[np.int64], parts: NDArray[np.bool_]) -> tuple[float, int]:
    """Mean number of different colours [N,6] in N pictures of one caption, over the ``parts`` [6]
    that it does not name; and how many parts these are.
    """
    found = [len(set(read[:, k].tolist())) for k in np.flatnonzero(parts)]
    return (float(np.mean(found)) if found else 0.0), len(found)


def difference_inside(a: Tensor, b: Tensor, where: Tensor) -> Scores:
    """Mean absolute difference over the pixels where ``where`` [N,1,H,W] is 1."""
    size = where.sum((1, 2, 3)) * a.shape[1]
    total = ((a - b).abs() * where).sum((1, 2, 3)) / size.clamp_min(1)
    return Scores(_floats(total), _floats((size > 0).float()))


def manipulation_precision(similarity: Floats, difference: Floats) -> Floats:
    """ManiGAN's MP = (1 − diff) · sim of each pair (section 4 of the paper)."""
    return (1 - difference) * similarity


def r_precision(picture_codes: Tensor, captions: Tensor, pools: NDArray[np.int64]) -> Floats:
    """1 where a picture's own caption is the nearest of its pool, else 0 (AttnGAN section 4).

    picture_codes, captions: unit vectors [N,D]; pools: int64 [N,K], column 0 = the own caption.
    """
    pool = captions[torch.from_numpy(pools)]
    similarity = torch.einsum("nd,nkd->nk", picture_codes, pool)
    return _floats((similarity.argmax(1) == 0).float())


def caption_pools(texts: Sequence[str], size: int, seed: int) -> NDArray[np.int64]:
    """int64 [N,size]: each caption's own index, then size − 1 different captions of others."""
    rng = np.random.default_rng(seed)
    rows = []
    for k, text in enumerate(texts):
        order = [int(j) for j in rng.permutation(len(texts)) if texts[j] != text]
        rows.append([k, *order[: size - 1]])
    shortest = min(map(len, rows), default=0)
    return np.array([row[:shortest] for row in rows], np.int64).reshape(len(rows), -1)
