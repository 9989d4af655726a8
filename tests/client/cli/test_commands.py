"""What the commands print, write and end with."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from app.gateway.services import Services
from jobs.images import decode_photo
from mmml import Refused
from mmml.cli import cli
from mmml.cli.context import MEANINGS, ExitStatus, exit_status
from mmml.cli.tasks import merge_texts, task_command
from mmml.tasks import Task
from tests.app.conftest import mask_png, png, succeed
from tests.client.cli.conftest import Command

pytestmark = pytest.mark.usefixtures("inside")


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are written into a folder of the test."""
    monkeypatch.chdir(tmp_path)


def test_help_names_every_command_and_exit() -> None:
    output = " ".join(CliRunner().invoke(cli, ["--help"]).output.split())
    for name in ("synthesize", "manipulate", "inpaint", "batch", "jobs", "show", "wait", "keys"):
        assert name in output
    for code, meaning in MEANINGS.items():
        assert f"{code:d} {meaning}" in output
    assert "mmml, version" in CliRunner().invoke(cli, ["--version"]).output
    assert "IMAGE MASK TEXT" in CliRunner().invoke(cli, ["inpaint", "--help"]).output


def options(command: click.Command, words: str) -> Iterator[tuple[str, click.Option]]:
    """All that people see, of a command and those below it."""
    assert command.help, words
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            yield f"{words} {parameter.opts[0]}", parameter
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            member = command.get_command(context, name)
            assert member
            yield from options(member, f"{words} {name}")


def test_every_command_and_option_is_explained() -> None:
    assert [words for words, option in options(cli, "mmml") if not option.help] == []


def test_every_field_of_a_request_is_an_option() -> None:
    output = CliRunner().invoke(cli, ["synthesize", "--help"]).output
    for option in ("--seed INTEGER", "--count INTEGER", "--bundle", "--method", "--webhook"):
        assert option in output


@pytest.mark.usefixtures("worker")
def test_a_picture_is_written_and_named(mmml: Command) -> None:
    made = mmml("synthesize", "a zorgly bird", "--count", "2", "-o", "bird.png")
    assert made.exit_code == ExitStatus.ok, made.output
    assert made.stdout == "bird.png\nbird-1.png\n"
    assert made.stderr == "warning: Unknown words were left out: zorgly.\n"
    assert decode_photo(Path("bird-1.png").read_bytes()).size == (20, 20)


@pytest.mark.usefixtures("worker")
def test_pictures_in_and_json_out(mmml: Command) -> None:
    Path("photo.png").write_bytes(png())
    Path("mask.png").write_bytes(mask_png())
    made = mmml("inpaint", "photo.png", "mask.png", "a bird", "--json")
    record = json.loads(made.stdout)
    assert record["task"] == "inpaint"
    assert record["files"] == ["inpaint.png"]
    again = mmml("manipulate", record["images"][0]["url"], "a red bird", "--seed", "3")
    assert again.exit_code == ExitStatus.ok, again.output


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing/bird.png", "There is no folder missing; create it first."),
        ("folder.png", "folder.png can't be written"),
        ("bird.tiff", "must end in"),
    ],
)
def test_an_output_that_can_not_be_written_makes_no_job(
    mmml: Command, services: Services, name: str, sentence: str
) -> None:
    Path("folder.png").mkdir()
    refused = mmml("synthesize", "a bird", "-o", name)
    assert refused.exit_code == ExitStatus.usage
    assert sentence in refused.stderr
    assert services.store.list_jobs(None, 10, None)[0] == []


@pytest.mark.usefixtures("worker")
def test_some_failed_images_have_a_status_of_their_own(mmml: Command) -> None:
    made = mmml("synthesize", "a partial bird", "--count", "3", "-o", "bird.png")
    assert made.exit_code == ExitStatus.partial
    assert made.stdout == "bird.png\nbird-1.png\n"
    assert "1 of 3 images failed: It went wrong." in made.stderr
    (job,) = json.loads(mmml("jobs", "--json").stdout)
    assert mmml("wait", job["id"]).exit_code == ExitStatus.partial
    assert mmml("download", job["id"], "-o", "again.png").exit_code == ExitStatus.partial


@pytest.mark.usefixtures("worker")
def test_a_picture_to_stdout(mmml: Command) -> None:
    made = mmml("synthesize", "a bird", "-o", "-")
    assert made.stdout_bytes.startswith(b"\x89PNG")
    several = mmml("synthesize", "a bird", "--count", "2", "-o", "-")
    assert several.exit_code == ExitStatus.usage
    assert "there are 2" in several.stderr


@pytest.mark.usefixtures("worker")
def test_pictures_in_the_terminal_when_asked(mmml: Command) -> None:
    assert "▀" in mmml("synthesize", "a bird", "--show").stdout
    assert "▀" not in mmml("synthesize", "a bird").stdout


def test_a_job_from_submission_to_file(mmml: Command, services: Services) -> None:
    job = mmml("synthesize", "a red bird", "--no-wait").stdout.strip()
    assert "status    queued" in mmml("show", job).stdout
    assert mmml("jobs").stdout.startswith(job)
    late = mmml("wait", job, "--timeout", "0.1")
    assert late.exit_code == ExitStatus.unfinished, late.output
    succeed(services, job)
    assert mmml("wait", job).stdout == "succeeded\n"
    output = mmml("show", job).stdout
    assert "text      a red bird" in output
    assert f"picture   seed 0  20x20  /jobs/{job}/images/0" in output
    assert mmml("download", job, "-o", "red.webp").stdout == "red.webp\n"
    assert json.loads(mmml("jobs", "--json").stdout)[0]["id"] == job
    events = [json.loads(line)["event"] for line in mmml("events", job).stdout.splitlines()]
    assert events[-1] == "final"
    assert mmml("delete", job).exit_code == ExitStatus.ok
    assert "was deleted" in mmml("show", job).stderr


def test_cancel(mmml: Command) -> None:
    job = mmml("synthesize", "a bird", "--no-wait").stdout.strip()
    assert mmml("cancel", job).stdout == "canceled\n"
    ended = mmml("wait", job, "--json")
    assert ended.exit_code == ExitStatus.failed
    assert json.loads(ended.stderr)["error"]["code"] == "canceled"


@pytest.mark.usefixtures("worker")
def test_a_failed_job_is_a_sentence_and_a_one(mmml: Command) -> None:
    failed = mmml("synthesize", "a bird to fail")
    assert failed.exit_code == ExitStatus.failed
    assert failed.stderr.endswith("error: It went wrong.\n")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("synthesize", "qwertz"), ExitStatus.refused, "knows no word"),
        (("manipulate", "nothing.png", "a bird"), ExitStatus.refused, "no file"),
        (("synthesize", "a bird", "--count", "99"), ExitStatus.refused, "at most 16"),
        (("synthesize", "a bird", "-o", "bird.tiff"), ExitStatus.usage, ".png"),
        (("paint", "a bird"), ExitStatus.usage, "there are: synthesize"),
        (("show", "0" * 32), ExitStatus.refused, "no such job"),
    ],
)
def test_mistakes(mmml: Command, words: tuple[str, ...], code: ExitStatus, sentence: str) -> None:
    result = mmml(*words)
    assert result.exit_code == code, result.output
    assert sentence in " ".join(result.stderr.split())
    as_json = mmml("--json", *words)
    assert as_json.exit_code == code
    assert json.loads(as_json.stderr)["error"]["exit"] == code


def test_exits_follow_http() -> None:
    result = {500: 3, 401: 6, 403: 6, 429: 5, 503: 5, 404: 4, 410: 4, 422: 4}
    assert {
        status: int(exit_status(Refused("", status, None, None))) for status in result
    } == result


def test_no_service() -> None:
    result = CliRunner().invoke(cli, ["--url", "http://127.0.0.1:9", "jobs"])
    assert result.exit_code == ExitStatus.no_service
    assert "mmml serve" in result.stderr


def test_the_address_may_stand_behind_the_command() -> None:
    result = CliRunner().invoke(cli, ["jobs", "--url", "http://127.0.0.1:9"])
    assert result.exit_code == ExitStatus.no_service
    assert "http://127.0.0.1:9" in result.stderr


def test_a_port_in_use_is_reported_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        words = ["serve", "--port", port, "--state-dir", str(tmp_path / "state")]
        result = CliRunner().invoke(cli, words)
    assert result.exit_code == 1
    assert f"Port {port} is in use" in result.output
    assert not (tmp_path / "state").exists()


def test_models(mmml: Command) -> None:
    assert "* inpaint       64 px  fake, telea" in mmml("models").stdout
    assert json.loads(mmml("models", "--json").stdout)["defaults"]["inpaint"] == "paper"


def test_webhook_secret(mmml: Command) -> None:
    assert mmml("webhook-secret").stdout.startswith("whsec_")


def test_several_texts_and_their_weights() -> None:
    command = task_command(Task("blend", "Mix texts", {}, ("text", "weight"), ("text",), {}))
    assert "TEXT..." in command.get_usage(click.Context(command))
    assert merge_texts(("a", "b"), (1.0, 3.0)) == [
        {"text": "a", "weight": 1.0},
        {"text": "b", "weight": 3.0},
    ]
    assert merge_texts(("a", "b"), ()) == ["a", "b"]
    assert merge_texts(("a",), ()) == "a"
    with pytest.raises(click.UsageError, match="2 texts and 1 weights"):
        merge_texts(("a", "b"), (1.0,))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    made = CliRunner().invoke(cli, ["completion", shell])
    assert "_MMML_COMPLETE" in made.output


def test_completion_completes() -> None:
    environment = {"_MMML_COMPLETE": "bash_complete", "COMP_WORDS": "mmml syn", "COMP_CWORD": "1"}
    command = [sys.executable, "-c", "from mmml.cli import main; main()"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "plain,synthesize\n", done.stderr


def test_the_open_service_stays_on_this_machine(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["serve", "--host", "0.0.0.0", "--state-dir", str(tmp_path)])  # noqa: S104
    assert result.exit_code == 1
    assert "Refusing to serve on a public address without API keys" in result.output
