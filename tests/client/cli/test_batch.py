"""``mmml batch``: rows are checked, sent once, saved, and taken up again."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.gateway.services import Services
from jobs.images import decode_photo
from mmml import Busy, Client, Job, MmmlError, Refused, Unreachable
from mmml.cli.batch import BatchRunner
from mmml.cli.batch.journal import Journal, open_journal
from mmml.cli.batch.rows import Row, read_rows
from mmml.cli.context import CommandError, ExitStatus
from tests.app.conftest import png
from tests.client.cli.conftest import Command
from tests.client.conftest import Through


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., str]:
    """Writes a CSV file; returns its path."""

    def write(*lines: str) -> str:
        path = tmp_path / "rows.csv"
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    return write


def results(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def jobs(services: Services) -> int:
    return len(services.store.list_jobs(None, 100, None)[0])


@pytest.mark.usefixtures("worker")
def test_every_task_in_one_file(
    mmml: Command, table: Callable[..., str], tmp_path: Path, services: Services
) -> None:
    (tmp_path / "photo.png").write_bytes(png())
    file = table(
        "task,text,image,mask,seed,count",
        "synthesize,a zorgly bird,,,7,2",
        "manipulate,a red bird,photo.png,,,",
        'inpaint,a blue bird,photo.png,"2,2,5,5",,',
    )
    out = tmp_path / "out"
    done = mmml("batch", file, "-o", str(out))
    assert done.exit_code == ExitStatus.ok, done.output
    assert done.stdout == f"3 of 3 rows have pictures: {out / 'results.csv'}\n"
    result = results(out)
    assert [r["files"] for r in result] == ["0001.png 0001-1.png", "0002.png", "0003.png"]
    assert [r["status"] for r in result] == ["succeeded"] * 3
    assert result[0]["seed"] == "7"
    assert result[0]["warnings"] == "Unknown words were left out: zorgly."
    assert decode_photo((out / "0001-1.png").read_bytes()).size == (20, 20)
    again = mmml("batch", file, "-o", str(out), "--json")
    assert json.loads(again.stdout) == {
        "rows": 3,
        "failed": 0,
        "results": str(out / "results.csv"),
    }
    assert jobs(services) == 3


@pytest.mark.usefixtures("worker")
def test_failures_are_reported_and_tried_again(
    mmml: Command, table: Callable[..., str], tmp_path: Path, services: Services
) -> None:
    file = table("text", "a red bird", "a bird to fail", "qwertz")
    words = ("batch", file, "--task", "synthesize", "-o", str(tmp_path / "out"))
    done = mmml(*words)
    assert done.exit_code == ExitStatus.partial
    assert "2 rows failed; the first is row 2: It went wrong." in done.stderr
    result = results(tmp_path / "out")
    assert [r["status"] for r in result] == ["succeeded", "failed", "failed"]
    assert "knows no word" in result[2]["error"]
    assert jobs(services) == 2
    table("text", "a red bird", "a blue bird", "a bird")
    assert mmml(*words).exit_code == ExitStatus.ok
    assert jobs(services) == 4


@pytest.mark.usefixtures("worker")
def test_a_lost_job_is_made_again(
    mmml: Command, table: Callable[..., str], tmp_path: Path, services: Services
) -> None:
    file = table("text", "a lost bird")
    done = mmml("batch", file, "--task", "synthesize", "-o", str(tmp_path / "out"))
    assert done.exit_code == ExitStatus.ok, done.output
    assert jobs(services) == 2


def test_the_same_text_twice_is_two_jobs_with_seeds_of_their_own(
    tmp_path: Path, table: Callable[..., str]
) -> None:
    rows = read_rows(Path(table("text", "a bird", "a bird", "a bird with seed")), "synthesize")
    assert len({row.digest for row in rows}) == 3
    table("text", "a bird with seed", "a bird", "a bird")
    moved = read_rows(tmp_path / "rows.csv", "synthesize")
    assert {row.digest for row in moved} == {row.digest for row in rows}


class Killed(BaseException):
    """Ends a thread as a kill would end the process."""


class Dying(Journal):
    """Dies between submitting a row and writing that down."""

    def record(self, row: Row, **changes: object) -> None:
        if changes.get("status") == "submitted":
            raise Killed
        super().record(row, **changes)


@pytest.mark.usefixtures("worker")
def test_killed_before_the_line_is_written_makes_no_second_job(
    mmml: Command,
    table: Callable[..., str],
    tmp_path: Path,
    services: Services,
    client: TestClient,
) -> None:
    out = tmp_path / "out"
    file = table("text", "a red bird")
    rows = read_rows(Path(file), "synthesize")
    with open_journal(out) as journal:
        dying = Dying(journal.batch, journal._handle)
        with pytest.raises(Killed):
            BatchRunner(Client(transport=Through(client)), dying, out).run(rows, lambda _: None)
    assert jobs(services) == 1
    done = mmml("batch", file, "--task", "synthesize", "-o", str(out))
    assert done.exit_code == ExitStatus.ok, done.output
    assert jobs(services) == 1


def test_a_journal_that_was_cut_goes_on(tmp_path: Path) -> None:
    row = Row(1, "synthesize", {"text": "a bird"}, {}, "d1")
    other = Row(2, "synthesize", {"text": "a red bird"}, {}, "d2")
    with open_journal(tmp_path) as journal:
        journal.record(row, job="j1", status="submitted")
        key = journal.key(row)
    with (tmp_path / "journal.jsonl").open("a") as handle:
        handle.write('{"row": "d1", "sta')
    with open_journal(tmp_path) as journal:
        assert journal.state(row).job == "j1"
        assert journal.key(row) == key
        journal.record_failure(row, "It went wrong.")
        assert journal.key(row) != key
        journal.record(other, status="succeeded", files=["0002.png"])
    with open_journal(tmp_path) as journal:
        assert journal.state(other).done
        assert not journal.state(row).job
        moved = Row(2, "synthesize", {"text": "a blue bird"}, {}, "d3aaaaaa")
        assert journal.stem(moved) == "0002-d3aaaa"
        assert journal.stem(other) == "0002"


def test_one_batch_at_a_time(tmp_path: Path) -> None:
    with (
        open_journal(tmp_path),
        pytest.raises(CommandError, match="Another batch"),
        open_journal(tmp_path),
    ):
        pass


# Windows' module for it, which locks bytes from the file's position on, and refuses as it does.
_WINDOWS = """
import fcntl, os, sys, types
def locking(file, mode, count):
    assert (mode, count) == (2, 1)
    assert os.lseek(file, 0, os.SEEK_CUR) > os.fstat(file).st_size  # others may read the journal
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(13, "Permission denied") from None
sys.modules["msvcrt"] = types.SimpleNamespace(LK_NBLCK=2, locking=locking)
sys.modules["fcntl"] = None
"""
_TWICE = """
from pathlib import Path
from mmml.cli.batch.journal import open_journal
from mmml.cli.batch.rows import Row
folder, row = Path(sys.argv[1]), Row(2, "synthesize", {"text": "a bird"}, {}, "d1")
for status in ("", "submitted"):
    with open_journal(folder) as journal:
        assert journal.state(row).status == status
        journal.record(row, status="submitted")
        try:
            with open_journal(folder):
                raise SystemExit("two have it")
        except Exception as error:
            assert "Another batch" in str(error)
"""


def test_one_batch_at_a_time_on_windows(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", _WINDOWS + _TWICE, str(tmp_path)], capture_output=True, check=False
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (("text", "a bird"), "row 1: give --task or a column task"),
        (("task,text,colour", "synthesize,a bird,red"), "no field 'colour'; it has text"),
        (("task,text,count", "synthesize,a bird,99"), "row 1: count: must be at most 16"),
        (("task,text,seed", "synthesize,a bird,-1"), "row 1: seed: must be at least 0"),
        (("task,text,seed", "synthesize,a bird,x"), "row 1: seed: must be a whole number"),
        (("task,text,explain", "synthesize,a bird,maybe"), "explain: must be true or false"),
        (("task,text,format", "synthesize,a bird,tiff"), "format: must be one of png, jpeg"),
        (("task,text,format", "synthesize,a bird,gif"), "format: must be one of png, jpeg, webp"),
        (("task,text,frames", "synthesize,a bird,8"), "no field 'frames'"),
        (("task,text", f"synthesize,{'a' * 1001}"), "text: must have at most 1000 characters"),
        (("task,text", "synthesize,a bird", "synthesize,"), "row 2: text: is missing"),
        (("task,text,image", "manipulate,a bird,"), "image is missing"),
        (("task,text,image", "manipulate,a bird,no.png"), "there is no file"),
        (("task,text", "synthesize,a bird, with wings"), "quotes"),
    ],
)
def test_mistakes_are_found_before_anything_is_sent(
    mmml: Command,
    table: Callable[..., str],
    tmp_path: Path,
    services: Services,
    lines: tuple[str, ...],
    sentence: str,
) -> None:
    result = mmml("batch", table(*lines), "-o", str(tmp_path / "out"))
    assert result.exit_code == ExitStatus.refused
    assert sentence in result.stderr
    assert jobs(services) == 0
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("worker")
def test_a_batch_without_any_image_has_failed(
    mmml: Command, table: Callable[..., str], tmp_path: Path
) -> None:
    file = table("text", "a bird to fail", "qwertz")
    done = mmml("batch", file, "--task", "synthesize", "-o", str(tmp_path / "out"))
    assert done.exit_code == ExitStatus.failed


def test_checking_finds_every_bad_row(
    mmml: Command, table: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_text("no image")
    bad = ["a,no.png", "b,text.png", "c,x.png,surplus", *["d,"] * 20, "e,140"]
    file = table("text,image", *bad)
    words = ("batch", file, "--task", "manipulate", "-o", "out")
    checked = mmml(*words, "--check")
    assert checked.exit_code == ExitStatus.refused
    assert [n for n in range(1, 25) if f"row {n}: " in checked.stderr] == list(range(1, 25))
    assert "row 2: image: " in checked.stderr
    assert "no PNG, JPEG or WebP" in checked.stderr
    assert "more cells than the header" in checked.stderr
    assert "… and 14 more; --check shows all" in mmml(*words).stderr


def test_checking_sends_nothing(
    mmml: Command, table: Callable[..., str], tmp_path: Path, services: Services
) -> None:
    words = ("batch", table("task,text", "synthesize,a bird"))
    assert mmml(*words, "--check").stdout == "Rows that can be sent: 1\n"
    assert jobs(services) == 0
    assert "-o FOLDER" in mmml(*words).stderr  # to send them, it has to be given


class Reluctant(Client):
    """Of a service that refuses twice, then takes the job."""

    def __init__(self, error: MmmlError) -> None:
        self.error, self.asked = error, 0

    def submit_task(self, *_: object, **__: object) -> Job:
        self.asked += 1
        if self.asked <= 2:
            raise self.error
        return Done({"id": "j1", "status": "succeeded", "input": {"seed": 5}, "warnings": []})


class Done(Job):
    """A job that is over."""

    def __init__(self, record: dict[str, object]) -> None:
        made = {"url": "/jobs/1/images/0", "format": "png"}
        self.record, self._pictures = {**record, "images": [made]}, [b"picture"]

    def wait(self, *_: object, **__: object) -> Job:
        return self


def test_a_busy_service_is_asked_again_when_it_says(tmp_path: Path) -> None:
    busy = Reluctant(Busy("Full.", 503, 0.01, None))
    row = Row(1, "synthesize", {"text": "a bird"}, {}, "d1")
    with open_journal(tmp_path) as journal:
        BatchRunner(busy, journal, tmp_path).run([row], lambda _: None)  # type: ignore[arg-type]
        assert journal.state(row).seed == 5
    assert busy.asked == 3
    assert (tmp_path / "0001.png").read_bytes() == b"picture"


class Flickering(Done):
    """A job whose service is away again and again, and answers in between."""

    def __init__(self, outages: int) -> None:
        super().__init__({"id": "j1", "status": "succeeded", "input": {"seed": 5}, "warnings": []})
        self.outages = outages

    def wait(self, on_change: Any = None, *_: object, **__: object) -> Job:
        on_change(self.record)
        if self.outages:
            self.outages -= 1
            raise Unreachable("No service answers.")
        return self


def test_each_outage_of_a_long_job_is_retried(tmp_path: Path) -> None:
    service = Reluctant(Busy("Full.", 503, 0.01, None))
    service.submit_task = lambda *_, **__: Flickering(3)  # type: ignore[method-assign]
    row = Row(1, "synthesize", {"text": "a bird"}, {}, "d1")
    with open_journal(tmp_path) as journal:
        runner = BatchRunner(service, journal, tmp_path, retry_for=0.7)
        runner.run([row], lambda _: None)
        assert journal.state(row).done


def test_retries_of_a_busy_service_end(tmp_path: Path) -> None:
    busy = Reluctant(Busy("Full.", 503, 60, None))
    row = Row(1, "synthesize", {"text": "a bird"}, {}, "d1")
    with open_journal(tmp_path) as journal:
        key = journal.key(row)
        runner = BatchRunner(busy, journal, tmp_path, retry_for=5)  # type: ignore[arg-type]
        runner.run([row], lambda _: None)
        assert journal.state(row).status == "waiting"
        assert journal.key(row) == key


def test_no_key_ends_the_batch(tmp_path: Path) -> None:
    closed = Reluctant(Refused("This service needs an API key.", 401, None, None))
    rows = [Row(n, "synthesize", {"text": "a bird"}, {}, f"d{n}") for n in range(1, 40)]
    with open_journal(tmp_path) as journal:
        runner = BatchRunner(closed, journal, tmp_path, concurrency=1)  # type: ignore[arg-type]
        with pytest.raises(MmmlError, match="API key"):
            runner.run(rows, lambda _: None)
    assert closed.asked == 1


def test_a_picture_that_is_no_files_name(mmml: Command, table: Callable[..., str]) -> None:
    file = table("text,image", f'a bird,"data:,{"A" * 400}"')
    found = mmml("batch", file, "--task", "manipulate", "--check")
    assert "row 1: image: there is no file" in found.output
    assert found.exit_code == ExitStatus.refused


def test_a_journal_holds_any_sentence(tmp_path: Path) -> None:
    row = Row(1, "synthesize", {"text": "a bird"}, {}, "d")
    with open_journal(tmp_path) as journal:
        journal.record(row, status="failed", error="a\u2028b\x85c", job="x")
    with open_journal(tmp_path) as journal:
        assert journal.state(row).error == "a\u2028b\x85c"
