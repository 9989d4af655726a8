"""Metrics against numbers worked out by hand or by a direct computation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.evaluation import metrics
from models.evaluation.estimates import Scores


def planes(count: int = 2, side: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def test_l1_and_psnr_of_a_constant_offset() -> None:
    truth = torch.full((1, 3, 8, 8), 0.5)
    made = truth + 0.1
    assert metrics.l1(made, truth)[0] == pytest.approx(0.1, abs=1e-6)
    assert metrics.psnr(made, truth)[0] == pytest.approx(20.0, abs=1e-4)


def test_psnr_inside_looks_at_the_hole_only() -> None:
    truth = torch.zeros(1, 3, 4, 4)
    made = truth.clone()
    made[..., :2, :] = 0.1
    made[..., 2:, :] = 0.9
    hole = torch.zeros(1, 1, 4, 4)
    hole[..., :2, :] = 1
    assert metrics.psnr_inside(made, truth, hole)[0] == pytest.approx(20.0, abs=1e-4)


def test_psnr_of_equal_pictures_is_finite() -> None:
    assert metrics.psnr(planes(), planes()).tolist() == [100, 100]
    assert metrics.psnr_inside(planes(), planes(), torch.ones(2, 1, 16, 16))[0] == pytest.approx(
        100
    )


def test_tv_of_stripes() -> None:
    stripes = torch.zeros(1, 3, 4, 4)
    stripes[..., 1::2] = 1
    steps = 3 * 4 * 3  # every horizontal neighbour differs by one
    assert metrics.tv(stripes)[0] == pytest.approx(steps / (3 * 16))


def test_ssim_of_equal_pictures_is_one() -> None:
    assert metrics.ssim(planes(), planes()) == pytest.approx([1, 1])


def test_ssim_is_that_of_whole_windows() -> None:
    truth = planes(side=24)
    made = (truth + 0.3 * planes(side=24).flip(3)).clamp(0, 1)
    expected = [
        _wang_ssim(m.double().numpy(), t.double().numpy()) for m, t in zip(made, truth, strict=True)
    ]
    assert metrics.ssim(made, truth) == pytest.approx(expected, abs=1e-9)


def _wang_ssim(made: np.ndarray, truth: np.ndarray) -> float:
    """Wang et al. 2004, equation 13, window by window."""
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weight = np.outer(line, line) / line.sum() ** 2
    windows = (np.lib.stride_tricks.sliding_window_view(p, (11, 11), (1, 2)) for p in (made, truth))
    x, y = windows
    mean_x, mean_y = ((p * weight).sum((-1, -2)) for p in (x, y))
    apart_x, apart_y = x - mean_x[..., None, None], y - mean_y[..., None, None]
    var_x, var_y, both = (
        (p * weight).sum((-1, -2)) for p in (apart_x**2, apart_y**2, apart_x * apart_y)
    )
    top = (2 * mean_x * mean_y + 0.01**2) * (2 * both + 0.03**2)
    return float((top / ((mean_x**2 + mean_y**2 + 0.01**2) * (var_x + var_y + 0.03**2))).mean())


def test_upstream_l1_is_relative_and_tv_wraps() -> None:
    truth, made = np.full((8, 8), 0.5), np.full((8, 8), 0.25)
    made[:, 0] = 0.75
    found = metrics.upstream_metrics(made, truth)
    assert found["l1"] == pytest.approx((64 * 0.25) / (32 + 56 * 0.25 + 8 * 0.75))
    assert found["tv"] == pytest.approx(2 * 0.5 / 8)  # into and, around the edge, out of column 0
    assert found["psnr"] == pytest.approx(10 * np.log10(1 / 0.0625))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("made", "truth"), [(0.0, 0.0), (1.0, 1.0), (0.5, 0.0), (0.0, 1.0)])
def test_plain_pictures_have_finite_numbers(made: float, truth: float) -> None:
    found = metrics.upstream_metrics(np.full((16, 16), made), np.full((16, 16), truth))
    assert np.isfinite(list(found.values())).all()
    assert (found["l1"] == 0) == (made == truth)


def test_upstream_ssim_is_one_dimensional_along_columns() -> None:
    rng = np.random.default_rng(0)
    truth, made = rng.random((12, 5)), rng.random((12, 5))
    assert metrics.vertical_ssim(truth, made) == pytest.approx(_slow_ssim(truth, made), abs=1e-9)


def _slow_ssim(truth: np.ndarray, made: np.ndarray) -> float:
    """Column by column, window by window, with numpy's own sample covariance."""
    spread = made.max() - made.min()
    c1, c2 = (0.01 * spread) ** 2, (0.03 * spread) ** 2
    values = []
    for column in range(truth.shape[1]):
        for start in range(truth.shape[0] - 6):
            x, y = (p[start : start + 7, column] for p in (truth, made))
            (vx, vxy), (_, vy) = np.cov(x, y, ddof=1)
            top = (2 * x.mean() * y.mean() + c1) * (2 * vxy + c2)
            values.append(top / ((x.mean() ** 2 + y.mean() ** 2 + c1) * (vx + vy + c2)))
    return float(np.mean(values))


def test_upstream_keeps_the_better_candidate() -> None:
    truth = planes(1)[0]
    good, bad = truth * 0.9, 1 - truth
    plain = metrics.grey(truth)
    found = [metrics.upstream_metrics(metrics.grey(p), plain) for p in (bad, good)]
    assert metrics.upstream_best(found) == found[1]


def test_attribute_accuracy_counts_named_parts_only() -> None:
    read = np.array([[0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 0, 0]])
    truth = np.array([[0, 1, 9, 9, 9, 9], [0, 1, 1, 1, 1, 1]])
    named = np.array([[1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0]], bool)
    assert metrics.attribute_scores(read, truth, named).mean == pytest.approx(3 / 4)


def test_kept_difference_ignores_the_edited_place() -> None:
    before, after = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    after[..., 0, :] = 1
    after[..., 1, :] = 0.2
    where = torch.ones(1, 1, 4, 4)
    where[..., 0, :] = 0
    assert metrics.difference_inside(after, before, where).mean == pytest.approx(0.2 / 3, abs=1e-6)


def test_manipulation_precision_is_that_of_the_paper() -> None:
    found = metrics.manipulation_precision(np.array([0.2, 0.1]), np.array([0.5, 0.0]))
    assert found == pytest.approx([0.1, 0.1])


def test_r_precision_finds_the_own_caption() -> None:
    codes = torch.eye(3)
    captions = torch.eye(3)[[0, 2, 1]]
    pools = metrics.caption_pools(["a", "b", "c"], 10, seed=0)
    assert pools.shape == (3, 3)
    assert metrics.r_precision(codes, captions, pools).tolist() == [1, 0, 0]


def test_pools_hold_no_equal_caption_twice() -> None:
    pools = metrics.caption_pools(["a", "a", "b", "c"], 3, seed=0)
    assert all(pools[k, 0] == k for k in range(4))
    assert 1 not in pools[0]
    assert 0 not in pools[1]


def test_rates_are_pooled_not_averaged() -> None:
    scores = Scores.rates(np.array([1.0, 0.0]), np.array([1.0, 3.0]))
    assert scores.mean == pytest.approx(0.25)


def test_blur_keeps_the_edges_of_a_contour_and_lowers_its_sharpness() -> None:
    hard = torch.zeros(1, 3, 16, 16)
    hard[..., 8:] = 1
    soft = torch.zeros(1, 3, 16, 16)
    soft[..., 6:10] = torch.tensor([0.2, 0.4, 0.6, 0.8])
    soft[..., 10:] = 1
    a, b = metrics.edges(hard), metrics.edges(soft)
    assert a["edges"][0] == pytest.approx(b["edges"][0])
    assert b["sharpness"][0] == pytest.approx(a["sharpness"][0] / 5**0.5)


def test_edges_inside_a_hole_ignore_what_lies_around_it() -> None:
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    hole = torch.zeros(1, 1, 16, 16)
    hole[..., 4:12, 4:12] = 1
    whole = metrics.edges(picture[..., 4:12, 4:12])
    assert metrics.edges(picture, hole)["edges"][0] == pytest.approx(whole["edges"][0])
    assert metrics.edges(picture * (1 - hole), hole)["sharpness"][0] == 0
