import pytest
import torch

from models.errors import ModelsError
from models.synthesis.efficient_t2i.latent import scale_noise, shape_noise, width


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


def test_signs_and_choices_are_not_scaled() -> None:
    latent = "s2,u3,n2,2c4"
    z = torch.randn(50, 15, generator=torch.Generator().manual_seed(2))
    plain = shape_noise(z, latent)
    for scale in (0.0, 0.5):
        scaled = shape_noise(scale_noise(z, latent, scale), latent)
        assert torch.equal(scaled[:, :2], plain[:, :2])
        assert torch.equal(scaled[:, 7:], plain[:, 7:])
        assert torch.allclose(scaled[:, 5:7], plain[:, 5:7] * scale)
        assert (scaled[:, 2:5].abs() < plain[:, 2:5].abs()).all()


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
