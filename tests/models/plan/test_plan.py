"""Plan files: what they may say, and the one that is committed."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.plan.plan import PlanError, read_plan
from models.training.config import (
    LoopOptions,
    build_options,
    override,
    preset_paths,
    read_preset,
    with_limits,
)
from models.training.parts import PARTS, parse_options

ROOT = Path(__file__).resolve().parents[3]
PLAN = read_plan(ROOT / "weights" / "plan.toml")

TWO = """
set = ["loop.threads=1"]
[[chain]]
preset = "aviary"
part = "synthesis"
data = "aviary"
encoders = "weights/aviary"
init = "weights/old"
samples = 9
set = ["ngf=8"]
stage = [{ minutes = 90 }, { steps = 10, hours = 0.5, set = ["rate=1e-3"] }]
"""


def written(tmp_path: Path, text: str) -> Path:
    (tmp_path / "weights").mkdir(exist_ok=True)
    path = tmp_path / "weights" / "plan.toml"
    path.write_text(text)
    return path


def test_stages_follow_from_their_chain(tmp_path: Path) -> None:
    first, second = read_plan(written(tmp_path, TWO)).stages
    assert (first.name, first.before, first.hours) == ("aviary/synthesis-1", None, 1.5)
    assert (second.name, second.before, second.hours) == (
        *("aviary/synthesis-2", "aviary/synthesis-1", 0.5),
    )
    assert first.init == tmp_path / "weights" / "old"
    assert second.init is None
    assert second.encoders == tmp_path / "weights" / "aviary"
    assert first.overrides == ("loop.seed=0", "loop.threads=1", "ngf=8")
    assert second.overrides == ("loop.seed=1", "loop.threads=1", "ngf=8", "rate=1e-3")
    assert (first.minutes, first.steps, second.minutes, second.steps) == (90, 0, 0, 10)


ENCODERS = """
[[chain]]
preset = "cub"
part = "damsm"
data = "cub"
stage = [{ minutes = 1 }, { minutes = 2 }]
[[chain]]
preset = "cub"
part = "synthesis"
data = "cub"
encoders = "cub/damsm"
stage = [{ minutes = 3 }]
"""


def test_encoders_may_come_from_a_chain(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, ENCODERS))
    assert [stage.encoders for stage in plan.stages] == [None, None, "cub/damsm-2"]
    order = 'order = ["cub/synthesis-1", "cub/damsm-1", "cub/damsm-2"]'
    with pytest.raises(PlanError, match="cub/synthesis-1 before cub/damsm-2"):
        read_plan(written(tmp_path, order + ENCODERS))


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("{ minutes = 90 }", "{ minutes = 121 }", "2 at most"),
        ("{ minutes = 90 }", "{ minutes = nan }", "an end: minutes or steps"),
        ("{ minutes = 90 }", "{ steps = -4, hours = 1 }", "an end: minutes or steps"),
        ("{ minutes = 90 }", "{ steps = 4 }", "say hours above 0"),
        ("{ minutes = 90 }", "{ hours = 1 }", "an end: minutes or steps"),
        ("{ minutes = 90 }", '{ minutes = "90" }', "wrong type"),
        ("samples = 9", "sample = 9", "no key 'sample'"),
        ('data = "aviary"\n', "", "lacks data"),
        ("set = [", 'order = ["aviary/synthesis-1"]\nset = [', "name every stage once"),
        (
            "set = [",
            'order = ["aviary/synthesis-2", "aviary/synthesis-1"]\nset = [',
            "before aviary/synthesis-1",
        ),
        ("[[chain]]", "[chain", "can't be read"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, before: str, after: str, sentence: str
) -> None:
    text = TWO.replace(before, after, 1)
    assert text != TWO
    with pytest.raises(PlanError, match=sentence):
        read_plan(written(tmp_path, text))


def test_two_chains_of_one_part_are_refused(tmp_path: Path) -> None:
    twice = TWO + TWO[TWO.index("[[chain]]") :]
    with pytest.raises(PlanError, match="two chains aviary/synthesis"):
        read_plan(written(tmp_path, twice))


def test_the_committed_plan_holds_the_hours() -> None:
    hours: dict[str, float] = {}
    for stage in PLAN.stages:
        hours[stage.chain] = hours.get(stage.chain, 0) + stage.hours
    assert hours == pytest.approx({
        "aviary/synthesis": 3, "aviary/inpainting": 7.6, "aviary/manipulation": 2,
        "aviary/detail": 1, "cub/detail": 1.6, "flowers/detail": 1,
        "cub/damsm": 1 / 3, "cub/synthesis": 10, "cub/inpainting": 2.5, "cub/manipulation": 2,
        "flowers/synthesis": 9.5,
    })  # fmt: skip


@pytest.mark.parametrize("stage", PLAN.stages, ids=lambda stage: stage.name)
def test_every_committed_stage_can_be_trained(stage: object) -> None:
    """Its preset has the part, its options are known, its schedule has an end."""
    found = next(s for s in PLAN.stages if s is stage)
    assert found.preset in preset_paths()
    if found.part not in PARTS:
        pytest.skip(f"no part {found.part} yet")
    values = read_preset(found.preset, found.part)
    objective = ["objective=generated"] if found.generated else []
    override(values, [*found.overrides, *objective])
    parse_options(found.part, values["options"])
    loop = build_options(LoopOptions, values["loop"], "loop")
    loop = with_limits(loop, found.minutes or None, found.steps or None)
    last = not any(s.before == found.name for s in PLAN.stages)
    chained = found.before is not None
    assert (loop.schedule == "cosine") == (chained and bool(found.steps))  # it has to know them
    assert loop.schedule == "cosine" or not (last and chained)
    if chained:  # a trained generator needs no start of its own
        assert values["options"].get("warmup_steps", 0) == 0
    for folder in (found.encoders, found.init):
        assert not isinstance(folder, Path) or (folder / "bundle.json").exists()
