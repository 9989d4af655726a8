import torch

from models.training.noise import Noise


def test_slices_share_one_draw() -> None:
    whole = Noise(3, 7, 8).normal("z", 5)
    parts = [Noise(3, 7, 8, start, 4).normal("z", 5) for start in (0, 4)]
    assert torch.equal(whole, torch.cat(parts))


def test_names_steps_and_seeds_differ() -> None:
    draws = [
        Noise(0, 0, 2).normal("z", 4),
        Noise(0, 0, 2).normal("other", 4),
        Noise(0, 1, 2).normal("z", 4),
        Noise(1, 0, 2).normal("z", 4),
    ]
    assert all(not torch.equal(a, b) for k, a in enumerate(draws) for b in draws[:k])


def test_order_of_draws_does_not_matter() -> None:
    one, two = Noise(0, 0, 2), Noise(0, 0, 2)
    first = one.uniform("a", 3)
    two.uniform("b", 3)
    assert torch.equal(first, two.uniform("a", 3))
