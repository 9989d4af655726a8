"""Every command of the documentation, run in the order in which it stands, against the service
without networks on the shipped bundle's words and methods.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.client import DEFAULT_URL
from mmml.testing import fake_service
from models.allocator import tuned_environment
from tests.docs.blocks import ELSEWHERE, PAGES, ROOT, Block, blocks

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="needs curl, jq"),
]
RUN = [
    page
    for page in PAGES
    if page.name not in ELSEWHERE
    and any(b.language in ("sh", "python") and not b.reason for b in blocks(page))
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with fake_service(MMML_WEIGHTS_DIR=str(ROOT / "weights")) as address:
        yield address


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a reader's folder holds: the examples, the weights, a virtual environment."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "examples").symlink_to(ROOT / "docs" / "examples")
    (tmp_path / "weights").mkdir()
    for bundle in (ROOT / "weights").iterdir():
        (tmp_path / "weights" / bundle.name).symlink_to(bundle)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "activate").touch()
    for name, words in (("python", ""), ("mmml", " -m app.cli")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{words} "$@"\n')
        program.chmod(0o755)
    return tmp_path


def script(page: Path, url: str) -> str:
    """The page's blocks as one shell script, which stops at the first that fails."""
    told = [_shell(block) for block in blocks(page) if not block.reason]
    text = "set -e -o pipefail\n" + "".join(told)
    return text.replace(DEFAULT_URL, url).replace("Client()", f'Client("{url}")')


def _shell(block: Block) -> str:
    heading = f"echo '== {block}'\n"
    if block.language == "sh":
        return heading + block.text
    if block.language == "python":
        return f"{heading}python - <<'END_OF_PYTHON'\n{block.text}END_OF_PYTHON\n"
    return ""


@pytest.mark.parametrize("page", RUN, ids=lambda p: p.name)
def test_the_commands_do_what_they_should(page: Path, url: str, checkout: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")}
    environment |= {
        "PATH": f"{checkout}/.venv/bin:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(checkout),
        "XDG_STATE_HOME": str(checkout / "state"),
        "MMML_URL": url,
    }
    done = subprocess.run(
        ["bash", "-c", script(page, url)],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    pictures = [p for p in checkout.glob("*.*") if p.suffix in (".png", ".jpg", ".webp")]
    empty = [p.name for p in pictures if p.stat().st_size < 100 or p.read_bytes()[:1] == b"{"]
    assert not empty, f"no pictures: {empty}\n{done.stdout[-3000:]}"


def test_the_training_leaves_a_bundle_and_a_report(checkout: Path) -> None:
    """As docs/training.md says, at one step for each part."""
    environment = tuned_environment(os.environ) | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs.small_training"],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    tasks = json.loads((checkout / "weights" / "mine" / "bundle.json").read_text())["tasks"]
    assert {"synthesize", "manipulate", "inpaint"} <= tasks.keys()
    assert (checkout / "runs" / "damsm" / "stats.jsonl").is_file()
    assert (checkout / "report" / "report.html").is_file()
