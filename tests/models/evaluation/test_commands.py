"""The commands, from their arguments to what they print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.__main__ import command_line
from models.errors import UnknownBundle
from models.evaluation.evaluator_files import EvaluatorError
from models.evaluation.runner import EvaluationError
from tests.models.data import made_sets


def invoke(command: str, *words: str | Path) -> None:
    arguments = command_line().parse_args([command, *(str(w) for w in words)])
    arguments.run(arguments)


def test_evaluate(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ("--tasks", "synthesize", "--samples", "3", "--no-features", "--save-images")
    invoke("evaluate", tiny, "--out", tmp_path, *common)
    printed = capsys.readouterr()
    assert "attribute_accuracy" in printed.out
    assert "report.html" in printed.err
    assert "| metric | n | efficient-t2i | real |" in printed.out
    assert "validation" in printed.out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["synthesize"]["real"]["attribute_accuracy"] == 1


@pytest.mark.parametrize(
    ("words", "split", "final"),
    [((), "validation", False), (("--final",), "test", True), (("--split", "test"), "test", False)],
)
def test_test_split_is_final_or_warned_of(
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    split: str,
    final: bool,
) -> None:
    common = ("--tasks", "manipulate", "--samples", "2", "--no-features", "--out", tmp_path)
    invoke("evaluate", tiny, *common, *words)
    facts = json.loads((tmp_path / "details.json").read_text())["facts"]
    assert (facts["split"], facts["final"]) == (split, final)
    assert ("choose nothing" in capsys.readouterr().err) == (split == "test" and not final)


@pytest.mark.parametrize("command", ["evaluate", "judge"])
def test_too_few_held_out_pictures_are_noticed_before_the_work(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data, out = made_sets.plain(tmp_path / "set", 8), tmp_path / "out"
    words = {"evaluate": (tiny, "--no-features"), "judge": ("encoders", "--steps", "1")}[command]
    with pytest.raises(EvaluationError, match=r"pictures in its split (test|validation)"):
        invoke(command, *words, "--data", data, "--out", out)
    assert not out.exists()


def test_tasks_that_are_not_there_are_noticed_before_the_work(tiny: Path, tmp_path: Path) -> None:
    words = ("--data", tmp_path / "none", "--out", tmp_path / "out", "--tasks", "enlarge")
    with pytest.raises(UnknownBundle, match="does not offer 'enlarge'"):
        invoke("evaluate", tiny, *words)


@pytest.mark.parametrize("task", ["synthesize", "manipulate", "inpaint"])
def test_data_in_words_that_a_bundle_lacks_are_refused(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = made_sets.plain(tmp_path / "set", 20)
    for path in data.glob("*.txt"):
        path.write_text("zwei rote Schuhe")
    words = ("--data", data, "--out", tmp_path / "out", "--tasks", task, "--no-features")
    with pytest.raises(EvaluationError, match="knows no word of the samples' captions"):
        invoke("evaluate", tiny, *words)


def test_a_folder_without_judges_is_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(EvaluatorError, match="holds no judges"):
        invoke("evaluate", tiny, "--out", tmp_path, "--judges", tmp_path, "--samples", "2")
