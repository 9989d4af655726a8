"""How long one picture takes from request to answer: of every task of every shipped bundle, and of
a large photo.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.bench.contest import Say
from benchmarks.load.connections import Server
from benchmarks.load.exchanges import Fields, Refused, checked
from benchmarks.load.report import percentiles
from benchmarks.peers.pipelines import SHIPPED, SUBJECTS
from benchmarks.service.stack import running
from jobs.requests import TASKS
from tests.chaos.processes import ROOT

PIXELS = 256  # of the answers
LARGE = (4000, 3000)  # of the large photo and its answers
_WARM = 5
_PHOTO = ROOT / "docs" / "examples" / "photo.jpg"
_BOX = (62, 108, 120, 98)  # of 256×256 pixels
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
    images = _images(task, _PHOTO.read_bytes(), _BOX)
    return {"text": text, "bundle": bundle, "size": PIXELS, **images}


def _asked_large(task: str) -> Fields:
    """An edit or a fill of a photo of 12 megapixels by ``cub``, at its own size and as a JPEG."""
    buffer = io.BytesIO()
    with Image.open(_PHOTO) as image:
        image.resize(LARGE, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    box = tuple(value * LARGE[0] // PIXELS * 3 // 4 for value in _BOX)
    images = _images(task, buffer.getvalue(), box)
    return {"text": _BIRD, "bundle": "cub", "format": "jpeg", **images}


def _images(task: str, photo: bytes, box: Sequence[int]) -> Fields:
    """Those that the task takes."""
    images = {"image": base64.b64encode(photo).decode(), "mask": [*box]}
    return {field.name: images[field.name] for field in TASKS[task].images}


def bundles(folder: Path, count: int, say: Say) -> dict[str, Any]:
    """Milliseconds of ``count`` requests one after the other, by bundle and task; of a service as
    it is by default, with a torch thread for each core.
    """
    threads = str(os.cpu_count() or 1)
    own = {"MMML_THREADS": threads, "OMP_NUM_THREADS": threads, "MMML_WEIGHTS_DIR": str(SHIPPED)}
    found: dict[str, Any] = {}
    with running(folder / "bundles", SUBJECTS["demo"], 1, **own) as service:
        for bundle, task in served():
            asked = _asked(bundle, task)
            times = asyncio.run(_times(service.url, task, asked, count, "png", PIXELS))
            found[f"{bundle} {task}"] = times
        for task in ("manipulate", "inpaint"):
            asked, few = _asked_large(task), max(count // 3, 1)
            times = asyncio.run(_times(service.url, task, asked, few, "jpeg", LARGE[0]))
            found[f"cub {task}, 12 megapixels, JPEG"] = times
    for name, times in found.items():
        say(f"{name}: p50 {times['p50']:.0f} ms, p95 {times['p95']:.0f} ms")
    return {"times": found}


async def _times(
    url: str, task: str, asked: Fields, count: int, kind: str, width: int
) -> dict[str, float]:
    server, times = Server(url), []
    for seed in range(count + _WARM):
        began, fields = time.perf_counter(), {**asked, "seed": seed}
        answer = await server.post(f"/{task}?wait=60", fields, f"image/{kind}")
        times.append(1000 * (time.perf_counter() - began))
        if Image.open(io.BytesIO(checked(answer, 200).body)).width != width:
            raise Refused(f"{task} answers a picture that is not {width} pixels wide")
    server.close()
    return percentiles(times[_WARM:], most=95)
