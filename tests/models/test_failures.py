"""Whatever stops a command, it says so in one sentence."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import ModelsError, Stopped
from models.failures import exit_with_sentence, sentence
from tests.models.data import made_sets

ENVIRONMENT = {
    k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHONUTF8"))
}


def said(error: BaseException, command: str = "") -> str:
    return sentence(error, command)[0] or ""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), ["no space left", "/x/y"]),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), ["no space left", "quota"]),
        (OSError(errno.EFBIG, "File too large"), ["no space left"]),
        (
            PermissionError(errno.EACCES, "Permission denied", "/x"),
            ["/x: Permission denied", "place"],
        ),
        (OSError(errno.EROFS, "Read-only file system", b"/x"), ["/x: Read-only"]),
        (FileExistsError(errno.EEXIST, "File exists", "f"), ["f: File exists"]),
        (OSError(errno.EMFILE, "Too many open files"), ["ulimit -n"]),
        (OSError("truncated file"), ["truncated file"]),
        (UnicodeEncodeError("ascii", "ö", 0, 1, "ordinal not in range"), ["PYTHONUTF8=1"]),
        (ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib"), ["matplotlib"]),
        (RuntimeError("[gloo/tcp/pair.cc:545] Read error: Connection reset by peer"), ["resume"]),
        (RuntimeError("NCCL error: remote process exited"), ["Another process", "resume"]),
    ],
)
def test_sentences(error: BaseException, words: list[str]) -> None:
    text, status = sentence(error)
    assert status == 1
    assert text is not None
    assert "\n" not in text
    assert text.startswith("error: ")
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB\n(GPU 0; …)"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_out_of_memory_says_what_to_lower(error: BaseException) -> None:
    assert "loop.accumulate" in said(error, "train")
    assert "--batch" in said(error, "evaluate")
    assert "not enough memory" in said(error)


def test_statuses() -> None:
    assert sentence(KeyboardInterrupt()) == ("Stopped at once.", 130)
    assert sentence(Stopped("Stopped at step 3.", 143)) == ("Stopped at step 3.", 143)
    assert sentence(ModelsError("No.")) == ("error: No.", 1)
    assert sentence(RuntimeError("expected a tensor")) == (
        None,
        1,
    )  # a mistake: its trace is needed
    assert sentence(KeyError("area"))[0] is None


def test_mistakes_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError), exit_with_sentence():
        _ = 1 // 0
    with pytest.raises(SystemExit) as ended, exit_with_sentence():
        raise SystemExit(2)
    assert ended.value.code == 2


def models(
    *words: str, stdout: int = subprocess.PIPE, **more: str
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "models", *words]
    return subprocess.run(
        command, env=ENVIRONMENT | more, stdout=stdout, stderr=subprocess.PIPE, check=False
    )


@pytest.mark.parametrize("words", [("draw", "--out", "bird.png"), ("data", "check", "aviary")])
def test_a_reader_that_went_away_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    done = models(*words, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_a_locale_without_letters_changes_no_name(tmp_path: Path) -> None:
    data, out = tmp_path / "donn\u00e9es", tmp_path / "pr\u00eat"
    for k in range(4):
        made_sets.photo(data / f"\u00f6{k}.png", seed=k)
        made_sets.text(data / f"\u00f6{k}.txt", "a na\u00efve bird", "a r\u00e9d bird")
    words = ("data", "prepare", str(data), "--out", str(out))
    done = models(*words, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"wrote " in done.stdout
    assert rb"donn\xe9es: " in done.stdout
    kept = json.loads((out / "prepared.json").read_text(encoding="utf-8"))
    assert set(kept["split"]["train"]) < {f"\u00f6{k}.png" for k in range(4)}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_narrow_terminals_lose_no_line(tmp_path: Path, encoding: str) -> None:
    for k in range(3):
        (tmp_path / "птица").mkdir(exist_ok=True)
        (tmp_path / "птица" / f"{k}.jpg").write_bytes(b"no photo")
        (tmp_path / "птица" / f"{k}.txt").write_text("a bird")
    done = models("data", "check", str(tmp_path), PYTHONIOENCODING=encoding)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"cannot be trained on" in done.stderr
    assert rb"\u043f\u0442\u0438\u0446\u0430/0.jpg" in done.stdout
