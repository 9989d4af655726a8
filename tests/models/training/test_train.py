"""The training command: every part takes steps, survives a kill, and ends in a bundle that
serves.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from models.__main__ import command_line
from models.bundle import Bundle
from models.checkpoints.collect import collect
from models.commands.train import bundle_of
from models.damsm.efficientnet import EfficientNetLite0, load_imagenet
from models.data.sheets import read_sheets
from models.detail.network import enlarge
from models.detail.stage import open_network
from models.errors import ModelsError
from models.pipeline import Item
from models.registry import load
from models.training.config import LoopOptions, build_options, override, read_preset
from models.training.sheets import SheetOptions, draw_sheets
from tests.models.data.made_sets import cub
from tests.models.tiny import SIZE, tiny_bundle

pytestmark = pytest.mark.slow

FAST = [
    "--set", "loop.size=32",
    "--set", "loop.samples=24",
    "--set", "loop.batch=8",
    "--set", "loop.settle_batches=2",
    "--set", "loop.threads=1",
]  # fmt: skip
DAMSM = ["--set", "input_size=32", "--set", "hidden=16", "--set", "features=32", "--set", "words=8"]
SMALL = {
    "synthesis": ["--set", "ngf=8", "--set", "widths=''"],
    "manipulation": ["--set", "ngf=4", "--set", "combine=4"],
    "inpainting": ["--set", "width=4", "--set", "z=4", "--set", "refine=1"],
}


def command(part: str, out: Path, steps: int, *more: str) -> list[str]:
    start = [sys.executable, "-m", "models", "train", part, "--preset", "aviary", "--device", "cpu"]
    return [*start, "--out", str(out), "--steps", str(steps), *FAST, *more]


def train(part: str, out: Path, steps: int, *more: str, cache: Path) -> str:
    env = os.environ | {"XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(
        command(part, out, steps, *more), env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def train_fails(part: str, out: Path, *more: str, cache: Path) -> str:
    env = os.environ | {"XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(
        command(part, out, 1, *more), env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    out = tmp_path_factory.mktemp("damsm")
    train("damsm", out, 2, *DAMSM, cache=cache)
    return out / "bundle"


def test_frozen_statistics_are_imagenets_and_the_heads_own(encoders: Path) -> None:
    state = Bundle.open(encoders).state("damsm", "image_encoder")
    trunk = EfficientNetLite0(10)
    load_imagenet(trunk)
    for name, value in trunk.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            assert torch.allclose(state[f"trunk.{name}"].float(), value, rtol=1e-2, atol=1e-2)
    assert state["head.0.running_mean"].abs().max() > 0


@pytest.mark.parametrize(
    ("part", "task"),
    [("synthesis", "synthesize"), ("manipulation", "manipulate"), ("inpainting", "inpaint")],
)
def test_each_part_ends_in_a_bundle_that_serves(
    part: str, task: str, encoders: Path, tmp_path: Path, cache: Path
) -> None:
    options = ["--encoders", str(encoders), *SMALL[part]]
    train(part, tmp_path, 2, *options, "--set", "loop.preview_every=2", cache=cache)
    with Image.open(tmp_path / "samples/0000002.png") as sheet:
        assert sheet.size[0] == 8 * 32
    bundle = Bundle.open(tmp_path / "bundle")
    assert bundle.name == "aviary"
    photo = Image.new("RGB", (50, 40), "blue")
    mask = Image.new("L", (50, 40), 0)
    mask.paste(255, (10, 10, 30, 30))
    pipeline = load(bundle.folder, task, None, "cpu")
    (picture,) = pipeline.run(
        [Item("a bird with a red crown", 1, 0, {"image": photo, "mask": mask})]
    ).pictures
    assert isinstance(picture, Image.Image), picture


def test_a_detail_stage_joins_the_bundle_of_other_parts(tmp_path: Path, cache: Path) -> None:
    small = ("--set", "width=8", "--set", "depth=1")
    late = ("--set", "patch=32", "--set", "adversarial_start=1", "--set", "loop.preview_every=2")
    train("detail", tmp_path / "run", 2, *small, *late, cache=cache)
    with Image.open(tmp_path / "run/samples/0000002.png") as sheet:
        assert sheet.size == (8 * 32, 3 * 32)
    whole = collect(
        tmp_path / "tiny", [tiny_bundle(tmp_path / "tiny").folder, tmp_path / "run/bundle"]
    )
    assert {"synthesize", "detail"} <= whole.tasks.keys()
    (picture,) = load(whole.folder, "synthesize", None, "cpu").run([Item("bird", 1)]).pictures
    assert isinstance(picture, Image.Image), picture
    assert picture.size == (128, 128)
    again = train("detail", tmp_path / "more", 1, "--init", str(whole.folder), *late, cache=cache)
    assert "wrote" in again
    assert Bundle.open(tmp_path / "more/bundle").task("detail").network["width"] == 8


def test_a_detail_stage_learns_from_what_its_bundle_makes(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    bundle, photos = tiny_bundle(tmp_path / "tiny").folder, cub(tmp_path / "photos", each=4)
    draw_sheets(bundle, str(photos), tmp_path / "sheets", SheetOptions(sheets=1))
    options = (
        "--set",
        "width=8",
        "--set",
        "depth=1",
        "--set",
        "patch=64",
        "--set",
        "heads=8",
        "--set",
        "noise=2",
    )
    generated = ("--set", "objective=generated", "--set", f"generated={tmp_path / 'sheets'}")
    large = ("--set", f"loop.size={SIZE * 4}", "--set", "loop.precision=32-true")
    first = ("--set", "loop.ema=0", "--set", "loop.warmup=0", "--set", "loop.preview_every=3")
    train("detail", tmp_path / "run", 3, *options, *generated, *large, *first, cache=cache)
    with Image.open(tmp_path / "run/samples/0000003.png") as sheet:
        assert sheet.size == (8 * SIZE * 4, 5 * SIZE * 4)
    network = open_network(Bundle.open(tmp_path / "run/bundle"))
    small = read_sheets(tmp_path / "sheets")[:2]
    assert (network(small) - enlarge(small, 4)).abs().max() > 1e-3
    other = ("--set", "loop.size=64")
    sizes = train_fails("detail", tmp_path / "wrong", *options, *generated, *other, cache=cache)
    assert "with these photos they have to have 16" in sizes
    none = train_fails("detail", tmp_path / "none", "--set", "objective=generated", cache=cache)
    assert "write one with the command sheets" in none
    # What is written lies between the weights of --init and the trained ones, also after a resume.
    fast = ("--set", "patch=64", "--set", "heads=8", "--set", "rate=0.02")
    same = (*generated, *fast, *large, *first)
    start = ("--init", str(tmp_path / "run/bundle"))
    states = {"start": _detail(tmp_path / "run")}
    for share in ("0", "0.25", "1"):
        out = tmp_path / f"share-{share}"
        train("detail", out, 2, *start, *same, "--set", f"initial={share}", cache=cache)
        states[share] = _detail(out)
    assert (states["0"] - states["start"]).abs().max() > 1e-2
    assert torch.equal(states["1"], states["start"])
    between = 0.75 * states["0"] + 0.25 * states["start"]
    assert torch.allclose(states["0.25"], between, atol=1e-3)
    train("detail", tmp_path / "share-1", 3, *start, *same, "--set", "initial=1", cache=cache)
    assert torch.equal(_detail(tmp_path / "share-1"), states["start"])
    for share, sentence in (("0.25", "say where these are"), ("1.5", "from 0 to 1, not 1.5")):
        refused = (*options, *generated, *large, "--set", f"initial={share}")
        assert sentence in train_fails("detail", tmp_path / "refused", *refused, cache=cache)


def _detail(run: Path) -> Tensor:
    """All weights of a run's detail stage, one after the other."""
    state = Bundle.open(run / "bundle").state("detail", "network")
    return torch.cat([state[name].float().flatten() for name in sorted(state)])


@pytest.mark.parametrize(
    ("part", "more", "sentence"),
    [
        ("damsm", ("--set", "input_size=3"), "damsm.input_size is a multiple of 16 from 32 up"),
        ("detail", ("--encoders", "weights/aviary"), "leave --encoders out"),
    ],
)
def test_what_a_part_can_not_use_is_refused(
    part: str, more: tuple[str, ...], sentence: str, tmp_path: Path, cache: Path
) -> None:
    assert sentence in train_fails(part, tmp_path / "run", *more, cache=cache)


def weights(run: Path) -> dict[str, torch.Tensor]:
    state = torch.load(run / "snapshot.pt", weights_only=True)
    return {f"{name}.{k}": v for name, m in state["modules"].items() for k, v in m.items()}


def test_a_killed_run_resumes_to_the_same_numbers(
    encoders: Path, tmp_path: Path, cache: Path
) -> None:
    options = ["--encoders", str(encoders), *SMALL["synthesis"], "--set", "loop.snapshot_every=1"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train("synthesis", whole, 6, *options, cache=cache)
    env = os.environ | {"XDG_CACHE_HOME": str(cache)}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command("synthesis", cut, 100_000, *options), env=env, stderr=log
        )
        deadline = time.monotonic() + 60
        while not (cut / "snapshot.pt").exists():
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    reached = int(torch.load(cut / "snapshot.pt", weights_only=True)["step"])
    if reached < 6:
        assert f"resumed at step {reached}" in train("synthesis", cut, 6, *options, cache=cache)
        first, second = weights(whole), weights(cut)
    else:  # it was quick: compare at the step that it reached
        train("synthesis", whole, reached, *options, cache=cache)
        first, second = weights(whole), weights(cut)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_mistakes_are_sentences(tmp_path: Path, cache: Path) -> None:
    env = os.environ | {"XDG_CACHE_HOME": str(cache)}
    cases = {
        "needs --encoders": command("synthesis", tmp_path, 1, "--preset", "cub"),
        "no option 'speed'": command("damsm", tmp_path, 1, "--set", "speed=3"),
        "from 0 to below 1, not 2.0": command("damsm", tmp_path, 1, "--set", "loop.ema=2.0"),
        "There is no preset 'avairy'; there are": command(
            "damsm", tmp_path, 1, "--preset", "avairy"
        ),
        "The options of damsm make no network: there is no 'foo'": command(
            "damsm", tmp_path / "foo", 1, *FAST, "--set", "rnn=foo"
        ),
        "There is no bundle": command(
            "synthesis", tmp_path, 1, "--encoders", str(tmp_path / "none")
        ),
    }
    for words, call in cases.items():
        done = subprocess.run(call, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith("training code: ")
        assert "opens the data set" not in done.stderr or "needs" in words or "make" in words


def test_ctrl_c_keeps_what_was_trained(tmp_path: Path, cache: Path) -> None:
    env = os.environ | {"XDG_CACHE_HOME": str(cache)}
    out, log = tmp_path / "run", tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(command("damsm", out, 100_000, *DAMSM), env=env, stderr=file)
        deadline = time.monotonic() + 100
        while "damsm step 1 " not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)
        second = command("damsm", out, 100_000, *DAMSM)
        busy = subprocess.run(second, env=env, capture_output=True, text=True, check=False)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert "Another process trains in" in busy.stderr
    assert busy.returncode == 1
    last = log.read_text().splitlines()[-1]
    assert last.startswith("Stopped at step ")
    assert last.endswith("run the same command again to resume.")
    assert (out / "snapshot.pt").exists()


def test_a_run_stands_for_its_bundle(tmp_path: Path) -> None:
    (tmp_path / "run" / "bundle").mkdir(parents=True)
    assert bundle_of(tmp_path / "run") == tmp_path / "run" / "bundle"
    assert bundle_of(tmp_path / "run" / "bundle") == tmp_path / "run" / "bundle"
    assert bundle_of(None) is None


def test_help_tells_presets_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command_line().parse_args(["train", "--help"])
    told = capsys.readouterr().out
    for words in ("cub       Bird photos", "--set rate=1e-3", "loop.batch = 32", "Ctrl-C"):
        assert words in told


def test_options_are_checked() -> None:
    values = read_preset("aviary", "damsm")
    override(values, ["loop.batch=4", "rate=1e-4"])
    assert build_options(LoopOptions, values["loop"], "loop").batch == 4
    with pytest.raises(ModelsError, match="must be a whole number"):
        build_options(LoopOptions, {"batch": "many"}, "loop")
    with pytest.raises(ModelsError, match="There is no preset"):
        read_preset("nothing", "damsm")
