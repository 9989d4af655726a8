"""Works through a plan: each stage is the ``train`` command in a process of its own, then an
evaluation on validation and a sheet of first pictures.

Nothing is lost by a kill. A stage resumes from its run folder's snapshot; what is done stands in
the progress file. A training process that outlives its queue is stopped by the kernel (Linux)
and holds the queue's lock until it has.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from models.errors import ModelsError, Stopped
from models.plan.plan import Stage
from models.plan.status import Workspace, metrics_of

_ORPHAN_WAIT = 120.0  # seconds that a training without its queue has for a step and its snapshot
_PR_SET_PDEATHSIG = 1  # prctl(2)
SPLIT = "validation"
_PROGRAM = (sys.executable, *(["-P"] if sys.flags.safe_path else []), "-m", "models")
# Pictures about as they are served, in a quarter of the time: the best of a few.
_SHEETS = ("--sheets", "40", "--noise-scale", "0.8", "--candidates", "4")
_WATCHED_EVERY = 5.0  # seconds


class QueueError(ModelsError):
    """The queue can't go on; the text says why and what to do."""


class Queue:
    """data: name -> folder of a data set on this machine (aviary is everywhere); program: what
    runs the commands train, evaluate and sheet; watch: is called with a stage and the last line of
    its log every few seconds.
    """

    def __init__(
        self,
        workspace: Workspace,
        data: Mapping[str, str],
        program: Sequence[str] = _PROGRAM,
        watch: Callable[[Stage, str], None] | None = None,
    ) -> None:
        self.workspace, self.progress = workspace, workspace.progress
        self.data, self.program = {"aviary": "aviary", **data}, program
        self._watch = watch
        self._failed: set[str] = set()
        self._child: subprocess.Popen[bytes] | None = None
        self._signal = 0
        workspace.runs.mkdir(parents=True, exist_ok=True)

    def work(self, most: int = 0) -> bool:
        """Do the stages that can be done, ``most`` at most, 0 for all; whether none is left.

        Raises Stopped after a signal, QueueError when another queue is at work or stages failed.
        """
        self._lock = _locked(self.workspace.runs / "queue.lock")
        previous = {n: signal.signal(n, self._on_signal) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            return self._work(most)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            self._lock.close()

    def _work(self, most: int) -> bool:
        count = 0
        while (stage := self.next()) is not None and not (most and count >= most):
            self._stage(stage)
            count += 1
        if self._failed:
            raise QueueError(
                f"Failed: {', '.join(sorted(self._failed))}. The same command tries again; each "
                "run folder's queue.log says why."
            )
        return stage is None

    def next(self) -> Stage | None:
        """The first stage that isn't done, has not failed just now and has all it needs."""
        for stage in self.workspace.plan.stages:
            if stage.name in self._failed or self.workspace.status(stage).done:
                continue
            if stage.data in self.data and self.workspace.is_ready(stage):
                return stage
        return None

    def _stage(self, stage: Stage) -> None:
        run, name = self.workspace.run(stage), stage.name
        run.mkdir(parents=True, exist_ok=True)
        last = self.progress.last().get(name, {})
        if not (last.get("trained") or last.get("event") == "trained"):
            self.progress.add(name, "started")
            _say(f"{name}: trains; follow {run / 'queue.log'}")
            if stage.generated and not self._run(stage, self._drawing(stage, stage.generated)):
                return
            if not self._run(stage, self._training(stage)):
                return
            self.progress.add(name, "trained")
        bundle = run / "bundle"
        data = self.data[stage.data]
        evaluation = ["evaluate", str(bundle), "--data", data, "--out", str(run / "evaluation")]
        evaluation += ["--split", SPLIT, "--samples", str(stage.samples)]
        if stage.samples and not self._run(stage, evaluation, trained=True):
            return
        sheet = ["sheet", str(run), "--data", data, "--out", str(run / "sheet.webp")]
        if not self._run(stage, sheet, trained=True):
            return
        metrics = metrics_of(run / "evaluation" / "report.json", bundle) if stage.samples else {}
        done = {"minutes": stage.minutes, "metrics": metrics}
        done["bundle"] = hashlib.sha256((bundle / "bundle.json").read_bytes()).hexdigest()
        self.progress.add(name, "finished", **done)
        _say(f"{name}: finished{f' {json.dumps(metrics)}' if metrics else ''}; {run}")

    def _training(self, stage: Stage) -> list[str]:
        """The words of the train command."""
        run = self.workspace.run(stage)
        words = ["train", stage.part, "--preset", stage.preset, "--data", self.data[stage.data]]
        words += ["--out", str(run), "--stage", stage.name]
        # A run that has begun goes on with what it began with, wherever that lies by now.
        init = _recorded_init(run) or self.workspace.init_for(stage)
        words += ["--init", str(init)] if init else []
        encoders = self.workspace.encoders_for(stage)
        words += ["--encoders", str(encoders)] if encoders else []
        words += ["--minutes", f"{stage.minutes:g}"] if stage.minutes else []
        words += ["--steps", str(stage.steps)] if stage.steps else []
        overrides = list(stage.overrides)
        if stage.generated:
            overrides += ["objective=generated", f"generated={self._sheets(stage)}"]
        for text in overrides:
            words += ["--set", text]
        return words

    def _drawing(self, stage: Stage, bundle: Path) -> list[str]:
        """The words of the command that draws what the stage learns from."""
        words = ["sheets", str(bundle), "--data", self.data[stage.data]]
        return [*words, "--out", str(self._sheets(stage)), *_SHEETS]

    def _sheets(self, stage: Stage) -> Path:
        return self.workspace.run(stage) / "sheets"

    def _run(self, stage: Stage, words: Sequence[str], *, trained: bool = False) -> bool:
        """Run ``python -m models`` to its end, its output in ``queue.log``; whether it succeeded.

        Raises Stopped when the queue was asked to stop meanwhile.
        """
        log = self.workspace.run(stage) / "queue.log"
        with log.open("ab") as output:
            output.write(f"$ python -m models {' '.join(words)}\n".encode())
            output.flush()
            self._child = subprocess.Popen(  # noqa: S603
                [*self.program, *words],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                pass_fds=[self._lock.fileno()],
                process_group=0,  # Ctrl-C comes to the queue, which passes it on
                preexec_fn=_end_with_parent,  # safe: the queue has one thread
            )
        if self._signal:  # it came before there was anybody to tell
            self._child.terminate()
        status = self._wait(stage, log)
        self._child = None
        if self._signal:
            self.progress.add(stage.name, "interrupted", trained=trained)
            raise Stopped(f"Stopped in {stage.name}; the same command goes on.", 128 + self._signal)
        if status:
            killed = f"killed by signal {-status}, as for lack of memory"
            reason = killed if status < 0 else _last_line(log)
            self.progress.add(stage.name, "failed", reason=reason, trained=trained)
            self._failed.add(stage.name)
            _say(f"{stage.name}: {words[0]} failed: {reason}")
        return status == 0

    def _wait(self, stage: Stage, log: Path) -> int:
        """The exit status of the process that runs now."""
        assert self._child is not None  # noqa: S101 (_run has just begun it)
        while True:
            try:
                return self._child.wait(_WATCHED_EVERY if self._watch else None)
            except subprocess.TimeoutExpired:
                if self._watch:
                    self._watch(stage, _last_line(log))

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        again, self._signal = bool(self._signal), number
        if self._child is not None:
            with suppress(ProcessLookupError):
                self._child.send_signal(signal.SIGKILL if again else signal.SIGTERM)


def _end_with_parent() -> None:
    """In the child, before it begins: SIGTERM when the queue dies, where the kernel offers that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _locked(path: Path) -> Any:
    """The open lock file. Raises QueueError when a queue holds it; waits for an orphan's end."""
    file = path.open("a+")
    deadline = time.monotonic() + _ORPHAN_WAIT
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            if _alive(holder) or time.monotonic() > deadline:
                file.close()
                raise QueueError(
                    f"Process {holder or 'unknown'} works through this plan, or a training that it "
                    f"began; two would do the same stage. Wait for it, or choose another --runs "
                    f"than {path.parent}."
                ) from None
            time.sleep(0.1)
    file.seek(0)
    file.truncate()
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _alive(pid: str) -> bool:
    if not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _recorded_init(run: Path) -> str:
    path = run / "options.json"
    if not (path.exists() and (run / "snapshot.pt").exists()):
        return ""
    with suppress(ValueError, AttributeError):  # the training itself says that it is damaged
        return str(json.loads(path.read_text(encoding="utf-8")).get("init", ""))
    return ""


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else "nothing was said"


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
