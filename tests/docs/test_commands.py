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
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmml.requests import DEFAULT_URL
from mmml.testing import fake_service
from models.runtime.cpu.process import tuned_environment
from tests.docs.blocks import ELSEWHERE, PAGES, ROOT, Block, blocks

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.timeout(900),  # of a busy machine; a minute where nothing else runs
    pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="needs curl, jq"),
]
SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF")
RUN = [
    page
    for page in PAGES
    if page.name not in ELSEWHERE
    and any(b.language in ("sh", "python") and not b.reason for b in blocks(page))
]


TRAINING = "training_leaves_a_bundle"  # in the name of its test
AT_A_TIME = 3


@dataclass(frozen=True)
class Outcome:
    """What the commands of a page left."""

    folder: Path
    done: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Outcome]]]:
    """All pages that were selected, a few at a time, each in a folder of its own."""
    selected = " ".join(
        item.name for item in request.session.items if item.module is request.module
    )
    with (
        fake_service(MMML_WEIGHTS_DIR=str(ROOT / "weights")) as url,
        ThreadPoolExecutor(AT_A_TIME) as pool,
    ):
        small = [sys.executable, "-m", "tests.docs.small_training"]
        commands = {TRAINING: small} | {p.name: ["bash", "-c", script(p, url)] for p in RUN}
        commands = {name: words for name, words in commands.items() if name in selected}
        folders = {name: checkout(tmp_path_factory.mktemp("page")) for name in commands}
        yield {
            name: pool.submit(run, command, folders[name], url)
            for name, command in commands.items()
        }


def checkout(folder: Path) -> Path:
    """What a reader's folder holds: the examples, the weights, a virtual environment."""
    (folder / "docs").mkdir()
    (folder / "docs" / "examples").symlink_to(ROOT / "docs" / "examples")
    (folder / "weights").mkdir()
    for bundle in (ROOT / "weights").iterdir():
        (folder / "weights" / bundle.name).symlink_to(bundle)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "activate").touch()
    for name, words in (("python", ""), ("mmml", " -P -m mmml")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{words} "$@"\n')
        program.chmod(0o755)
    return folder


def run(command: list[str], folder: Path, url: str) -> Outcome:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")}
    environment = tuned_environment(environment) | {
        "PATH": f"{folder}/.venv/bin:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
        "MMML_URL": url,
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=840,
        check=False,
    )
    return Outcome(folder, done)


def script(page: Path, url: str) -> str:
    """The page's blocks as one shell script, which stops at the first that fails."""
    reported = [_shell(block) for block in blocks(page) if not block.reason]
    text = "set -e -o pipefail\n" + "".join(reported)
    return text.replace(DEFAULT_URL, url).replace("Client()", f'Client("{url}")')


def _shell(block: Block) -> str:
    heading = f"echo '== {block}'\n"
    if block.language == "sh":
        return heading + block.text
    if block.language == "python":
        return f"{heading}python - <<'END_OF_PYTHON'\n{block.text}END_OF_PYTHON\n"
    return ""


@pytest.mark.parametrize("page", RUN, ids=lambda p: p.name)
def test_the_commands_do_what_they_should(page: Path, outcomes: dict[str, Future[Outcome]]) -> None:
    outcome = outcomes[page.name].result()
    done = outcome.done
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    pictures = [p for p in outcome.folder.glob("*.*") if p.suffix in (".png", ".jpg", ".webp")]
    broken = [p.name for p in pictures if not p.read_bytes().startswith(SIGNATURES)]
    assert not broken, f"no pictures: {broken}\n{done.stdout[-3000:]}"


def test_the_training_leaves_a_bundle_and_a_report(outcomes: dict[str, Future[Outcome]]) -> None:
    """As docs/training.md says, at one step for each part."""
    outcome = outcomes[TRAINING].result()
    assert outcome.done.returncode == 0, outcome.done.stderr[-3000:]
    bundle = outcome.folder / "weights" / "mine" / "bundle.json"
    tasks = json.loads(bundle.read_text())["tasks"]
    assert {"synthesize", "manipulate", "inpaint"} <= tasks.keys()
    assert (outcome.folder / "runs" / "damsm" / "stats.jsonl").is_file()
    assert (outcome.folder / "report" / "report.html").is_file()
