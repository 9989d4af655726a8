"""``python -m models train PART --preset P --out RUN``: one part of a bundle, trained."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.commands.arguments import device, new_folder, number, whole

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from models.training.batch import TrainingData
    from models.training.config import LoopOptions
    from models.training.parts import Encoders
    from models.training.run import Run

_MORE = """\
presets (python -m models train PART --preset NAME):
{presets}

--set KEY=VALUE changes one option of the preset, --config FILE several. KEY is an option of the
part (ngf, rate, …; models/presets has what each preset sets, an unknown one is answered with all
that exist) or one of the loop, VALUE as in TOML: --set rate=1e-3 --set loop.batch=16. Of the loop:
{loop}

Stopped, however it was, the same command goes on from the last snapshot; Ctrl-C and SIGTERM write
one first."""


def add_train(parser: argparse.ArgumentParser) -> None:
    """One part of a bundle, trained."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _epilog()
    parts = ("damsm", "synthesis", "manipulation", "inpainting", "detail")
    add = parser.add_argument
    add("part", choices=parts)
    add("--preset", default="aviary", help="sizes, rates and limits; see below")
    add("--data", default="aviary", help="a data set's folder, or aviary")
    add("--prepared", type=Path, help="folder written by: data prepare")
    add("--out", type=new_folder, required=True, help="run folder; resumes what is there")
    add(
        "--encoders",
        type=Path,
        help="bundle that holds the text and image encoders; the preset's own, where it has one",
    )
    add(
        "--init",
        type=Path,
        help="run or bundle to start from: its weights, discriminators, sizes and encoders",
    )
    add("--minutes", type=number(above=0), help="stop after so many minutes of training")
    add("--steps", type=whole(1), help="stop after so many steps")
    add("--config", type=Path, help="TOML file laid over the preset")
    add(
        "--set",
        dest="assignments",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one option of the preset; see below",
    )
    add("--stage", default="", help="name in a training plan, for the bundle")
    add("--device", type=device, default="auto", help="cpu, cuda, cuda:1, or auto")


def _epilog() -> str:
    from dataclasses import fields

    from models.training.config import LoopOptions, preset_descriptions

    presets = [f"  {name:9} {description}" for name, description in preset_descriptions().items()]
    loop = [f"  loop.{f.name} = {f.default}" for f in fields(LoopOptions)]
    text = _MORE.format(presets="\n".join(presets), loop="\n".join(loop))
    return text.replace("%", "%%")


def run_train(arguments: argparse.Namespace) -> None:
    from models.training.run import code_version

    version = code_version()
    # Before anything is imported that takes seconds.
    sys.stderr.write(f"training code: {version['source']} at {version['commit']}\n")
    import torch

    from models.training.loop import build_fabric
    from models.training.run import Run

    init = bundle_of(arguments.init)
    setup = _resolve(arguments, init)
    loop = setup.loop
    torch.set_num_threads(loop.threads)
    fabric = build_fabric(loop, arguments.device)
    fabric.launch()
    torch.manual_seed(loop.seed)
    run = Run(arguments.out)
    record = _record(arguments, setup)
    with run.exclusive() if fabric.is_global_zero else nullcontext():
        run.check_options(record)  # before the work of opening the data
        _train(arguments, setup, run, fabric, record)


@dataclass(frozen=True)
class _Setup:
    """The part's options, the loop's, the bundle to start from and the one with the encoders."""

    options: dict[str, Any]
    loop: LoopOptions
    init: Path | None
    source: Path | None


def _train(
    arguments: argparse.Namespace, setup: _Setup, run: Run, fabric: Fabric, record: dict[str, Any]
) -> None:
    """Open data and networks, train, and write the bundle."""
    from models.training.config import ConfigError
    from models.training.loop import Loop
    from models.training.parts import PARTS, TASK_OF, Encoders, initialise, needs_encoders, save
    from models.training.training_state import TrainingState, save_training_state

    part, task = arguments.part, TASK_OF[arguments.part][0]
    looks = needs_encoders(part, setup.options)
    if arguments.encoders and part in ("damsm", "detail"):
        raise ConfigError(f"{part} is trained without encoders; leave --encoders out.")
    encoders = Encoders(setup.source) if setup.source and looks else None
    data = _data(arguments, setup.loop, encoders)
    try:
        objective = PARTS[part](setup.options, data, encoders)
    except (ValueError, KeyError, ZeroDivisionError) as error:
        why = f"there is no {error}" if isinstance(error, KeyError) else error
        raise ConfigError(f"The options of {part} make no network: {why}.") from error
    state = TrainingState({})
    if setup.init:
        initialise(objective, part, setup.init, data.vocabulary)
        state = TrainingState.open(setup.init, task)
        state.load_modules(objective)
    if fabric.is_global_zero:
        run.write_options(record | _of_data(data, encoders))
    training = Loop(objective, data, part, setup.loop, run, fabric)
    state.load_moments(objective)
    averaged = training.train()
    if fabric.is_global_zero:
        run.clear_bundle()
        bundle = save(run.bundle, part, objective, averaged, data, encoders, arguments.stage)
        save_training_state(bundle, task, objective)
        sys.stderr.write(f"wrote {run.bundle}\n")


def bundle_of(init: Path | None) -> Path | None:
    """The bundle of a run's folder, or the bundle itself."""
    if init and not (init / "bundle.json").exists() and (init / "bundle").exists():
        return init / "bundle"
    return init


def _resolve(arguments: argparse.Namespace, init: Path | None) -> _Setup:
    """Preset, bundle to start from, file and command line, each laid over the one before."""
    from models.training import config
    from models.training.parts import known_options, parse_options, sizes_of_bundle

    part = arguments.part
    values = config.read_preset(arguments.preset, part)
    if init:
        for name, sizes in sizes_of_bundle(init, part, values["options"]).items():
            values[name] |= sizes
    if arguments.config:
        config.merge_file(values, arguments.config, part, known_options)
    config.override(values, arguments.assignments)
    parse_options(part, values["options"])
    loop = config.build_options(config.LoopOptions, values["loop"], "loop")
    loop = config.with_limits(loop, arguments.minutes, arguments.steps)
    source = arguments.encoders or init or config.preset_encoders(arguments.preset)
    return _Setup(values["options"], loop, init, source)


def _data(
    arguments: argparse.Namespace, loop: LoopOptions, encoders: Encoders | None
) -> TrainingData:
    """The training split, its captions in the encoders' words where there are encoders."""
    from models.data.opening import open_data, open_pictures

    sys.stderr.write(f"opens the data set {arguments.data}\n")
    given: Any = {"size": loop.size, "limit": loop.samples or None, "prepared": arguments.prepared}
    if arguments.part == "detail":
        data: TrainingData = open_pictures(arguments.data, **given)
    else:
        words = encoders.vocabulary if encoders else None
        captions = loop.captions if arguments.part in ("synthesis", "damsm") else 0
        data = open_data(arguments.data, vocabulary=words, captions=captions, **given)
    sys.stderr.write(f"{data.name}: {len(data)} samples\n")
    return data


def _record(arguments: argparse.Namespace, setup: _Setup) -> dict[str, Any]:
    """What a run depends on besides its data, for its folder."""
    from models.training.run import code_version

    return {
        "part": arguments.part,
        "preset": arguments.preset,
        "stage": arguments.stage,
        "init": str(setup.init or ""),
        "loop": asdict(setup.loop),
        "options": setup.options,
        "version": code_version(),
    }


def _of_data(data: TrainingData, encoders: Encoders | None) -> dict[str, Any]:
    """What a run depends on that has to be opened first."""
    return {
        "data": {"name": data.name, "fingerprint": data.fingerprint, "samples": len(data)},
        "encoders": encoders.sha256 if encoders else "",
    }
