"""A loop that is stopped, poisoned or torn: what is kept, and how it goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from models.errors import Stopped
from models.files import json_lines
from models.training.batch import Batch
from models.training.config import ConfigError
from models.training.loop import TrainingError
from models.training.noise import Noise
from models.training.objective import Values, adam, match_memory_format
from models.training.run import Run
from tests.models.training.test_loop import OPTIONS, Brightness, run, weights


class Disturbed(Brightness):
    """Does ``act(objective)`` before step ``at``."""

    def __init__(self, at: int, act: Callable[[Brightness], Any]) -> None:
        super().__init__()
        self.at, self.act = at, act

    def forward_shared(self, batch: Batch, noise: Noise, step: int) -> tuple[Tensor, Tensor]:
        if step == self.at:
            self.act(self)
        return super().forward_shared(batch, noise, step)


class Poisoned(Brightness):
    """Its weights turn into NaN at step ``at``, while the loss stays a number."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def loss(self, name: str, state: Any, step: int) -> tuple[Tensor, Values]:
        loss, values = super().loss(name, state, step)
        if step == self.at:
            loss = loss + (self.guess.weight.sum() * 0).sqrt()  # its gradient is 0/0
        return loss, values


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_the_step_and_leaves_a_snapshot(
    tmp_path: Path, number: int, status: int
) -> None:
    stopped = Disturbed(3, lambda _: signal.raise_signal(number))
    with beginning_with(number, signal.SIG_DFL):
        with pytest.raises(Stopped, match="Stopped at step 4; run the same command") as caught:
            run(tmp_path / "cut", objective=stopped)
        assert signal.getsignal(number) is signal.SIG_DFL
    assert caught.value.status == status
    assert (Run(tmp_path / "cut").load_snapshot() or {})["step"] == 4
    cut, whole = run(tmp_path / "cut"), run(tmp_path / "whole")
    assert torch.equal(weights(cut), weights(whole))


def test_nohup_stays_without_hangups(tmp_path: Path) -> None:
    with beginning_with(signal.SIGHUP, signal.SIG_IGN):
        run(tmp_path, objective=Disturbed(3, lambda _: signal.raise_signal(signal.SIGHUP)))
    assert (Run(tmp_path).load_snapshot() or {})["step"] == 6


@contextmanager
def beginning_with(number: int, handler: signal.Handlers) -> Iterator[None]:
    """These tests may themselves run under nohup."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def test_a_full_disk_is_said_and_the_steps_are_kept(tmp_path: Path) -> None:
    Run(tmp_path)
    options = replace(OPTIONS, snapshot_every=100, preview_every=3)
    full = Disturbed(2, lambda _: full_disk(tmp_path / "stats.jsonl"))
    with pytest.raises(TrainingError, match=r"no space left .* in the snapshot"):
        run(tmp_path, options, full)
    assert (Run(tmp_path).load_snapshot() or {})["step"] == 3


def test_a_full_disk_at_the_start_is_said(tmp_path: Path) -> None:
    run(tmp_path, replace(OPTIONS, steps=2))
    full_disk(tmp_path / "stats.jsonl")
    with pytest.raises(TrainingError, match=r"no space left .* Steps up to 3 are in the snapshot"):
        run(tmp_path)
    assert (Run(tmp_path).load_snapshot() or {})["step"] == 3


def full_disk(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/full")


@pytest.mark.parametrize("kept", [0, 100, 0.5])
def test_damaged_snapshots_are_named(tmp_path: Path, kept: float) -> None:
    run(tmp_path)
    path = tmp_path / "snapshot.pt"
    data = path.read_bytes()
    path.write_bytes(data[: int(kept if kept > 1 else kept * len(data))])
    with pytest.raises(ConfigError, match=r"snapshot\.pt .*delete it to train from the start"):
        run(tmp_path)


@pytest.mark.parametrize(
    "change", [{"modules": {}}, {"step": None, "optimisers": 5}, {"averages": []}]
)
def test_snapshots_of_another_version_are_named(tmp_path: Path, change: dict[str, Any]) -> None:
    run(tmp_path)
    torch.save({**(Run(tmp_path).load_snapshot() or {}), **change}, tmp_path / "snapshot.pt")
    with pytest.raises(TrainingError, match="does not fit this training"):
        run(tmp_path)


@pytest.mark.parametrize("text", ["", '{"loop": {', "[1]", "null"])
def test_damaged_options_are_named(tmp_path: Path, text: str) -> None:
    run(tmp_path)
    (tmp_path / "options.json").write_text(text)
    with pytest.raises(ConfigError, match=r"options\.json is damaged"):
        Run(tmp_path).check_options({"part": "damsm"})


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Python's own answer to Ctrl-C, which a shell's background jobs start without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    def twice(_: Brightness) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, objective=Disturbed(3, twice))
    assert (Run(tmp_path).load_snapshot() or {})["step"] == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("steps", [5, 8])  # the last snapshot, and one on the way
def test_broken_weights_never_replace_a_good_snapshot(tmp_path: Path, steps: int) -> None:
    options = replace(OPTIONS, steps=steps, snapshot_every=4, log_every=100)
    with pytest.raises(TrainingError, match=r"not finite at step .*lower learning rate"):
        run(tmp_path, options, Poisoned(at=4))
    state = Run(tmp_path).load_snapshot()
    assert state is not None
    assert state["step"] == 4
    assert all(v.isfinite().all() for v in state["modules"]["guess"].values())
    assert not list(tmp_path.glob("*.part"))


def test_a_broken_run_goes_on_with_a_lower_rate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = {"loop": {}, "options": {"rate": 0.1, "words": 8}, "version": {}}
    Run(tmp_path).write_options(record)
    with pytest.raises(TrainingError, match="lower learning rate"):
        run(tmp_path, objective=Brightness(broken_from=3))
    lower = {"rate": 0.01, "words": 8}
    Run(tmp_path).write_options({**record, "options": lower})
    assert "another options.rate" in capsys.readouterr().err
    assert Run(tmp_path).options()["options"] == lower
    objective = Brightness()
    objective.optimizer_steps["guess"].optimiser.param_groups[0]["lr"] = 0.01
    loop = run(tmp_path, objective=objective)
    assert loop.step == 6
    # The snapshot's own rate does not come back.
    assert loop.objective.optimizer_steps["guess"].optimiser.param_groups[0]["lr"] == 0.01


def test_a_torn_line_is_forgotten_and_every_step_stands_once(tmp_path: Path) -> None:
    with pytest.raises(TrainingError):
        run(tmp_path, objective=Brightness(broken_from=3))  # logged step 3, kept step 2
    stats = tmp_path / "stats.jsonl"
    with stats.open("a") as file:
        file.write('{"step": 4, "lo')
    run(tmp_path)
    assert [line["step"] for line in json_lines(stats, "step")] == [1, 2, 3, 4, 5, 6]
    assert len(stats.read_text().splitlines()) == 6


def test_tensorboard_shows_no_step_twice(tmp_path: Path) -> None:
    with pytest.raises(TrainingError):
        run(tmp_path, objective=Brightness(broken_from=3))
    run(tmp_path)
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert [event.step for event in board.Scalars("loss")] == [1, 2, 3, 4, 5, 6]


def test_the_first_step_is_reported_before_the_first_statistics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, replace(OPTIONS, log_every=100))
    assert "damsm step 1 " in capsys.readouterr().err
    assert not (tmp_path / "stats.jsonl").exists()


def test_one_folder_holds_one_training_at_a_time(tmp_path: Path) -> None:
    with (
        Run(tmp_path).exclusive(),
        pytest.raises(ConfigError, match="Another process trains in"),
        Run(tmp_path).exclusive(),
    ):
        pass
    with Run(tmp_path).exclusive():
        pass


def test_an_unusable_folder_is_noticed_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="choose another --out"):
        Run(tmp_path / "file" / "run")


def test_moments_follow_the_layout_of_their_weights() -> None:
    """A fused kernel walks weight and moments in the order of memory."""
    torch.manual_seed(0)
    gradients = [torch.randn(4, 3, 3, 3) for _ in range(3)]
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        first = _stepped(nn.Conv2d(3, 4, 3), gradients[:2])
        second = nn.Conv2d(3, 4, 3)
        second.load_state_dict(first[0].state_dict())
        second = second.to(memory_format=layout)  # type: ignore[call-overload]
        optimiser = adam([second], 0.1, (0.5, 0.9))
        optimiser.load_state_dict(first[1].state_dict())
        match_memory_format(optimiser)
        second.weight.grad = gradients[2].to(memory_format=layout)
        optimiser.step()
        results.append(second.weight.detach().contiguous())
    torch.testing.assert_close(results[0], results[1])


def _stepped(module: nn.Conv2d, gradients: list[Tensor]) -> tuple[nn.Conv2d, torch.optim.Optimizer]:
    nn.init.ones_(module.weight)
    optimiser = adam([module], 0.1, (0.5, 0.9))
    for gradient in gradients:
        module.weight.grad = gradient.clone()
        optimiser.step()
    return module, optimiser
