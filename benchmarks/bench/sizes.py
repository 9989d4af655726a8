"""How the cost of a job grows with the size of its photo and with its number of pictures."""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from benchmarks.bench.contest import Say
from benchmarks.load.exchanges import TEXT
from benchmarks.peers.pipelines import SUBJECTS
from benchmarks.service.stack import running

SIDES = (64, 256, 1024, 4096)
COUNTS = (1, 2, 4, 8, 16)


def sizes(folder: Path, rounds: int, say: Say) -> dict[str, Any]:
    """Milliseconds of one job of the demo bundle, alone: inpainting by the photo's side in pixels
    (a quarter of each side is the hole), synthesis by number of pictures.
    """
    with (
        running(folder / "sizes", SUBJECTS["demo"], MMML_MAX_WAIT="300") as service,
        httpx.Client(base_url=service.url, timeout=300) as client,
    ):
        photos = {side: photo(side) for side in SIDES}
        inpaint = {
            str(side): _median(rounds, partial(_inpaint, client, side, photos[side]))
            for side in SIDES
        }
        say(f"sizes: inpaint {_shown(inpaint)}")
        count = {str(n): _median(rounds, partial(_synthesize, client, n)) for n in COUNTS}
        say(f"sizes: synthesize {_shown(count)}")
    return {"inpaint": inpaint, "count": count}


def photo(side: int) -> bytes:
    """A JPEG with as much detail as a photo's: a gradient and grain."""
    ramp = np.linspace(40, 200, side, dtype=np.float32)
    grain = np.random.default_rng(1).normal(0, 8, (side, side, 3)).astype(np.float32)
    pixels = (ramp[:, None, None] + ramp[None, :, None]) / 2 + grain
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _inpaint(client: httpx.Client, side: int, data: bytes) -> float:
    place, extent = side * 3 // 8, side // 4
    fields = {"text": TEXT, "seed": "1", "mask": f"{place},{place},{extent},{extent}"}
    files = {"image": ("photo.jpg", data, "image/jpeg")}
    return _timed(lambda: client.post("/inpaint?wait=300", data=fields, files=files))


def _synthesize(client: httpx.Client, count: int) -> float:
    fields = {"text": TEXT, "seed": 1, "count": count}
    return _timed(lambda: client.post("/synthesize?wait=300", json=fields))


def _timed(ask: Callable[[], httpx.Response]) -> float:
    began = time.perf_counter()
    answer = ask()
    spent = 1000 * (time.perf_counter() - began)
    if answer.status_code != 200 or answer.json()["status"] != "succeeded":
        raise RuntimeError(f"no picture but {answer.status_code}: {answer.text[:300]}")
    return spent


def _median(rounds: int, once: Callable[[], float]) -> float:
    once()
    return statistics.median(once() for _ in range(rounds))


def _shown(row: dict[str, float]) -> str:
    return ", ".join(f"{key}: {value:.0f} ms" for key, value in row.items())
