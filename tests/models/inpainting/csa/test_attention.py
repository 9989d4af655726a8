"""The coherent semantic attention layer, step by step and backwards."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.errors import ModelsError
from models.inpainting.csa.attention import CoherentAttention, hole_cells


def given(seed: int, holes: list[int], side: int = 4, channels: int = 5) -> tuple[Tensor, Tensor]:
    """Features [1,C,h,w] and their hole cells."""
    source = torch.Generator().manual_seed(seed)
    features = torch.randn(1, channels, side, side, generator=source)
    hole = torch.zeros(side * side, dtype=torch.bool)
    hole[holes] = True
    return features, hole.reshape(1, 1, side, side)


def by_hand(features: Tensor, hole: Tensor) -> Tensor:
    """The layer as its steps are written down, cell by cell."""
    rows = features[0].flatten(1).T.clone()
    cells, known = (
        hole.flatten().nonzero().flatten().tolist(),
        (~hole.flatten()).nonzero().flatten(),
    )
    made = rows.clone()
    before: Tensor | None = None
    for cell in cells:
        likeness = rows[known] @ rows[cell] / (rows[known].norm(dim=1) + 1e-8)
        value, best = likeness.max(), rows[known[likeness.argmax()]]
        if before is None:
            before = best
        else:
            along = before @ rows[cell] / (rows[cell].norm() + 1e-8)
            before = along / (along + value) * before + value / (along + value) * best
        made[cell] = before
    return made.T.reshape(features.shape)


HOLES = ([5, 6, 9, 10], [0, 3, 15], [7], list(range(15)))


@pytest.mark.parametrize("holes", HOLES)
def test_holes_are_mixed_in_their_order(holes: list[int]) -> None:
    features, hole = given(1, holes)
    with torch.no_grad():
        assert torch.allclose(
            CoherentAttention()(features, hole), by_hand(features, hole), atol=1e-5
        )


@pytest.mark.parametrize("gradient", ["published", "exact"])
def test_rows_are_apart(gradient: str) -> None:
    pairs = [given(seed, holes) for seed, holes in enumerate((*HOLES, [], list(range(16))))]
    layer = CoherentAttention(gradient)

    def passed(features: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        leaf = features.clone().requires_grad_()
        made = layer(leaf, hole)
        made.square().sum().backward()
        assert leaf.grad is not None
        return made.detach(), leaf.grad

    together = passed(*(torch.cat(x) for x in zip(*pairs, strict=True)))
    for k, pair in enumerate(pairs):
        for row, alone in zip(together, passed(*pair), strict=True):
            assert torch.allclose(row[k], alone[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gradient", ["published", "exact"])
@pytest.mark.parametrize("holes", [[], list(range(16))])
def test_without_a_hole_or_known_cells_nothing_changes(gradient: str, holes: list[int]) -> None:
    features, hole = given(2, holes)
    features.requires_grad_()
    made = CoherentAttention(gradient)(features, hole)
    assert torch.equal(made, features)
    made.sum().backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_the_published_gradient_passes_known_cells_twice() -> None:
    features, hole = given(3, [5, 6, 9])
    features = features.abs().requires_grad_()  # shares of such lie between 0 and 1
    g = torch.randn(features.shape, generator=torch.Generator().manual_seed(4))
    CoherentAttention("published")(features, hole).backward(g)
    expected = torch.where(hole, g, 2 * g)
    likeness = features.detach()[0].flatten(1)
    first = likeness[:, 5] @ (likeness / (likeness.norm(dim=0) + 1e-8))
    best = int(first.masked_fill(hole.flatten(), -1).argmax())
    expected[..., best // 4, best % 4] += g[..., 1, 1]
    assert features.grad is not None
    assert torch.allclose(features.grad, expected, atol=1e-6)


def test_the_exact_gradient_is_that_of_the_forward_pass() -> None:
    features, hole = given(5, [5, 6, 9])
    g = torch.randn(features.shape, generator=torch.Generator().manual_seed(6))
    features.requires_grad_()
    CoherentAttention("exact")(features, hole).backward(g)
    direction = torch.randn(features.shape, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        step = 1e-3 * direction
        ahead, behind = (by_hand(features + sign * step, hole) for sign in (1, -1))
        slope = float(((ahead - behind) * g).sum()) / 2e-3
    assert features.grad is not None
    assert float((features.grad * direction).sum()) == pytest.approx(slope, rel=1e-2)


def test_cells_are_holes_from_five_sixteenths() -> None:
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    cells = hole_cells(mask)
    assert cells.shape == (1, 1, 4, 4)
    assert cells[0, 0].tolist() == [
        [1 <= y <= 2 and 1 <= x <= 2 for x in range(4)] for y in range(4)
    ]
    assert not hole_cells(torch.zeros(1, 1, 32, 32)).any()


def test_other_gradients_are_refused() -> None:
    with pytest.raises(ModelsError, match="published or exact"):
        CoherentAttention("rounded")
