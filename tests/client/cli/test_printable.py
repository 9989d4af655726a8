"""A service can't speak to the terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from mmml import Job
from mmml.cli.context import CliContext, CommandError, ExitStatus, printable
from mmml.cli.output import default_output, wait_for_job
from mmml.operations import OnChange


@pytest.mark.parametrize(
    "result", ["\x1b]0;title\x07", "a\x1b[2Jb", "a\rb", "a\x9bb", "a\u202eb", "a\x7f\x00"]
)
def test_control_characters_are_marked(result: str, capsys: pytest.CaptureFixture[str]) -> None:
    context = CliContext(connect=lambda: None)  # type: ignore[arg-type, return-value]
    context.print_result({}, [result])
    context.warn(result)
    CommandError(result).show()
    out, err = capsys.readouterr()
    for shown in (out, *err.splitlines()):
        assert "\ufffd" in shown
        assert printable(shown) == shown


@pytest.mark.parametrize("result", ["\x1b]0;title\x07", "a\x9bb", "a\u202eb", "a\x7f\x00"])
def test_json_for_programs_escapes_them(result: str, capsys: pytest.CaptureFixture[str]) -> None:
    context = CliContext(connect=lambda: None, as_json=True)  # type: ignore[arg-type, return-value]
    context.print_result({"text": result}, [])
    out = capsys.readouterr().out
    assert printable(out) == out
    assert json.loads(out) == {"text": result}


def test_the_line_of_progress_holds_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Waiting:
        id = "a\x1bc"

        def wait(self, on_change: OnChange, fetch: bool) -> None:
            assert fetch
            on_change({"task": "\x1b]0;title\x07", "status": "\x9b2J"})
            raise KeyboardInterrupt

    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with pytest.raises(KeyboardInterrupt):
        wait_for_job(Waiting())  # type: ignore[arg-type]
    err = capsys.readouterr().err.replace("\r\033[K", "")
    assert "\ufffd]0;title\ufffd: \ufffd2J" in err
    assert "mmml wait a\ufffdc" in err
    assert printable(err) == err


@pytest.mark.parametrize("format", ["/../../.profile", "sh", "", None])
def test_a_service_chooses_no_file(format: str | None) -> None:
    job = Job(None, {"id": "a", "input": {"format": format}})  # type: ignore[arg-type]
    assert default_output(job, "bird") == Path("bird.png")


def test_other_text_stays() -> None:
    assert printable("größer: 鳥\t1\n") == "größer: 鳥\t1\n"


def _python(
    *words: str, output: int | IO[bytes] = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """A process of its own: charsets and full disks are a process's."""
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, **environment},
        stdout=output,
        stderr=subprocess.PIPE,
    )


_SAY = r"""
import click
from mmml.cli import root
from mmml.cli.context import CliContext
@root.cli.command("say")
@click.pass_obj
def say(context):
    context.print_result({"text": "\u65e5\U0001f600\udcff"}, ["\u65e5\udcff"])
root.main()
"""


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
def test_what_a_charset_lacks_is_escaped(charset: str) -> None:
    """In captions, and in files' names."""
    strict = {"PYTHONIOENCODING": f"{charset}:strict"}
    for_people = _python("-c", _SAY, "say", **strict)
    assert for_people.returncode == 0, for_people.stderr
    first = "日".encode() if charset == "utf-8" else rb"\u65e5"
    assert for_people.stdout.strip() == first + rb"\udcff"
    for_programs = _python("-c", _SAY, "--json", "say", **strict)
    assert json.loads(for_programs.stdout) == {"text": "日\U0001f600\udcff"}


def test_a_full_disk_is_a_sentence() -> None:
    with Path("/dev/full").open("wb") as full:
        found = _python("-m", "mmml", "completion", "bash", output=full)
    assert found.returncode == ExitStatus.refused
    assert found.stderr == b"error: [Errno 28] No space left on device\n"


def test_the_commands_load_where_no_file_can_be_locked() -> None:
    """``fcntl`` is not there on Windows."""
    code = "import sys; sys.modules['fcntl'] = None; import mmml.cli.root, mmml.testing"
    found = _python("-c", code)
    assert found.returncode == 0, found.stderr
