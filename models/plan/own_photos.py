"""A bundle from a folder of captioned photos: encoders, then each task, in rounds. After a round
the bundle is put together, so that it serves early and gets better; a later call with more hours
trains the same runs on.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.bundle import MANIFEST, Bundle
from models.checkpoints.collect import collect
from models.data.aviary.dataset import cache_folder
from models.data.check import Check
from models.data.prepare import NoWordRecurs, Prepared, prepared_for, refuse_inside
from models.plan.own_card import write_card, write_picture
from models.plan.plan import Plan, PlanError, Stage
from models.plan.queue import Queue
from models.plan.status import Workspace
from models.training.config import ConfigError, LoopOptions, build_options, override, read_preset
from models.training.parts import TASK_OF, parse_options

PRESET = "cub"  # its sizes and rates suit photos of anything
NAME = "photos"
# task -> its part, and that part's share of the hours
TASKS = {"synthesize": "synthesis", "manipulate": "manipulation", "inpaint": "inpainting"}
_SHARES = {"synthesis": 8, "manipulation": 4, "inpainting": 5, "detail": 3}
_ENCODERS = (0.15, 20.0)  # share of the first round, and minutes at most
_ROUNDS = (1.0, 5.0, 20.0)  # hours after which the bundle is put together
_DRAWN = Path(__file__).resolve().parents[2] / "weights" / "aviary"
FEWEST = 20  # photos; below it nothing can be held out and a batch shows each of them twice
_OFTEN = ("loop.log_every=5", "loop.snapshot_every=100")  # somebody looks on, and may stop it
_REPORT = re.compile(r" step (\d+)  (\d+) images/s  ([\d.]+) min left")


@dataclass(frozen=True)
class Options:
    """folder: of the photos; into: the bundle's folder; runs: folder of the run folders; hours: of
    training, all parts together; tasks: keys of TASKS; overrides: KEY=VALUE or PART.KEY=VALUE;
    init: a bundle to begin with; domain, licence: what the bundle says of itself, if anything.
    """

    folder: Path
    into: Path
    runs: Path
    hours: float
    tasks: Sequence[str]
    overrides: Sequence[str] = ()
    init: Path | None = None
    domain: str = ""
    licence: str = ""


def train_bundle(options: Options, found: Check) -> Bundle:
    """Train what isn't trained yet, round by round; returns the bundle in ``options.into``.

    Raises ConfigError for options that can't be set, PlanError for photos that can't be trained on,
    Stopped after a signal, QueueError when a part failed; what was trained is kept.
    """
    require_enough(found)
    refuse_inside(found.listing, options.into)
    _refuse_foreign(options.into)
    _check_overrides(plan_of(options, options.hours))
    prepared = prepared_for(found.listing, cache_folder())
    options.runs.mkdir(parents=True, exist_ok=True)
    _refuse_changed(options.runs / "photos.json", prepared)
    made: Bundle | None = None
    for hours in _rounds(options.hours):
        plan = plan_of(options, hours)
        workspace = Workspace(plan, options.runs, options.runs / "none")
        watch = Watch(workspace, plan_of(options, options.hours))
        Queue(workspace, {NAME: str(options.folder)}, watch=watch).work()
        made = _publish(options, plan, workspace, found, prepared)
    assert made is not None  # noqa: S101 (there is one round at least)
    return made


def require_enough(found: Check) -> None:
    """Raises PlanError unless there are photos enough, whose captions tell them apart and share
    words.
    """
    count = len(found.usable)
    if count < FEWEST:
        raise PlanError(
            f"{found.listing.folder} has {count} photos that decode and have captions; {FEWEST} "
            "are the fewest that can be trained on. Captions stand in a .txt file of the photo's "
            "name beside it, one a line."
        )
    if len({text for record in found.usable for text in record.captions}) < 2:
        raise PlanError("All photos have the same caption: write what tells them apart.")
    try:
        found.require_usable()
    except NoWordRecurs:
        raise PlanError(
            "No word occurs 2 times in the captions that training reads: write captions that share "
            "words, such as those for colours and parts."
        ) from None


def _check_overrides(plan: Plan) -> None:
    """Raises ConfigError for options that can't be set, before hours are spent on other parts."""
    for stage in plan.stages:
        values = read_preset(stage.preset, stage.part)
        override(values, stage.overrides)
        parse_options(stage.part, values["options"])
        if build_options(LoopOptions, values["loop"], "loop").schedule == "cosine":
            raise ConfigError(
                "loop.schedule = cosine ends at a step, and here every part is trained for a time; "
                "leave it out."
            )


def _refuse_foreign(into: Path) -> None:
    """Raises PlanError when the folder holds a bundle that this command did not make."""
    if not (into / MANIFEST).exists():
        return
    stages = [str(spec.raw.get("stage", "")) for spec in Bundle.open(into).tasks.values()]
    if any(not stage.startswith(f"{NAME}/") for stage in stages):
        raise PlanError(f"{into} holds another bundle, which stays; choose another --into.")


def _refuse_changed(record: Path, prepared: Prepared) -> None:
    """Raises PlanError when these runs were begun with other photos or captions."""
    if not record.exists():
        record.write_text(json.dumps({"content": prepared.content}), encoding="utf-8")
    elif json.loads(record.read_text(encoding="utf-8"))["content"] != prepared.content:
        raise PlanError(
            f"The photos or captions have changed since the runs in {record.parent} were begun. "
            "Give another --into (and --init with the earlier bundle, to begin with what it "
            "learned), or delete that folder."
        )


def _rounds(hours: float) -> list[float]:
    return [*(each for each in _ROUNDS if each < hours), hours]


def plan_of(options: Options, hours: float) -> Plan:
    """Stages whose minutes add up to ``hours``, the encoders first."""
    parts = [TASKS[task] for task in TASKS if task in options.tasks] + ["detail"]
    share, most = _ENCODERS
    encoders = min(share * 60 * _rounds(options.hours)[0], most)
    encoders = _trained(options.runs) or encoders  # the others see through them: they stay
    left = max(60 * hours - encoders, 0)
    whole = sum(_SHARES[part] for part in parts)
    minutes = {part: left * _SHARES[part] / whole for part in parts}
    return Plan(tuple(_stage(options, p, m) for p, m in {"damsm": encoders, **minutes}.items()))


def _trained(runs: Path) -> float:
    """Minutes that the encoders of these runs were trained for; 0 before that is over."""
    last = Workspace(Plan(()), runs, runs / "none").progress.last().get(f"{NAME}/damsm-1", {})
    return float(last.get("minutes", 0)) if last.get("event") == "finished" else 0.0


def _stage(options: Options, part: str, minutes: float) -> Stage:
    looks = part not in ("damsm", "detail")
    return Stage(
        preset=PRESET,
        part=part,
        number=1,
        data=NAME,
        overrides=(*_OFTEN, *_overrides(options.overrides, part)),
        init=_init(options.init, part),
        encoders=f"{NAME}/damsm-1" if looks else None,
        minutes=minutes,
        steps=0,
        hours=minutes / 60,
        samples=0,
        label=NAME,
    )


def _init(bundle: Path | None, part: str) -> Path | None:
    """The bundle to begin a part with, if it has the part; drawings teach enlarging for a start."""
    folders = [bundle] if bundle else []
    folders += [_DRAWN] if part == "detail" and (_DRAWN / MANIFEST).exists() else []
    task = TASK_OF[part][0]
    return next((folder for folder in folders if task in Bundle.open(folder).tasks), None)


def _overrides(given: Sequence[str], part: str) -> list[str]:
    """Those for every part, and those for this one without its name."""
    named = ("damsm.", *(f"{name}." for name in _SHARES))
    own = f"{part}."
    return [t.removeprefix(own) for t in given if t.startswith(own) or not t.startswith(named)]


def _publish(
    options: Options, plan: Plan, workspace: Workspace, found: Check, prepared: Prepared
) -> Bundle:
    """Put the finished parts together where they are served."""
    runs = {stage.part: workspace.run(stage) for stage in plan.stages}
    bundles = [run / "bundle" for run in runs.values()]
    made = collect(options.into, bundles, domain=options.domain, licence=options.licence)
    write_picture(runs.get("synthesis"), made.folder)
    write_card(made, runs, found, prepared, options.init)
    served = ", ".join(task for task in TASKS if task in made.tasks)
    sys.stderr.write(f"{made.folder}: serves {served}\n")
    return made


class Watch:
    """Says how far the part in work is, once a minute, or all the time on a terminal."""

    def __init__(self, workspace: Workspace, last: Plan) -> None:
        self.workspace, self.last = workspace, last
        self._terminal = sys.stderr.isatty()
        self._next = 0.0

    def __call__(self, stage: Stage, line: str) -> None:
        if not (report := _REPORT.search(line)) or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + (0 if self._terminal else 60)
        step, rate, left = int(report[1]), int(report[2]), float(report[3])
        others = (s for s in self.last.stages if s.part != stage.part)
        rest = sum(max(s.minutes - self._minutes(s), 0) for s in others)
        target = next(s.minutes for s in self.last.stages if s.part == stage.part)
        rest += left + max(target - stage.minutes, 0)
        text = f"{stage.part}: step {step}, {rate} images/s, {span(left)} left; all: {span(rest)}"
        sys.stderr.write(f"\r\033[K{text}" if self._terminal else text + "\n")
        sys.stderr.flush()

    def _minutes(self, stage: Stage) -> float:
        """That a part was trained for: as long as it was to be, once it is finished."""
        finished = self.workspace.progress.last().get(stage.name, {}).get("minutes", 0.0)
        return max(float(finished), 60 * self.workspace.status(stage).hours)


def span(minutes: float) -> str:
    """Minutes as a person says them."""
    return f"{minutes:.1f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
