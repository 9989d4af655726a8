"""ManiGAN: stages, attention, batches."""

from __future__ import annotations

import pytest
import torch

from models.manipulation.manigan.blocks import channel_attention
from models.manipulation.manigan.network import DetailCorrection, MainModule, ManiganConfig


def small(norm: str = "instance") -> ManiganConfig:
    return ManiganConfig(8, 8, 1, 4, 4, 12, 6, 5, 8, norm)


def inputs() -> dict[str, torch.Tensor]:
    source = torch.Generator().manual_seed(2)
    pad = torch.tensor([[False] * 4, [False] * 2 + [True] * 2])
    words = torch.randn(2, 12, 4, generator=source).masked_fill(pad[:, None], 0)
    return {
        "z": torch.randn(2, 4, generator=source),
        "noise": torch.randn(2, 4, generator=source),
        "words": words,
        "sentence": torch.randn(2, 12, generator=source),
        "pad": pad,
        "code": torch.randn(2, 12, generator=source),
        "regions": torch.randn(2, 6, 4, 4, generator=source),
    }


@pytest.mark.parametrize("norm", ["instance", "layer"])
def test_three_stages_and_the_correction(norm: str) -> None:
    torch.manual_seed(0)
    config = small(norm)
    main, dcm, given = MainModule(config).eval(), DetailCorrection(config).eval(), inputs()
    with torch.no_grad():
        out = main(**given)
        final, maps = dcm(out.hidden, torch.randn(2, 5, 16, 16), given["words"], given["pad"])
    assert [p.shape[-1] for p in out.pictures] == [8, 16, 32]
    assert final.shape == (2, 3, 32, 32)
    assert maps.shape == (2, 4, 32, 32)
    assert torch.allclose(maps.sum(1), torch.ones(2, 32, 32), atol=1e-5)
    assert maps[1, 2:].abs().max() == 0  # padding is not looked at


def test_a_picture_does_not_depend_on_its_batch() -> None:
    torch.manual_seed(0)
    main, given = MainModule(small()).eval(), inputs()
    row = {k: v[1:2] for k, v in given.items()}
    row["words"], row["pad"] = row["words"][..., :2], row["pad"][:, :2]
    with torch.no_grad():
        together, alone = main(**given), main(**row)
    assert torch.allclose(together.pictures[-1][1:2], alone.pictures[-1], atol=1e-5)


def test_channel_attention_ignores_padding() -> None:
    project = torch.nn.Conv2d(12, 16, 1, bias=False)
    words, pad = inputs()["words"], inputs()["pad"]
    context = torch.randn(2, 3, 4, 4)
    noisy = words.masked_fill(pad[:, None], 9.0)
    first, second = (channel_attention(context, w, pad, project) for w in (words, noisy))
    assert torch.allclose(first, second)


def test_both_norms_have_the_same_keys() -> None:
    keys = [set(MainModule(small(norm)).state_dict()) for norm in ("instance", "layer")]
    assert keys[0] == keys[1]
