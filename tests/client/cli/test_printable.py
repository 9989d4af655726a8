"""A service can't speak to the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmml import Job
from mmml.cli.context import CliContext, CommandError, printable
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
