"""How long one picture takes from request to answer: of every task of every shipped bundle."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from pathlib import Path
from typing import Any

from benchmarks.bench.contest import Say
from benchmarks.load.connections import Server
from benchmarks.load.exchanges import Fields, Refused, picture
from benchmarks.load.report import percentiles
from benchmarks.peers.pipelines import SHIPPED, SUBJECTS
from benchmarks.service.stack import running
from jobs.requests import TASKS
from tests.chaos.processes import ROOT

PIXELS = 256  # of the answers
_WARM = 5
_BIRD = "a bird with a red crown, a yellow belly and blue wings"
_FLOWER = "this flower has red petals and a yellow center"


def served() -> list[tuple[str, str]]:
    """Bundle and task."""
    manifests = {
        path.parent.name: json.loads(path.read_text()) for path in SHIPPED.glob("*/bundle.json")
    }
    return [(b, t) for b, found in sorted(manifests.items()) for t in TASKS if t in found["tasks"]]


def _asked(bundle: str, task: str) -> Fields:
    """One picture of 256×256 pixels; the rest is left to the bundle."""
    text = _FLOWER if bundle == "flowers" else _BIRD
    photo = base64.b64encode((ROOT / "docs" / "examples" / "photo.jpg").read_bytes()).decode()
    images = {"image": photo, "mask": [62, 108, 120, 98]}
    names = [field.name for field in TASKS[task].images]
    return {"text": text, "bundle": bundle, "size": PIXELS} | {n: images[n] for n in names}


def bundles(folder: Path, count: int, say: Say) -> dict[str, Any]:
    """Milliseconds of ``count`` requests one after the other, by bundle and task; of a service as
    it is by default, with a torch thread for each core.
    """
    threads = str(os.cpu_count() or 1)
    own = {"MMML_THREADS": threads, "OMP_NUM_THREADS": threads, "MMML_WEIGHTS_DIR": str(SHIPPED)}
    found: dict[str, Any] = {}
    with running(folder / "bundles", SUBJECTS["demo"], 1, **own) as service:
        for bundle, task in served():
            times = asyncio.run(_times(service.url, task, _asked(bundle, task), count))
            found[f"{bundle} {task}"] = times
            say(f"{bundle}: {task} p50 {times['p50']:.0f} ms, p95 {times['p95']:.0f} ms")
    return {"times": found}


async def _times(url: str, task: str, asked: Fields, count: int) -> dict[str, float]:
    server, times = Server(url), []
    for seed in range(count + _WARM):
        began = time.perf_counter()
        data = picture(await server.post(f"/{task}?wait=60", {**asked, "seed": seed}, "image/png"))
        times.append(1000 * (time.perf_counter() - began))
        if int.from_bytes(data[16:20], "big") != PIXELS:
            raise Refused(f"{task} answers a picture that is not {PIXELS} pixels wide")
    server.close()
    return percentiles(times[_WARM:], most=95)
