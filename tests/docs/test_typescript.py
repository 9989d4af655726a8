"""docs/examples/typescript: compiles against docs/openapi.json, and runs, where npm has been."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "examples" / "typescript"
pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (FOLDER / "node_modules").is_dir(), reason=f"needs: cd {FOLDER.name} && npm install"
    ),
]


def test_it_compiles_and_runs(fake_url: str) -> None:
    env = os.environ | {"MMML_URL": fake_url}
    command = ["npm", "start", "--silent"]
    done = subprocess.run(
        command, cwd=FOLDER, env=env, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()[-4:]
    assert said[0] == "drawn.png: 2 of seed 7, 0 warnings"
    assert [line.split(":")[0] for line in said[1:3]] == ["edited.jpg", "filled.png"]
    assert said[3].startswith("Bundle 'aviary' knows no word of this text.")


def test_what_is_wrong_does_not_compile() -> None:
    """A forgotten mask, and a route that there is not."""
    text = (FOLDER / "birds.ts").read_text()
    wrong = FOLDER / "wrong.ts"
    wrong.write_text(text.replace(", mask: [140, 40, 80, 60]", "").replace('"/synth', '"/sinth'))
    config = FOLDER / "tsconfig.wrong.json"
    config.write_text('{"extends": "./tsconfig.json", "files": ["wrong.ts"]}')
    try:
        subprocess.run(["npm", "run", "--silent", "types"], cwd=FOLDER, check=True)
        command = ["npx", "tsc", "--noEmit", "--project", config.name]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    finally:
        wrong.unlink()
        config.unlink()
    assert "Property 'mask' is missing" in done.stdout
    assert "'\"/sinthesize\"' is not assignable" in done.stdout
