"""What is refused before any work is done."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest
import torch

from models.__main__ import command_line
from models.commands.arguments import device, new_file, new_folder, number, whole

Wrong = argparse.ArgumentTypeError


@pytest.mark.parametrize("text", ["0", "-3", "2.5", "many", ""])
def test_whole_numbers(text: str) -> None:
    assert whole(1)("7") == 7
    with pytest.raises(Wrong, match="whole number from 1 up, not"):
        whole(1)(text)


def test_numbers_have_an_upper_end() -> None:
    assert (whole(1, 16)("16"), whole(0)(str(2**63 - 1))) == (16, 2**63 - 1)
    with pytest.raises(Wrong, match="whole number from 1 to 16, not 17"):
        whole(1, 16)("17")
    with pytest.raises(Wrong, match="whole number from 0 to 9223372036854775807, not 9223372036"):
        whole(0)(str(2**63))  # torch's seeds end there
    assert number(least=0, most=2)("2") == 2
    with pytest.raises(Wrong, match=r"must be a number from 0 to 2, not 2\.1"):
        number(least=0, most=2)("2.1")


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon"])
def test_numbers_are_finite_and_above(text: str) -> None:
    assert number(above=0)("0.5") == 0.5
    with pytest.raises(Wrong, match="must be a number above 0, not"):
        number(above=0)(text)
    if text == "0":
        assert number(least=0)(text) == 0


@pytest.mark.parametrize("text", ["gpu0", "cuda:x", "cuda:", "tpu", "CPU"])
def test_unknown_devices(text: str) -> None:
    with pytest.raises(Wrong, match=r"no device '.*'; say cpu, cuda, cuda:1, mps or auto"):
        device(text)


def test_devices_that_this_machine_lacks() -> None:
    assert (device("cpu"), device("auto")) == ("cpu", "auto")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    with pytest.raises(Wrong, match=f"there is no device cuda:{count}: this machine has"):
        device(f"cuda:{count}")


def test_places_to_write_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("new", "new/deep", "."):
        assert new_folder(str(tmp_path / name)) == tmp_path / name
    for name in ("file", "file/x", "link"):
        with pytest.raises(Wrong, match="is no folder, so nothing can be written"):
            new_folder(str(tmp_path / name))
    assert new_file(str(tmp_path / "new/x.png")).name == "x.png"
    with pytest.raises(Wrong, match="is a folder; give the name of a file"):
        new_file(str(tmp_path))
    with pytest.raises(Wrong, match="is no folder"):
        new_file(str(tmp_path / "file/x.png"))
    with pytest.raises(Wrong, match="no name in UTF-8"):
        new_folder(str(tmp_path / os.fsdecode(b"b\xe9")))


@pytest.mark.parametrize(
    "words",
    [
        "evaluate B --out FILE",
        "evaluate B --out new --batch 0",
        "evaluate B --out new --samples 1",
        "evaluate B --out new --device cuda:99",
        "train damsm --out FILE",
        "train damsm --out new --steps 0",
        "train damsm --out new --steps -5",
        "train damsm --out new --minutes 0",
        "train damsm --out new --minutes nan",
        "train damsm --out new --minutes -1",
        "train damsm --out new --device gpu0",
        "import damsm --text-encoder a --image-encoder b --captions c --out FILE/x",
        "export B --layout tdanet --out FILE",
        "judge encoders --minutes nan --out new",
        "judge encoders --out FILE",
        "collect FILE run",
        "draw --size 0 --out new.png",
        "draw --out new.pdf",
        "data prepare D --out FILE",
        "recalibrate B --data D --out FILE",
        "recalibrate B --data D --out new --batch 0",
        "data prepare D --out new --least 0",
        "forward B synthesize in.npz FILE/out.npz",
    ],
)
def test_every_command_refuses_before_it_works(
    tmp_path: Path, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "FILE").write_text("")
    given = words.replace("FILE", str(tmp_path / "FILE")).split()
    with pytest.raises(SystemExit) as ended:
        command_line().parse_args(given)
    assert ended.value.code == 2
    assert "error: argument" in capsys.readouterr().err
