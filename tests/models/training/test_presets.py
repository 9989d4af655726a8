"""Every preset parses, says nothing that its objectives don't know, and the small ones train."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from models.inpainting.tdanet.network import InpaintConfig
from models.inpainting.tdanet.official import published_config
from models.manipulation.manigan.network import ManiganConfig
from models.manipulation.manigan.photo_recipe import PhotoOptions
from models.registry import method_folders
from models.synthesis.efficient_t2i.network import DiscriminatorConfig, GeneratorConfig
from models.training.config import (
    LoopOptions,
    build_options,
    preset_paths,
    read_preset,
)
from models.training.parts import PARTS, parse_options
from tests.models.training.photos import NoisePhotos, TinyEncoders, watch_two_steps

SMALL = ("coco", "cub", "flowers", *(f"{m}-cub" for m in method_folders()))


def tables() -> list[tuple[str, str]]:
    """(preset, part) of every table."""
    read = {name: tomllib.loads(path.read_text()) for name, path in preset_paths().items()}
    return [(name, part) for name, table in read.items() for part in PARTS if part in table]


def test_all_presets_are_there() -> None:
    kinds = ("aviary", "cub", "official")
    own = [f"{method}-{kind}" for method in method_folders() for kind in kinds]
    assert list(preset_paths()) == sorted(["aviary", "coco", "cub", "flowers", "official", *own])


@pytest.mark.parametrize(("preset", "part"), tables())
def test_every_option_is_known(preset: str, part: str) -> None:
    values = read_preset(preset, part)
    assert part in PARTS
    loop = build_options(LoopOptions, values["loop"], "loop")
    assert loop.minutes or loop.steps, "a preset says when training ends"
    parse_options(part, values["options"])


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "part"), [t for t in tables() if t[0] in SMALL])
def test_small_presets_take_steps(preset: str, part: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    data: Any = NoisePhotos(64)
    encoders: Any = TinyEncoders() if part != "damsm" else None
    options = dict(read_preset(preset, part)["options"])
    if "warmup_steps" in options:
        options["warmup_steps"] = 0  # steps in which all of them learn
    if part == "detail":
        options |= {"patch": 32, "adversarial_start": 0}
    objective = PARTS[part](options, data, encoders)
    watch_two_steps(objective, data, part, tmp_path)


def test_official_is_the_published_size() -> None:
    parts = [part for preset, part in tables() if preset == "official"]
    chosen = {part: parse_options(part, read_preset("official", part)["options"]) for part in parts}
    s, m = chosen["synthesis"], chosen["manipulation"]
    widths = tuple(int(w) for w in s.widths.split(","))
    assert GeneratorConfig(s.ngf, widths, s.z, 256, s.attention, s.spectral) == GeneratorConfig()
    assert DiscriminatorConfig(s.ndf, widths[::-1], 256, s.attention) == DiscriminatorConfig()
    names = ("ngf", "blocks", "combine", "z", "condition", "norm", "combination")
    assert ManiganConfig(**{name: getattr(m, name) for name in names}) == ManiganConfig()
    assert published_config(chosen["inpainting"], 256) == InpaintConfig()
    assert chosen["damsm"].trunk == "imagenet"


def test_photos_have_an_objective_of_their_own() -> None:
    options = parse_options("manipulation", read_preset("cub", "manipulation")["options"])
    assert isinstance(options, PhotoOptions)
