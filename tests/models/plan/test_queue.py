"""A queue of quick programs in the workspace of trainings: order, failures, signals, locks."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.files import json_lines
from models.plan.plan import read_plan
from models.plan.queue import Queue, QueueError
from models.plan.status import Progress, Workspace, table

PLAN = """
order = ["a/synthesis-1", "b/synthesis-1", "a/synthesis-2"]
[[chain]]
preset = "a"
part = "synthesis"
data = "aviary"
samples = 4
stage = [{ minutes = 1 }, { steps = 7, hours = 1 }]
[[chain]]
preset = "b"
part = "synthesis"
data = "photos"
stage = [{ minutes = 1 }]
"""

# Writes down its words, and leaves what the command would leave.
PROGRAM = """
import json, pathlib, sys, time
words = sys.argv[1:]
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(" ".join(words) + "\\n")
plot = json.loads((here / "plot.json").read_text())
name = words[words.index("--stage") + 1] if "--stage" in words else words[0]
out = pathlib.Path(words[words.index("--out") + 1])
if plot.get(name) == "fail":
    sys.exit("error: The disk is full.")
if plot.get(name) == "hang":
    (here / "hangs").touch()
    time.sleep(60)
if words[0] == "train":
    (out / "bundle").mkdir(parents=True, exist_ok=True)
    task = {"stage": words[words.index("--stage") + 1], "method": "efficient-t2i"}
    (out / "bundle" / "bundle.json").write_text(json.dumps({"tasks": {"synthesize": task}}))
    (out / "stats.jsonl").write_text('{"step": 7, "seconds": 1800, "d": 1}\\n{"step": 8, "sec')
if words[0] == "evaluate":
    out.mkdir(exist_ok=True)
    rows = {"real": {"accuracy": 1}, "efficient-t2i": {"accuracy": 0.5, "count": 4}}
    (out / "report.json").write_text(json.dumps({"synthesize": rows}))
if words[0] == "sheet":
    out.write_bytes(b"sheet")
"""


class Workplace:
    """A plan, a program and folders under ``root``. plot: stage or command -> fail or hang."""

    def __init__(self, root: Path, **plot: str) -> None:
        self.root, self.runs = root, root / "runs"
        (root / "weights").mkdir(exist_ok=True)
        self.plan = root / "weights" / "plan.toml"
        self.plan.write_text(PLAN)
        (root / "program.py").write_text(PROGRAM)
        self.plot(**plot)

    def plot(self, **plot: str) -> None:
        named = {k.replace("__", "/").replace("_", "-"): v for k, v in plot.items()}
        (self.root / "plot.json").write_text(json.dumps(named))

    @property
    def workspace(self) -> Workspace:
        return Workspace(read_plan(self.plan), self.runs, self.root / "weights")

    def queue(self, **data: str) -> Queue:
        return Queue(self.workspace, data, (sys.executable, str(self.root / "program.py")))

    def calls(self) -> list[str]:
        """The commands that ran, each with its stage's run folder."""
        lines = (self.root / "calls").read_text().splitlines()
        return [f"{line.split()[0]} {line.split('--out ')[1].split()[0]}" for line in lines]

    def state(self, name: str) -> str:
        workspace = self.workspace
        stage = workspace.plan.find(name)
        assert stage is not None
        return workspace.status(stage).state


def test_stages_are_done_in_order_with_what_they_need(tmp_path: Path) -> None:
    work, runs = Workplace(tmp_path), tmp_path / "runs"
    work.queue().work()  # no photos here
    a1, a2, b1 = runs / "a/synthesis-1", runs / "a/synthesis-2", runs / "b/synthesis-1"
    assert work.calls() == [
        f"train {a1}", f"evaluate {a1}/evaluation", f"sheet {a1}/sheet.webp",
        f"train {a2}", f"evaluate {a2}/evaluation", f"sheet {a2}/sheet.webp",
    ]  # fmt: skip
    words = (tmp_path / "calls").read_text().splitlines()
    assert "--minutes 1 " in words[0]
    assert "--init" not in words[0]
    assert f"--init {a1 / 'bundle'} " in words[3]
    assert "--steps 7 --set loop.seed=1" in words[3]
    assert "--split validation --samples 4" in words[1]
    work.queue(photos=str(tmp_path)).work()
    assert work.calls()[6:] == [f"train {b1}", f"sheet {b1}/sheet.webp"]
    work.queue(photos=str(tmp_path)).work()
    assert len(work.calls()) == 8, "nothing is done twice"


def test_what_a_detail_stage_learns_from_is_drawn_first(tmp_path: Path) -> None:
    work = Workplace(tmp_path)
    work.plan.write_text("""
[[chain]]
preset = "a"
part = "detail"
data = "photos"
stage = [{ steps = 7, hours = 1, generated = "weights/a" }]
""")
    work.queue(photos="folder").work()
    run = tmp_path / "runs/a/detail-1"
    assert work.calls() == [f"sheets {run}/sheets", f"train {run}", f"sheet {run}/sheet.webp"]
    sheets, training, _ = (tmp_path / "calls").read_text().splitlines()
    assert sheets.startswith(f"sheets {tmp_path}/weights/a --data folder ")
    assert f"--set objective=generated --set generated={run}/sheets" in training


def test_a_stage_with_more_minutes_goes_on(tmp_path: Path) -> None:
    work = Workplace(tmp_path)
    work.queue().work()
    work.plan.write_text(PLAN.replace("[{ minutes = 1 }, { steps", "[{ minutes = 2 }, { steps"))
    assert work.queue().work(), "nothing else can be done here"
    assert work.calls()[6:] == [
        f"{words} {tmp_path}/runs/a/synthesis-1{rest}"
        for words, rest in (("train", ""), ("evaluate", "/evaluation"), ("sheet", "/sheet.webp"))
    ]


def test_encoders_are_trained_before_what_needs_them(tmp_path: Path) -> None:
    work = Workplace(tmp_path)
    work.plan.write_text("""
[[chain]]
preset = "a"
part = "damsm"
data = "aviary"
stage = [{ minutes = 1 }]
[[chain]]
preset = "a"
part = "synthesis"
data = "aviary"
encoders = "a/damsm"
stage = [{ minutes = 1 }]
""")
    synthesis = work.workspace.plan.stages[1]
    assert not work.workspace.is_ready(synthesis)
    work.queue().work()
    encoders, runs = tmp_path / "runs/a/damsm-1", tmp_path / "runs/a/synthesis-1"
    assert work.calls() == [
        f"{command} {run}{file}"
        for run in (encoders, runs)
        for command, file in (("train", ""), ("sheet", "/sheet.webp"))
    ]
    words = (tmp_path / "calls").read_text().splitlines()
    assert f"--encoders {encoders / 'bundle'}" in words[2]


def test_the_table_says_how_far_all_is(tmp_path: Path) -> None:
    work = Workplace(tmp_path)
    work.queue().work(most=1)
    lines = table(work.workspace).splitlines()
    assert len(lines) == 5
    assert lines[1].split() == [
        *("a/synthesis-1", "0.0", "0.5", "finished", "accuracy", "0.500", "count", "4.000"),
    ]
    assert lines[3].split() == ["a/synthesis-2", "1.0", "0.0", "waits"]
    assert lines[4].split() == ["all", "1.0", "0.5"]


def test_a_failure_stops_its_chain_only_and_is_tried_again(tmp_path: Path) -> None:
    work = Workplace(tmp_path, a__synthesis_1="fail")
    with pytest.raises(QueueError, match=r"Failed: a/synthesis-1\. The same command tries again"):
        work.queue(photos=str(tmp_path)).work()
    assert work.state("a/synthesis-1") == "failed: The disk is full."
    assert work.state("b/synthesis-1") == "finished"
    assert work.state("a/synthesis-2") == "waits"
    work.plot()
    work.queue(photos=str(tmp_path)).work()
    assert work.state("a/synthesis-2") == "finished"


def test_what_is_trained_is_not_trained_again(tmp_path: Path) -> None:
    work = Workplace(tmp_path, evaluate="fail")
    with pytest.raises(QueueError):
        work.queue().work(most=1)
    work.plot()
    work.queue().work(most=1)
    commands = [call.split()[0] for call in work.calls()]
    assert commands == ["train", "evaluate", "evaluate", "sheet"]


def test_a_new_machine_goes_on_after_what_was_committed(tmp_path: Path) -> None:
    work = Workplace(tmp_path)
    shipped = tmp_path / "weights" / "mine"
    shipped.mkdir()
    manifest = {"tasks": {"synthesize": {"stage": "a/synthesis-1"}}}
    (shipped / "bundle.json").write_text(json.dumps(manifest))
    assert work.state("a/synthesis-1") == "in weights/mine"
    work.queue().work()
    assert work.calls()[0] == f"train {tmp_path / 'runs/a/synthesis-2'}"
    assert f"--init {shipped} " in (tmp_path / "calls").read_text()


def test_a_run_that_has_begun_keeps_its_beginning(tmp_path: Path) -> None:
    work = Workplace(tmp_path)
    work.queue().work(most=1)
    run = tmp_path / "runs" / "a" / "synthesis-2"
    run.mkdir()
    (run / "snapshot.pt").touch()
    (run / "options.json").write_text('{"init": "/elsewhere/bundle"}')
    work.queue().work()
    assert "--init /elsewhere/bundle " in (tmp_path / "calls").read_text()


def begun(work: Workplace) -> subprocess.Popen[str]:
    """A queue in a process of its own, once its first stage hangs."""
    code = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "from pathlib import Path\n"
        "from models.errors import Stopped\n"
        "from tests.models.plan.test_queue import Workplace\n"
        "try:\n    Workplace(Path(sys.argv[2]), a__synthesis_1='hang').queue().work()\n"
        "except Stopped as stopped:\n    print(stopped); sys.exit(stopped.status)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(Path.cwd()), str(work.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (work.root / "hangs").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    return process


def test_ctrl_c_ends_the_stage_too(tmp_path: Path) -> None:
    work = Workplace(tmp_path)
    process = begun(work)
    with pytest.raises(QueueError, match=f"Process {process.pid} works through this plan"):
        work.queue().work()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert "Stopped in a/synthesis-1; the same command goes on." in output
    assert work.state("a/synthesis-1") == "interrupted"


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel has to end orphans")
def test_a_killed_queue_leaves_no_orphan_and_goes_on(tmp_path: Path) -> None:
    work = Workplace(tmp_path)
    process = begun(work)
    process.kill()
    process.communicate()
    work.plot()
    work.queue().work()  # once the lock is free: the orphan has ended
    assert work.state("a/synthesis-2") == "finished"


def test_a_torn_line_of_progress_is_passed_over(tmp_path: Path) -> None:
    progress = Progress(tmp_path / "progress.jsonl")
    progress.add("a", "started")
    with progress.path.open("a") as file:
        file.write('{"stage": "a", "event": "fini')
    progress.add("b", "started")
    assert [(line["stage"], line["event"]) for line in json_lines(progress.path, "event")] == [
        ("a", "started"),
        ("b", "started"),
    ]
