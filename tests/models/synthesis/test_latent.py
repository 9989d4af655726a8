import pytest
import torch

from models.errors import ModelsError
from models.synthesis.latent import shape_noise, width


def test_groups_say_how_many_numbers_they_take() -> None:
    assert width("s1,u27,c6,6c10") == 94
    assert width("n5, s2") == 7


def test_every_shape_has_mean_zero_and_variance_one() -> None:
    z = torch.randn(40_000, 14, generator=torch.Generator().manual_seed(0))
    shaped = shape_noise(z, "s2,u3,c4,n5")
    assert shaped.shape == z.shape
    assert shaped.mean(0).abs().max() < 0.02
    assert (shaped.var(0) - 1).abs().max() < 0.03


def test_signs_and_choices_take_nothing_between() -> None:
    z = torch.randn(64, 6, generator=torch.Generator().manual_seed(1))
    shaped = shape_noise(z, "s1,c5")
    assert set(shaped[:, 0].tolist()) == {-1.0, 1.0}
    assert all(len(set(row)) == 2 for row in shaped[:, 1:].tolist())
    assert torch.equal(shaped[:, 1:].argmax(1), z[:, 1:].argmax(1))


def test_smaller_noise_moves_uniforms_inward_and_keeps_signs_and_choices() -> None:
    z = torch.randn(64, 9, generator=torch.Generator().manual_seed(2))
    whole, half = shape_noise(z, "s2,u4,c3"), shape_noise(z / 2, "s2,u4,c3")
    assert torch.equal(whole[:, :2], half[:, :2])
    assert torch.equal(whole[:, 6:], half[:, 6:])
    assert (half[:, 2:6].abs() < whole[:, 2:6].abs()).all()


def test_no_latent_is_the_noise_itself() -> None:
    z = torch.randn(2, 3)
    assert shape_noise(z, "") is z


@pytest.mark.parametrize("text", ["s", "3", "x4", "s1,", "6c"])
def test_what_is_no_group_is_refused(text: str) -> None:
    with pytest.raises(ModelsError, match="groups like s1"):
        width(text)


def test_a_sign_hands_gradients_back() -> None:
    z = torch.tensor([[0.3, -2.0]], requires_grad=True)
    shaped = shape_noise(z, "s2")
    torch.testing.assert_close(shaped, torch.tensor([[1.0, -1.0]]))
    shaped.sum().backward()
    assert z.grad is not None
    assert (z.grad > 0).all()
