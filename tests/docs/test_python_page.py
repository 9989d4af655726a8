"""docs/python.md says what is true: its code runs as it stands, and names what there is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mmml
from mmml.requests import Options, PhotoOptions, SynthesisOptions

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text()


@pytest.mark.real
def test_its_code_runs_as_it_stands(fake_url: str, tmp_path: Path) -> None:
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
    env = os.environ | {"MMML_URL": fake_url}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    last = ["(200, 150) (200, 150)", "422 no_known_words", "(256, 256)", "(256, 256)"]
    assert done.stdout.splitlines()[-4:] == last
    assert len(list(tmp_path.glob("bird*.webp"))) == 4


def test_every_error_is_there() -> None:
    errors = {
        name for name, kind in vars(mmml).items() if _is_error(kind) and name != "BadSignature"
    }
    assert errors == set(re.findall(r"^\| `(\w+)` \|", PAGE.split("## Errors")[1], re.MULTILINE))


def _is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)


def test_every_option_is_there() -> None:
    options = PAGE.split("\n- **Options**")[1].split("\n- ")[0]
    shared, more = options.split("Those of `synthesize` also: ")
    drawn, photo = more.split("; those of `manipulate` and `inpaint`: ")
    for text, kind in ((shared, Options), (drawn, SynthesisOptions), (photo, PhotoOptions)):
        own = kind.__annotations__.keys() - (set() if kind is Options else Options.__annotations__)
        assert set(re.findall(r"`(\w+)`", text)) == own
