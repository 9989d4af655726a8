"""docs/examples: each program runs as it stands, and says what it is to say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

FOLDER = Path(__file__).parents[2] / "docs" / "examples"
PROGRAMS = sorted(path.name for path in FOLDER.glob("*.py"))
SAID = {
    "synthesize.py": r"bird\.png: seed \d+ makes it again",
    "seeds.py": r"sheet\.png: seeds 40 to 43",
    "edit_photo.py": r"edited\.jpg: 300x300",
    "paint_mask.py": r"filled\.png: nothing changed outside \(150, 50, 231, 111\)",
    "chain.py": r"chained\.png",
    "progress.py": r"queued\n(\d+ jobs in front\n)*running\n"
    r"(\d of 8 pictures\n)*succeeded\n8 pictures",
    "many_at_once.py": r"red\.png orange\.png( \w+\.png){6}",
    "errors.py": r"refused: 422 no_known_words\nunusable: There is no file no-such-photo\.jpg\.\n"
    r"(not yet\n)?(failed: .+|something else: .+)\nunreachable: no_service",
    "resume.py": r"order-1\.png\norder-2\.png",
    "cancel.py": r"(canceled|running|too late: .+)\n\['a white bird'\]\n410: This job has .+",
    "words.py": r"(\w+: \w+ by [\w, -]+\n){7}Unknown words were left out: flamboyant\..*",
    "morph.py": r"morph\.webp strip\.png mixed\.png\n24 frames",
    "explain.py": r"a: [01]\.\d\d\n(\w+: [01]\.\d\d\n){7}wings: [01]\.\d\d",
    "webhook.py": r"job\.succeeded a blue bird",
}


def run(program: str, url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")} | {"MMML_URL": url}
    command = [sys.executable, "-W", "error", str(FOLDER / program)]
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False
    )


def test_all_are_listed() -> None:
    assert sorted(SAID) == PROGRAMS
    index = (FOLDER / "README.md").read_text()
    assert [name for name in PROGRAMS if f"[{name}]({name})" not in index] == []


@pytest.mark.real
@pytest.mark.parametrize("program", PROGRAMS)
def test_it_runs_as_it_stands(program: str, fake_url: str, tmp_path: Path) -> None:
    done = run(program, fake_url, tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(SAID[program], done.stdout.strip()), done.stdout
    for name in re.findall(r"[\w-]+\.(?:png|jpg)\b", done.stdout):
        if name != "no-such-photo.jpg":
            with Image.open(tmp_path / name) as picture:
                picture.load()
