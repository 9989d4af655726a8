"""Options: presets, files over them, limits; what means nothing is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from models.errors import ModelsError
from models.manipulation.manigan.network import ManiganConfig
from models.training.config import (
    ConfigError,
    LoopOptions,
    build_options,
    changed_options,
    merge_file,
    preset_descriptions,
    preset_paths,
    with_limits,
)
from models.training.parts import known_options, parse_options


def test_changed_names_are_dotted() -> None:
    assert changed_options({"a": 1, "b": {"c": 1, "d": 2}}, {"a": 1, "b": {"c": 2}, "e": 0}) == [
        "b.c",
        "b.d",
        "e",
    ]


def test_a_config_file_is_laid_over_the_preset(tmp_path: Path) -> None:
    values: dict[str, Any] = {"loop": {"batch": 4, "size": 8}, "options": {"rate": 1.0}}
    path = tmp_path / "mine.toml"
    path.write_text("[loop]\nsize = 16\n[damsm]\nrate = 2.0\n[damsm.loop]\nbatch = 2\n")
    merge_file(values, path, "damsm", known_options)
    assert values == {"loop": {"batch": 2, "size": 16}, "options": {"rate": 2.0}}
    path.write_text("[loop")
    with pytest.raises(ConfigError, match="can't be read as a TOML file"):
        merge_file(values, path, "damsm", known_options)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[sythesis]\nngf = 8\n", r"\[sythesis\] is no table"),
        ("rate = 1.0\n", r"\[rate\] is no table"),
        ("[loop]\nbatches = 2\n", "loop.batches, which nothing reads"),
        ("[damsm]\nspeed = 1\n", "damsm.speed, which"),
        ("[damsm.loop]\nspeed = 1\n", "damsm.loop.speed, which"),
        ("[synthesis]\nwords = 1\n", "synthesis.words, which"),  # another part's table
        ('encoders = "weights/aviary"\n', "say --encoders"),
    ],
)
def test_what_nothing_reads_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        merge_file({"loop": {}, "options": {}}, path, "damsm", known_options)


def test_a_training_has_an_end() -> None:
    with pytest.raises(ConfigError, match="Say when training ends"):
        with_limits(LoopOptions(), None, None)
    with pytest.raises(ConfigError, match="needs --steps"):
        with_limits(LoopOptions(steps=9, schedule="cosine"), 3.0, None)
    assert with_limits(LoopOptions(steps=9, minutes=1.0), None, 5).minutes == 0


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"ema": 2.0}, "a share from 0 to below 1"),
        ({"ema": math.nan}, "finite"),
        ({"batch": 0}, "batch must be a number from 1 up"),
        ({"log_every": 0}, "log_every must be a number from 1 up"),
        ({"warmup": -1}, "warmup must be a number from 0 up"),
        ({"schedule": "linear"}, "constant or cosine"),
        ({"precision": "bf17"}, "precision is one of"),
        ({"minutes": True}, "must be a number, got True"),
        ({"seed": 2**63}, "loop.seed must be below 9223372036854775808"),
    ],
)
def test_options_of_the_loop_that_mean_nothing_are_refused(
    values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        build_options(LoopOptions, values, "loop")


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("damsm", {"rate": -1.0}),
        ("synthesis", {"rate_d": -2e-4}),
        ("synthesis", {"ngf": 0}),
        ("inpainting", {"width": -8}),
        ("detail", {"features": -0.5}),
    ],
)
def test_options_of_a_part_that_mean_nothing_are_refused(part: str, values: dict[str, Any]) -> None:
    (name,) = values
    with pytest.raises(ConfigError, match=rf"{part}\.{name} must be [01] or more"):
        parse_options(part, values)


@pytest.mark.parametrize("choice", [{"norm": "batch"}, {"combination": "add"}, {"modules": "all"}])
def test_words_that_choose_nothing_are_refused(choice: dict[str, Any]) -> None:
    ((name, value),) = choice.items()
    with pytest.raises(ModelsError, match=rf"ManiGAN's {name} is .*, not '{value}'"):
        ManiganConfig(**choice)


def test_earlier_names_of_options_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"warmup_steps": 400, "look": 64, "alone": 0}  # a preset's, and what was set over it
    made = parse_options("synthesis", values)
    assert (made.warmup_steps, made.discriminator_size) == (0, 64)
    assert "synthesis.look is called discriminator_size now" in capsys.readouterr().err
    path = tmp_path / "mine.toml"
    path.write_text("[synthesis]\nreach = 2.0\n")
    merge_file({"loop": {}, "options": {}}, path, "synthesis", known_options)


def test_every_preset_says_what_it_is() -> None:
    descriptions = preset_descriptions()
    assert list(descriptions) == list(preset_paths())
    assert all(len(text) > 20 and "#" not in text for text in descriptions.values())
    assert descriptions["cub"].startswith("Bird photos")
