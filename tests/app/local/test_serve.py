import os
import stat
import sys
import time
from pathlib import Path

import pytest

from app.local.broker import (
    LocalServiceError,
    broker_command,
    make_private,
    socket_path,
    state_lock,
)
from app.local.serve import local_settings, require_bundles
from app.local.supervisor import ChildProcess, Supervisor


def test_socket_lies_in_the_state_folder(tmp_path: Path) -> None:
    assert socket_path(Path("/tmp/s")) == Path("/tmp/s/valkey.sock")


def test_long_state_path_falls_back_to_a_short_socket(tmp_path: Path) -> None:
    path = socket_path(tmp_path / ("x" * 120))
    assert len(os.fsencode(path)) < 104
    assert path != socket_path(tmp_path / ("y" * 120))


def test_broker_keeps_what_it_accepted(tmp_path: Path) -> None:
    command = broker_command(tmp_path, tmp_path / "valkey.sock")
    text = " ".join(command)
    assert "--appendonly yes" in text
    assert "--maxmemory-policy noeviction" in text
    assert "--port 0" in text


def test_state_folder_has_one_owner(tmp_path: Path) -> None:
    with (
        state_lock(tmp_path),
        pytest.raises(LocalServiceError, match="Another mmml serve"),
        state_lock(tmp_path, wait=0.2),
    ):
        pass


@pytest.mark.parametrize("removed", ["nothing", "file", "folder"])
def test_supervisor_restarts_a_dead_child(tmp_path: Path, removed: str) -> None:
    marks, logs = tmp_path / "marks", tmp_path / "logs"
    logs.mkdir()
    change = {
        "nothing": "",
        "file": f"import os; os.unlink({str(logs / 'log')!r})",
        "folder": f"import shutil; shutil.rmtree({str(logs)!r}, ignore_errors=True)",
    }[removed]
    code = f"import time; open({str(marks)!r}, 'a').write('x'); time.sleep(0.2)\n{change}"
    supervisor = Supervisor([ChildProcess("worker", [sys.executable, "-c", code], logs / "log")])
    supervisor.start()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (not marks.exists() or len(marks.read_text()) < 2):
        time.sleep(0.05)
    supervisor.stop()
    assert len(marks.read_text()) >= 2


def test_restart_tells_how_the_log_ends(tmp_path: Path) -> None:
    code = "import sys; sys.exit('mmml: no torch here')"
    child = ChildProcess("worker", [sys.executable, "-c", code], tmp_path / "worker.log")
    child.start()
    deadline = time.monotonic() + 10
    while not (sentence := child.restart_if_ended()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child.stop(1)
    assert "worker ended with status 1; starting it again." in sentence
    assert sentence.endswith(f"{tmp_path / 'worker.log'} ends with: mmml: no torch here")


def test_missing_weights_are_a_sentence(weights: Path, tmp_path: Path) -> None:
    require_bundles(weights)
    with pytest.raises(LocalServiceError, match=r"missing does not exist.*MMML_WEIGHTS_DIR"):
        require_bundles(tmp_path / "missing")
    with pytest.raises(LocalServiceError, match="holds no bundle"):
        require_bundles(weights / "paper")


def test_requests_are_logged_where_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MMML_ACCESS_LOG", raising=False)
    assert not local_settings("127.0.0.1").access_log
    monkeypatch.setenv("MMML_ACCESS_LOG", "true")
    assert local_settings("127.0.0.1").access_log


def test_a_loose_state_folder_is_tightened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = os.umask(0o022)
    try:
        loose, new = tmp_path / "loose", tmp_path / "a/new"
        loose.mkdir(mode=0o755)
        for folder in (loose, new):
            make_private(folder)
            (folder / "made").touch()
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert stat.S_IMODE((folder / "made").stat().st_mode) == 0o600
        assert capsys.readouterr().err.count("no longer") == 1
    finally:
        os.umask(before)
