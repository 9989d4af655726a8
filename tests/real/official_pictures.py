"""``python -m tests.real.official_pictures [TASK…]``: official PNG against HTTP, a row a task and
case.

Networks of the published sizes get weights by the rule of the parity tests, which holds them to the
authors' code, and are saved in the authors' layouts. The pictures that they make as published,
in float32 and unfolded, are compared with the PNGs of a service that has imported the files: once
with ``MMML_PRECISION=float32``, once as it is served. Ends with status 1 when a bar is missed:
float32 within 1/255; as served a PSNR of 45 dB and 99.9 % of the values within 4/255.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
from PIL import Image
from torch import nn

from models.checkpoints.importer import import_published
from models.damsm.inception import VggDetail
from tests.models.checkpoints.published import METHODS, PUBLISHED, Bytes, Case, Published, cases
from tests.models.parity import rule
from tests.ports import free_port

BUNDLE = "official"
_SEED = 1234
_START, _ANSWER = 300.0, 120.0  # seconds
_WORDS = ["<end>", *(f"word{k}" for k in range(1, 5450))]  # as many as CUB's captions have
_RULES: dict[str, rule.Scale] = {
    "manigan": rule.manigan,
    "tdanet": rule.tdanet,
    "efficient-t2i": rule.efficient_t2i,
}


@dataclass(frozen=True)
class Comparison:
    """Of two pictures: the largest difference, PSNR in dB, and the share of values within four."""

    largest: int
    psnr: float
    close: float

    @classmethod
    def of(cls, made: Bytes, expected: Bytes) -> Comparison:
        apart = np.abs(made.astype(int) - expected)
        psnr = 10 * np.log10(255**2 / max(float((apart**2).mean()), 1e-4))
        return cls(int(apart.max()), float(psnr), float((apart <= 4).mean()))


def by_rule(method: str, network: nn.Module) -> nn.Module:
    """Every tensor drawn by its published name."""
    own = network.state_dict()
    names = {key: key.replace("features.", "vgg.") for key in own}
    text = "encoder.weight" in own  # T2I's rule has none of its own
    scale = rule.manigan if text and method == "efficient-t2i" else _RULES[method]
    filled = rule.filled(
        network, _SEED, scale, rename=names if isinstance(network, VggDetail) else None
    )
    return rule.settle_spectral(filled)


def import_files(published: Published, weights: Path, tasks: Sequence[str]) -> None:
    """The files of the tasks' methods as one bundle in the folder ``weights``."""
    for method in (METHODS[task] for task in tasks):
        files = getattr(published, method.replace("-", "_"))()
        import_published(method, files, weights / BUNDLE)


def fetch(http: httpx.Client, case: Case, **fields: str) -> Bytes:
    """The PNG that the service returns for a case."""
    files = {name: (name, _png(pixels)) for name, pixels in case.pictures.items()}
    response = http.post(
        f"/{case.task}?wait=60",
        data={**case.fields, "bundle": BUNDLE, **fields},
        files=files or None,
        headers={"Accept": "image/png"},
    )
    if response.headers["content-type"] != "image/png":
        raise RuntimeError(f"{case.task}, {case.name}: {response.text}")
    with Image.open(io.BytesIO(response.content)) as picture:
        return cast("Bytes", np.asarray(picture.convert("RGB")))


def _png(pixels: Bytes) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[httpx.Client]:
    """``mmml serve`` with the weights in ``folder``, ready, until the end of the block."""
    port = free_port()
    command = [sys.executable, "-P", "-m", "mmml", "serve", "--port", str(port)]
    plain = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")}
    result = {
        "MMML_WEIGHTS_DIR": str(folder / "weights"),
        "MMML_CACHE_DIR": str(folder / "cache"),
        "MMML_MAX_BATCH": "1",  # one picture at a time is asked for
    }
    state = tempfile.mkdtemp(dir=folder)
    with (
        (folder / "serve.log").open("ab") as log,
        subprocess.Popen(
            [*command, "--state-dir", state, "--until-stdin-closes"],
            env=plain | result | settings,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        ) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=_ANSWER) as http,
    ):
        try:
            _wait_until_ready(http, process)
            yield http
        finally:
            process.terminate()


def _wait_until_ready(http: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if http.get("/readyz").status_code == 200:
                return
        time.sleep(0.2)
    raise RuntimeError("mmml serve did not become ready.")


def _compare(folder: Path, asked: list[Case], **settings: str) -> list[Comparison]:
    started = time.monotonic()
    with serving(folder, **settings) as http:
        found = [Comparison.of(fetch(http, case), case.expected) for case in asked]
    sys.stderr.write(f"{settings or 'as served'}: {time.monotonic() - started:.0f} s\n")
    return found


def _row(case: Case, in_float32: Comparison, served: Comparison) -> tuple[str, bool]:
    within = in_float32.largest <= 1 and served.psnr >= 45 and served.close >= 0.999
    cells: tuple[Any, ...] = (
        case.task,
        case.name,
        f"{in_float32.largest}/255",
        f"{served.psnr:.1f}",
        f"{100 * served.close:.2f}",
        f"{served.largest}/255",
        "yes" if within else "NO",
    )
    return f"| {' | '.join(cells)} |\n", within


def main(tasks: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="mmml-") as name:
        folder = Path(name)
        published = Published(folder / "files", _WORDS, PUBLISHED, by_rule)
        import_files(published, folder / "weights", tasks)
        asked = [case for task in tasks for case in cases(published, task, 256)]
        del published
        exact = _compare(folder, asked, MMML_PRECISION="float32")
        served = _compare(folder, asked)
    sys.stdout.write(
        "| task | case | float32: largest difference | as served: PSNR, dB | within 4/255, % "
        "| largest difference | within the bars |\n|---|---|---|---|---|---|---|\n"
    )
    rows = [_row(*row) for row in zip(asked, exact, served, strict=True)]
    sys.stdout.writelines(line for line, _ in rows)
    return 0 if all(within for _, within in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:] or tuple(METHODS)))
