"""What a stage hands to the next beside its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from models.bundle import Bundle
from models.checkpoints.collect import collect
from models.synthesis.efficient_t2i.recipe import SynthesisObjective, SynthesisOptions
from models.training.config import LoopOptions
from models.training.loop import Loop, build_fabric
from models.training.parts import initialise, save
from models.training.run import Run
from models.training.training_state import TrainingState, save_training_state, state_path
from tests.models.runtime.fake_cuda import DEVICE, fake_cuda, follow
from tests.models.training.photos import NoisePhotos, TinyEncoders

OPTIONS: dict[str, Any] = {
    "discriminator": "own", "ngf": 4, "ndf": 4, "z": 3, "reconstruction_weight": 1.0
}  # fmt: skip


def objective_of(**more: Any) -> SynthesisObjective:
    torch.manual_seed(len(more))  # of other numbers than another's
    return SynthesisObjective(SynthesisOptions(**OPTIONS | more), 32, TinyEncoders().text)


def trained(folder: Path, **more: Any) -> tuple[SynthesisObjective, Bundle]:
    """Two steps, and the bundle with its training state."""
    data: Any = NoisePhotos(32)
    options = LoopOptions(batch=4, size=32, precision="32-true", settle_batches=1, steps=2)
    objective = objective_of(**more)
    loop = Loop(objective, data, "synthesis", options, Run(folder), build_fabric(options, "cpu"))
    encoders: Any = TinyEncoders()
    bundle = save(folder / "bundle", "synthesis", objective, loop.train(), data, encoders, "s-1")
    save_training_state(bundle, "synthesize", objective)
    return objective, bundle


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> tuple[SynthesisObjective, Bundle]:
    return trained(tmp_path_factory.mktemp("before"))


def test_discriminators_and_moments_come_back(
    before: tuple[SynthesisObjective, Bundle],
) -> None:
    old, bundle = before
    new = objective_of(rate_d=1e-5)
    initialise(new, "synthesis", bundle.folder, NoisePhotos(32).vocabulary)
    state = TrainingState.open(bundle.folder, "synthesize")
    state.load_modules(new)
    for name in ("discriminator", "encoder"):
        for key, value in old.modules[name].state_dict().items():
            assert torch.equal(new.modules[name].state_dict()[key], value), (name, key)
    new.modules["discriminator"].to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    state.load_moments(new)
    for phase in ("discriminator", "generator"):
        pairs = zip(
            *(o.optimizer_steps[phase].optimiser.param_groups[0]["params"] for o in (old, new)),
            strict=True,
        )
        for one, two in pairs:
            was, now = (
                old.optimizer_steps[phase].optimiser.state[one],
                new.optimizer_steps[phase].optimiser.state[two],
            )
            assert now["step"] == 2
            torch.testing.assert_close(now["exp_avg_sq"], was["exp_avg_sq"], rtol=1e-2, atol=1e-12)
            assert now["exp_avg_sq"].stride() == two.stride()
    assert new.optimizer_steps["discriminator"].optimiser.param_groups[0]["lr"] == 1e-5


def test_moments_and_their_step_lie_where_the_weights_are(
    before: tuple[SynthesisObjective, Bundle],
) -> None:
    new = objective_of()
    state = TrainingState.open(before[1].folder, "synthesize")
    with fake_cuda() as mode:
        for module in new.modules.values():
            module.to(DEVICE)
        for step in new.optimizer_steps.values():
            follow(step.optimiser)
        with mode:
            state.load_moments(new)
    found = new.optimizer_steps["generator"].optimiser.state.values()
    assert {tensor.device for moments in found for tensor in moments.values()} == {DEVICE}


def test_what_has_other_sizes_starts_fresh(
    before: tuple[SynthesisObjective, Bundle], capsys: pytest.CaptureFixture[str]
) -> None:
    _, bundle = before
    new = objective_of(ndf=8)
    fresh = {k: v.clone() for k, v in new.discriminator.state_dict().items()}
    state = TrainingState.open(bundle.folder, "synthesize")
    state.load_modules(new)
    state.load_moments(new)
    assert "discriminator has other sizes" in capsys.readouterr().err
    assert all(torch.equal(v, fresh[k]) for k, v in new.discriminator.state_dict().items())
    assert not new.optimizer_steps["discriminator"].optimiser.state
    assert new.optimizer_steps["generator"].optimiser.state


def test_weights_that_were_replaced_have_no_state(
    before: tuple[SynthesisObjective, Bundle], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, bundle = before
    collect(tmp_path / "two", [bundle.folder], training_state=True)
    assert TrainingState.open(tmp_path / "two", "synthesize").tensors
    assert Bundle.open(tmp_path / "two").task("synthesize").raw["stage"] == "s-1"
    _, other = trained(tmp_path / "other", ngf=8)
    kept = state_path(tmp_path / "two", "synthesize").read_bytes()
    collect(tmp_path / "two", [other.folder])
    assert not state_path(tmp_path / "two", "synthesize").exists()
    state_path(tmp_path / "two", "synthesize").write_bytes(kept)
    assert not TrainingState.open(tmp_path / "two", "synthesize").tensors
    assert "belongs to other weights" in capsys.readouterr().err


def test_pretrained_trunks_are_left_out(tmp_path: Path) -> None:
    objective, bundle = trained(tmp_path, discriminator="projected", discriminator_size=32, ndf=8)
    with safe_open(state_path(bundle.folder, "synthesize"), "pt") as file:
        names = list(file.keys())
    assert not [name for name in names if ".trunk." in name]
    # The fixed random projections are no pretrained weights.
    assert "module.discriminator.heads.0.mix.weight" in names
    new = objective_of(discriminator="projected", discriminator_size=32, ndf=8, rate_g=1e-5)
    TrainingState.open(bundle.folder, "synthesize").load_modules(new)
    for key, value in objective.discriminator.state_dict().items():
        assert torch.equal(new.discriminator.state_dict()[key], value), key
