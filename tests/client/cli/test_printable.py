"""A service can't speak to the terminal."""

from __future__ import annotations

import pytest

from mmml.cli.context import CliContext, CommandError, ExitStatus, printable


@pytest.mark.parametrize(
    "result", ["\x1b]0;title\x07", "a\x1b[2Jb", "a\rb", "a\x9bb", "a\u202eb", "a\x7f\x00"]
)
def test_control_characters_are_marked(result: str, capsys: pytest.CaptureFixture[str]) -> None:
    context = CliContext(connect=lambda: None)  # type: ignore[arg-type, return-value]
    context.print_result({}, [result])
    context.warn(result)
    CommandError(ExitStatus.refused, result).show()
    out, err = capsys.readouterr()
    for shown in (out, *err.splitlines()):
        assert "\ufffd" in shown
        assert printable(shown) == shown


def test_other_text_stays() -> None:
    assert printable("größer: 鳥\t1\n") == "größer: 鳥\t1\n"
