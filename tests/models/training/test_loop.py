"""The loop on an objective of one weight: limits, slices, faults, resuming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jobs.captions import END, Vocabulary
from models.damsm.recipe import EncodersObjective
from models.manipulation.manigan.official import AdversarialObjective
from models.manipulation.objective import EditorObjective
from models.synthesis.attngan.recipe import AttnganObjective
from models.training.batch import Batch
from models.training.config import ConfigError, LoopOptions
from models.training.loader import worker_count
from models.training.loop import Loop, TrainingError, build_fabric
from models.training.noise import Noise
from models.training.objective import Objective, OptimizerStep, RateSchedule, Values, adam, halving
from models.training.run import Run

OPTIONS = LoopOptions(
    batch=4, steps=6, size=8, threads=1, precision="32-true", log_every=1, snapshot_every=2
)


class Grey:
    """Pictures of one random grey each."""

    name, domain, licence, fingerprint = "grey", "grey squares", "", "grey"
    tokenizer, max_words, min_words, attributes, latent = "regexp", 4, 0, (0, 0), ""
    size = 8
    vocabulary = Vocabulary([END, "grey"])

    def __len__(self) -> int:
        return 10

    def batch(
        self, part: str, indices: Sequence[int], sources: Sequence[np.random.Generator]
    ) -> Batch:
        count = len(indices)
        values = torch.tensor([rng.uniform(-1, 1) for rng in sources], dtype=torch.float32)
        images = values[:, None, None, None].expand(count, 3, 8, 8).contiguous()
        ids, lengths = torch.ones(count, 1, dtype=torch.int64), torch.ones(count, dtype=torch.int64)
        return Batch(images, ids, lengths, torch.arange(count), ids, lengths)


class Brightness(Objective):
    """Learns the mean grey, plus noise; ``broken_from``: the step whose loss is not a number."""

    averaged = ("guess",)

    def __init__(self, broken_from: int = 10**9) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.guess = nn.Linear(1, 1)
        self.modules = {"guess": self.guess}
        self.optimizer_steps = {
            "guess": OptimizerStep(adam([self.guess], 0.1, (0.5, 0.9)), ("guess",))
        }
        self.broken_from = broken_from

    def forward_shared(self, batch: Batch, noise: Noise, step: int) -> tuple[Tensor, Tensor]:
        return batch.images, noise.normal("jitter", 1)

    def loss(self, name: str, state: Any, step: int) -> tuple[Tensor, Values]:
        images, jitter = state
        found = self.guess(images.mean((1, 2, 3))[:, None] + 0.1 * jitter)
        loss = (found - 0.3).square().mean()
        if step >= self.broken_from:
            loss = loss * float("nan")
        return loss, {"loss": loss}

    def preview(self, batch: Batch, noise: Noise, averaged: Mapping[str, nn.Module]) -> Tensor:
        return batch.images

    def export(
        self, averaged: Mapping[str, nn.Module]
    ) -> tuple[dict[str, Any], dict[str, nn.Module]]:
        return {}, dict(averaged)


def run(folder: Path, options: LoopOptions = OPTIONS, objective: Objective | None = None) -> Loop:
    fabric = build_fabric(options, "cpu")
    fabric.launch()
    objective = objective or Brightness()
    loop = Loop(objective, Grey(), "damsm", options, Run(folder), fabric)
    loop.train()
    return loop


def weights(loop: Loop) -> Tensor:
    return torch.cat([p.detach().flatten() for p in loop.objective.modules["guess"].parameters()])


def test_a_resumed_run_is_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    run(tmp_path / "cut", replace(OPTIONS, steps=3))
    cut = run(tmp_path / "cut")
    assert cut.step == whole.step == 6
    assert torch.equal(weights(cut), weights(whole))


def test_the_rate_rises_and_falls_along_a_cosine(tmp_path: Path) -> None:
    options = replace(OPTIONS, steps=100, warmup=10, schedule="cosine", snapshot_every=1000)
    shares = [RateSchedule(options, {}).share(step) for step in range(101)]
    assert shares[0] == pytest.approx(0.1, rel=0.01)
    assert max(shares) == shares[9]
    assert shares[50] == pytest.approx(0.5)
    assert shares[100] == 0
    loop = run(tmp_path, replace(options, steps=4))
    (group,) = loop.objective.optimizer_steps["guess"].optimiser.param_groups
    assert group["lr"] == pytest.approx(0.1 * RateSchedule(replace(options, steps=4), {}).share(3))


class Halving(Brightness):
    """By a schedule of its own."""

    def rate_share(self, step: int) -> float:
        return halving(step, 2)


def test_an_objectives_own_schedule_counts(tmp_path: Path) -> None:
    for steps, rate in ((2, 0.1), (3, 0.05), (6, 0.025)):
        loop = run(tmp_path / str(steps), replace(OPTIONS, steps=steps), Halving())
        (group,) = loop.objective.optimizer_steps["guess"].optimiser.param_groups
        assert group["lr"] == pytest.approx(rate)


def test_a_resumed_run_follows_the_same_schedule(tmp_path: Path) -> None:
    options = replace(OPTIONS, steps=6, schedule="cosine")
    whole = run(tmp_path / "whole", options)
    with pytest.raises(TrainingError, match="not finite at step 4"):
        run(tmp_path / "cut", options, Brightness(broken_from=3))
    assert torch.equal(weights(run(tmp_path / "cut", options)), weights(whole))


@pytest.mark.parametrize(
    ("change", "says"),
    [({"schedule": "linear"}, "constant or cosine"), ({"steps": 0, "minutes": 1.0}, "loop.steps")],
)
def test_a_schedule_that_can_not_be_is_refused(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        run(tmp_path, replace(OPTIONS, **{"schedule": "cosine", **change}))


def test_slices_change_nothing_but_rounding(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    sliced = run(tmp_path / "sliced", replace(OPTIONS, accumulate=2))
    assert torch.allclose(weights(sliced), weights(whole), atol=1e-5)


class Ten(Grey):
    """Ten photos with ten captions each; a batch holds the photos and the captions drawn."""

    def batch(
        self, part: str, indices: Sequence[int], sources: Sequence[np.random.Generator]
    ) -> Batch:
        photos = torch.tensor(indices)
        drawn = torch.tensor([[int(rng.integers(10))] for rng in sources])
        ones = torch.ones_like(photos)
        return Batch(torch.zeros(len(photos), 3, 8, 8), drawn, ones, photos, drawn, ones)


def test_what_a_sample_draws_does_not_follow_from_its_photo(tmp_path: Path) -> None:
    fabric = build_fabric(OPTIONS, "cpu")
    loop = Loop(Brightness(), Ten(), "damsm", OPTIONS, Run(tmp_path), fabric)
    batches = [loop.samples(step, 4, 0, 4)[0] for step in range(400)]
    for place in range(4):
        pairs = {(int(b.class_ids[place]), int(b.ids[place, 0])) for b in batches}
        assert len(pairs) > 90, place


def test_a_batch_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="as a multiple of 3"):
        run(tmp_path, replace(OPTIONS, accumulate=3))


def test_slices_too_small_to_compare_samples_are_refused(tmp_path: Path) -> None:
    objective = Brightness()
    objective.least_slice = 2
    with pytest.raises(TrainingError, match=r"loop\.batch from 8 up"):
        run(tmp_path, replace(OPTIONS, accumulate=4), objective)
    assert AdversarialObjective.least_slice == EditorObjective.least_slice == 2
    assert EncodersObjective.least_slice == AttnganObjective.least_slice == 2


def test_a_loss_that_is_not_finite_stops_and_keeps_the_snapshot(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not finite at step 4"):
        run(tmp_path, objective=Brightness(broken_from=3))
    state = Run(tmp_path).load_snapshot()
    assert state is not None
    assert state["step"] == 2
    assert all(torch.isfinite(v).all() for v in state["modules"]["guess"].values())


class FullDisk(Run):
    """A run whose snapshots find no room."""

    def save_snapshot(self, state: dict[str, Any]) -> None:
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    fabric = build_fabric(OPTIONS, "cpu")
    loop = Loop(Brightness(), Grey(), "damsm", OPTIONS, FullDisk(tmp_path), fabric)
    with pytest.raises(TrainingError, match="Free some disk space and resume"):
        loop.train()


def test_a_run_leaves_statistics_grids_and_no_parts(tmp_path: Path) -> None:
    run(tmp_path)
    lines = (tmp_path / "stats.jsonl").read_text().splitlines()
    assert len(lines) == OPTIONS.steps
    assert list((tmp_path / "samples").glob("*.png"))
    assert list((tmp_path / "tensorboard").iterdir())
    assert not list(tmp_path.glob("*.part"))


def test_a_folder_with_another_run_is_refused(tmp_path: Path) -> None:
    options = {"loop": {"batch": 4, "threads": 1}, "options": {"rate": 0.1}, "version": {"a": "1"}}
    found = Run(tmp_path)
    found.write_options(options)
    found.save_snapshot({"step": 1})
    found.write_options(
        {**options, "loop": {"batch": 4, "threads": 2}, "version": {"a": "2"}}
    )  # how, not what
    with pytest.raises(ConfigError, match=r"\(options\.words\)"):
        found.write_options({**options, "options": {"rate": 0.1, "words": 3}})


def test_batches_made_by_other_processes_are_the_same(tmp_path: Path) -> None:
    alone = run(tmp_path / "alone")
    helped = run(tmp_path / "helped", replace(OPTIONS, workers=1))
    assert torch.equal(weights(alone), weights(helped))
    cut = run(tmp_path / "cut", replace(OPTIONS, workers=1, steps=3))
    assert cut.step == 3
    assert torch.equal(weights(run(tmp_path / "cut")), weights(alone))


@pytest.mark.parametrize(
    ("device", "workers", "processes"),
    [("cpu", -1, 0), ("cpu", 3, 3), ("cuda", 3, 3), ("cuda", 0, 0)],
)
def test_who_makes_batches(device: str, workers: int, processes: int) -> None:
    assert worker_count(torch.device(device), workers) == processes


def test_a_gpu_does_not_wait_for_its_own_process() -> None:
    assert 1 <= worker_count(torch.device("cuda"), -1) <= 8


@pytest.mark.parametrize("precision", ["16-mixed", "16-true"])
def test_float16_is_refused_with_its_reason(precision: str) -> None:
    with pytest.raises(ConfigError, match="scaled gradients"):
        LoopOptions(precision=precision)
