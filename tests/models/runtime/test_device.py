"""What a device is called, and what is said when there is none."""

from __future__ import annotations

import pytest
import torch

from models.errors import ModelsError
from models.runtime.device import check_driver, hardware
from models.runtime.precision import candidates
from tests.models.runtime.fake_cuda import DEVICE


def test_hardware_is_named_without_the_machine() -> None:
    assert hardware(torch.device("cpu")).partition(" x")[0]


@pytest.mark.parametrize(
    ("built", "told"), [("13.0", "driver 580 or newer"), (None, "without CUDA")]
)
def test_a_missing_driver_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, built: str | None, told: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", built)
    with pytest.raises(ModelsError, match=told):
        check_driver()


@pytest.mark.parametrize(("native", "half"), [(True, "bfloat16"), (False, "float16")])
def test_emulated_bfloat16_is_no_candidate(
    monkeypatch: pytest.MonkeyPatch, native: bool, half: str
) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert candidates(DEVICE) == ("float32", half)


@pytest.mark.gpu
def test_a_usable_device_passes() -> None:
    check_driver()
