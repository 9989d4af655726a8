"""Somebody's own photos to a bundle: what is refused, how hours are divided, and all of it at tiny
size, from drawn pictures to images of the pipelines that are served.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from models.bundle import Bundle
from models.data.check import check
from models.data.sources import open_listing
from models.item import Item
from models.plan.own_photos import Options, Watch, plan_of, span, train_bundle
from models.plan.plan import PlanError
from models.plan.status import Workspace
from models.registry import load
from models.training.config import ConfigError

COLOURS = ("red", "green", "blue", "yellow")
TINY = (
    *("loop.threads=1", "loop.batch=4", "loop.settle_batches=1", "loop.log_every=1"),
    *("damsm.hidden=16", "damsm.features=32", "damsm.words=8", "damsm.input_size=32"),
    *("loop.size=32", "detail.loop.size=64", "detail.patch=32", "synthesis.widths=8,4,2,1"),
    *("synthesis.ngf=8", "manipulation.ngf=8", "inpainting.width=8", "loop.workers=0"),
    *(f"{part}.ndf=16" for part in ("synthesis", "manipulation", "inpainting")),
    *(f"{part}.discriminator_size=32" for part in ("synthesis", "manipulation", "inpainting")),
)


def drawn(folder: Path, count: int = 24) -> Path:
    """Discs on grounds, with a sentence of each."""
    folder.mkdir(parents=True)
    for k in range(count):
        disc, ground = COLOURS[k % 4], COLOURS[(k + 1 + k // 4 % 3) % 4]
        picture = Image.new("RGB", (48, 40), ground)
        ImageDraw.Draw(picture).ellipse((8 + k % 8, 6, 32 + k % 8, 30), fill=disc)
        picture.save(folder / f"{k}.png")
        (folder / f"{k}.txt").write_text(f"a {disc} disc on a {ground} ground\n")
    return folder


def options(tmp_path: Path, hours: float = 5, folder: str = "discs") -> Options:
    tasks = ("synthesize", "manipulate", "inpaint")
    return Options(tmp_path / folder, tmp_path / "weights/mine", tmp_path / "runs", hours, tasks)


def refusal(chosen: Options) -> str:
    with pytest.raises(PlanError) as caught:
        train_bundle(chosen, check(open_listing(chosen.folder)))
    return str(caught.value)


def test_hours_are_divided_encoders_first(tmp_path: Path) -> None:
    chosen = options(tmp_path)
    stages = plan_of(chosen, 5).stages
    assert [s.part for s in stages] == [
        "damsm",
        "synthesis",
        "manipulation",
        "inpainting",
        "detail",
    ]
    assert sum(stage.minutes for stage in stages) == pytest.approx(300)
    assert stages[0].minutes == pytest.approx(9)
    assert plan_of(chosen, 20).stages[0].minutes == stages[0].minutes, "encoders stay"
    assert [stage.encoders for stage in stages] == [None, *["photos/damsm-1"] * 3, None]
    fills = plan_of(replace(chosen, tasks=("inpaint",)), 5).stages
    assert [stage.part for stage in fills] == ["damsm", "inpainting", "detail"]
    assert fills[1].minutes > stages[3].minutes


def test_options_go_to_the_part_that_they_name(tmp_path: Path) -> None:
    chosen = replace(options(tmp_path), overrides=("loop.batch=8", "synthesis.ngf=8"))
    given = {stage.part: stage.overrides[2:] for stage in plan_of(chosen, 5).stages}
    assert given["synthesis"] == ("loop.batch=8", "ngf=8")
    assert given["inpainting"] == ("loop.batch=8",)


def test_photos_that_cannot_be_trained_on_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    drawn(tmp_path / "few", 6)
    (tmp_path / "few/5.png").write_bytes(b"no picture")
    assert "has 5 photos" in refusal(options(tmp_path, folder="few"))
    for text in drawn(tmp_path / "same").glob("*.txt"):
        text.write_text("a disc")
    assert "same caption" in refusal(options(tmp_path, folder="same"))
    for path in drawn(tmp_path / "names").glob("*.txt"):
        path.write_text("disc" + chr(ord("a") + int(path.stem)))
    assert "No word occurs 2 times" in refusal(options(tmp_path, folder="names"))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("synthesis.nosuch=1", "synthesis has no option 'nosuch'"),
        ("inpainting.loop.batch=many", "loop.batch must be a whole number"),
        ("loop.schedule=cosine", "cosine ends at a step"),
    ],
)
def test_options_that_a_later_part_lacks_are_refused_before_any_training(
    tmp_path: Path, text: str, words: str
) -> None:
    chosen = replace(options(tmp_path), overrides=(text,))
    found = check(open_listing(drawn(tmp_path / "discs")))
    with pytest.raises(ConfigError, match=words):
        train_bundle(chosen, found)
    assert not chosen.runs.exists()


def test_what_others_made_stays(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    drawn(tmp_path / "discs")
    assert "another bundle" in refusal(replace(options(tmp_path), into=tiny))
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/photos.json").write_text('{"content": "of other photos"}')
    assert "have changed" in refusal(options(tmp_path))


def test_progress_counts_what_is_left_of_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = options(tmp_path, 1)
    (tmp_path / "runs").mkdir()
    plan = plan_of(chosen, 1)
    workspace = Workspace(plan, chosen.runs, chosen.runs / "none")
    workspace.progress.add("photos/damsm-1", "finished", minutes=9.0)
    watch = Watch(workspace, plan)
    watch(plan.stages[1], "opens the data set")
    watch(plan.stages[1], "synthesis step 20  16 images/s  5.0 min left  d 1.2")
    watch(plan.stages[1], "synthesis step 40  16 images/s  4.0 min left  d 1.2")
    rest = 5.0 + sum(stage.minutes for stage in plan.stages[2:])
    expected = f"synthesis: step 20, 16 images/s, 5.0 min left; all: {span(rest)}\n"
    assert capsys.readouterr().err == expected


def command(tmp_path: Path, hours: float) -> subprocess.CompletedProcess[str]:
    """As ``mmml train-bundle`` runs it."""
    start = "from app.admin.model_commands import train_bundle; train_bundle()"
    words = [str(tmp_path / "discs"), "--into", str(tmp_path / "weights/mine")]
    words += ["--runs", str(tmp_path / "runs"), "--hours", str(hours), "--licence", "CC0-1.0"]
    words += [word for option in TINY for word in ("--set", option)]
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    call = [sys.executable, "-P", "-c", start, *words]
    return subprocess.run(call, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.timeout(900)  # eleven processes that load torch, on a busy machine
def test_photos_become_a_bundle_that_is_served(tmp_path: Path) -> None:
    drawn(tmp_path / "discs")
    (tmp_path / "discs/broken.png").write_bytes(b"no picture")
    (tmp_path / "discs/broken.txt").write_text("a broken picture\n")
    done = command(tmp_path, 0.002)
    assert done.returncode == 0, done.stderr
    assert "broken.png: cannot identify image file" in done.stderr
    assert "serves synthesize, manipulate, inpaint" in done.stderr
    bundle = tmp_path / "weights/mine"
    photo = Image.open(tmp_path / "discs/0.png").convert("RGB")
    mask = Image.new("L", photo.size)
    mask.paste(255, (10, 10, 30, 30))
    for task, images in (
        ("synthesize", {}),
        ("manipulate", {"image": photo}),
        ("inpaint", {"image": photo, "mask": mask}),
    ):
        item = Item("a red disc on a blue ground", 7, images=images)
        (made,) = load(bundle, task, None, "cpu").run([item]).pictures
        assert isinstance(made, Image.Image), made
        assert len(made.getcolors(1 << 20) or ()) > 1, "not one flat colour"
    assert Bundle.open(bundle).task("synthesize").min_words == 4  # captions have seven words
    card = (bundle / "CARD.md").read_text()
    assert "1 undecodable" in card
    assert "photos are few" in card
    assert "CC0-1.0" in card
    assert (bundle / "picture.webp").stat().st_size
    again = command(tmp_path, 0.002)
    assert again.returncode == 0, again.stderr
    assert "trains; follow" not in again.stderr, "nothing is done twice"
