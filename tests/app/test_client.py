"""The command line without a service."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from app.cli import cli


def test_command_line_help_and_version() -> None:
    shown = CliRunner().invoke(cli, ["--help"])
    for name in (
        "synthesize",
        "manipulate",
        "inpaint",
        "jobs",
        "events",
        "cancel",
        "delete",
        "webhook-secret",
        "serve",
    ):
        assert name in shown.output
    assert "mmml, version" in CliRunner().invoke(cli, ["--version"]).output
    assert "IMAGE MASK TEXT" in CliRunner().invoke(cli, ["inpaint", "--help"]).output


def test_the_open_service_stays_on_this_machine(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["serve", "--host", "0.0.0.0", "--state-dir", str(tmp_path)])  # noqa: S104
    assert result.exit_code == 1
    assert "Refusing to serve on a public address without API keys" in result.output


def test_odd_file_names_are_refused_first() -> None:
    result = CliRunner().invoke(cli, ["synthesize", "a bird", "-o", "bird.gif"])
    assert result.exit_code == 1
    assert ".png" in result.output
