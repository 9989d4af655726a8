"""Input that nobody foresaw: schemathesis with all of its checks on every operation, malformed
uploads, and properties of captions, masks, forms and files.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from tests.app.gateway.malformed import UPLOADS
from tests.app.gateway.schema_cases import Cases, Tally, makes_jobs, worked
from tests.chaos import target
from tests.chaos.faults import Family, Fault, Finding
from tests.chaos.target import Target

_CASES = 2000  # per operation
_QUICK = 60
_PROPERTIES = ["tests/app/gateway/test_properties.py", "tests/jobs/test_captions.py"]
# No limit but those on single requests, and no waiting for jobs that nobody works on.
_SETTINGS = {
    "RATE_SUBMIT": "100000/second",
    "RATE_READ": "100000/second",
    "RATE_WRONG_KEYS": "100000/second",
    "MAX_QUEUE": "10000000",
    "MAX_ACTIVE": "10000000",
    "MAX_WAIT": "0.02",
}
_ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def opened(_folder: Path, quick: bool) -> Iterator[Target]:
    with target.opened(_SETTINGS) as made:
        made.store.heartbeat("worker", {"device": "cpu"}, 24 * 3600)
        made.count = _QUICK if quick else _CASES
        yield made


def schema(target: Target) -> Finding:
    """Every operation of the OpenAPI document."""
    cases = Cases(target.url, target.mine, _real(target))
    tallies: dict[str, Tally] = {}
    for operation in cases.operations():
        started = time.monotonic()
        work = worked(target.url, target.mine, target.finish)
        with work if makes_jobs(operation) else nullcontext():
            tally = tallies[operation.label] = cases.run(operation, target.count)
        _say(f"{operation.label}: {_describe(tally)}, {time.monotonic() - started:.0f} s")
    findings = {k: v for tally in tallies.values() for k, v in tally.findings.items()}
    for what, how in findings.items():
        _say(f"  {what}\n    {how}")
    total = sum(tally.cases for tally in tallies.values())
    least = min(tally.cases for tally in tallies.values())
    note = f"{total} requests to {len(tallies)} operations, {least} at least to each"
    few = [f"{n} had {t.cases} cases" for n, t in tallies.items() if t.cases < target.count]
    return _judged(target, *findings, *few, notes=[note])


def _real(target: Target) -> dict[str, list[dict[str, str]]]:
    """Jobs in every state, for the operations that take an id; and the bundle."""
    queued = target.a_job(target.mine)
    done, gone = (target.a_job(target.mine, finished=True) for _ in range(2))
    target.http.delete(f"/jobs/{gone}").raise_for_status()
    others = target.a_job(target.theirs, finished=True)
    jobs = {
        "GET /jobs/{job_id}": [queued, done, gone, others],
        "GET /jobs/{job_id}/events": [done, gone, others],
        "GET /jobs/{job_id}/images/{index}": [queued, done, gone, others],
        "POST /jobs/{job_id}/cancel": [target.a_job(target.mine), done, gone, others],
        "DELETE /jobs/{job_id}": [target.a_job(target.mine), gone, others],
    }
    real = {label: [{"job_id": job} for job in ids] for label, ids in jobs.items()}
    return real | {"GET /models/{bundle}/vocabulary": [{"bundle": "paper"}]}


def _describe(tally: Tally) -> str:
    statuses = ", ".join(f"{n}× {status}" for status, n in sorted(tally.statuses.items()))
    return f"{tally.cases} cases ({statuses})"


def uploads(target: Target) -> Finding:
    """The list of malformed uploads."""
    broken, statuses, slowest = [], Counter[int](), 0.0
    for upload in UPLOADS:
        started = time.monotonic()
        answer = target.http.post(upload.path, **upload.request)
        slowest = max(slowest, time.monotonic() - started)
        statuses[answer.status_code] += 1
        if answer.status_code != upload.status or upload.words not in answer.text.replace(
            '\\"', '"'
        ):
            broken.append(f"{upload.name}: {answer.status_code} {answer.text[:200]}")
    refused = sum(n for status, n in statuses.items() if status >= 400)
    note = f"{len(UPLOADS)} uploads, {refused} refused, slowest answer {slowest:.1f} s"
    return _judged(target, *broken, notes=[note])


def properties(target: Target) -> Finding:
    """Hypothesis, in a process of its own, on the fakes."""
    profile = "chaos" if target.count >= _CASES else "quick"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += [f"--hypothesis-profile={profile}", "--timeout=1800", *_PROPERTIES]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines() or ["no output"]
    broken = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    if done.returncode and not broken:
        broken = [lines[-1]]
    return _judged(target, *broken, notes=[f"hypothesis, profile {profile}: {lines[-1]}"])


def _judged(target: Target, *broken: str, notes: list[str]) -> Finding:
    """What else must hold: the gateway is there, and has met nothing that it did not expect."""
    found = list(broken)
    if not target.alive():
        found.append("the gateway has died")
    elif target.http.get("/healthz").status_code != 200:
        found.append("the gateway is not well")
    log = target.log()
    if "Traceback" in log or "unexpected error" in log:
        found.append(f"the gateway's log holds an error: {log[log.find('Traceback') :][:1500]}")
    return Finding(broken=tuple(found), notes=tuple(notes))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


FAMILY = Family(
    "fuzz",
    opened,
    [
        Fault(
            "schemathesis, all checks, 2,000 cases per operation",
            "no 5xx, no schema violation, no crash",
            schema,
        ),
        Fault("malformed uploads", "the status and the words of each; no 5xx, no crash", uploads),
        Fault("hypothesis on masks, captions, forms, files", "every property holds", properties),
    ],
)
