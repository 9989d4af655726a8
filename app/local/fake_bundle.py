"""``mmml serve --fake``: the service without networks, for the tests of other programs. Everything
but the pictures is real; see :mod:`workers.fake`.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.local.broker import LocalServiceError, configured_redis_url, make_private
from app.local.supervisor import temporary_environment
from jobs.captions import END
from jobs.job import ErrorCode
from jobs.requests import TASKS

FAKE_WORKER_MODULE = "workers.fake"
_COLOURS = "red orange yellow green blue purple violet pink brown grey gray black white colour"
_THINGS = """
animal beak bear belly bill bird birds boat body branch breast building car cat chair city cloud
clouds crown dog eye eyes face feathers field fish flower flowers food forest glass grass ground
head horse house kitchen lake leaf leaves man mountain mountains people person petal petals
photo picture plant river road rock room sea sheep sky snow street sun table tail train tree
trees wall water window wing wings woman
"""
_OTHERS = """
a an and are at back big bright dark down front has have her his in is it its large left little
long middle near of old on one over picture right round short side sitting small some standing
that the their there these this to top two under up very with young
"""
_DIRECTIVES = f"fail partial slow {' '.join(ErrorCode)} {' '.join(map(str, range(61)))}"
_WORDS = sorted({*_COLOURS.split(), *_THINGS.split(), *_OTHERS.split(), *_DIRECTIVES.split()})
_SPEC = {
    "method": "fake",
    "size": 256,
    "max_words": 40,
    "tokenizer": "regexp",
    "vocabulary": "vocabulary.json",
}
# What explanations need of a bundle beside the tasks.
_ENCODERS = [part for task in TASKS.values() for part in task.explained_by or ()]


@contextlib.contextmanager
def fake_environment(state_dir: Path | None) -> Iterator[Path]:
    """The state folder of a service of fakes, new and erased at the end unless one is given. The
    environment then names its bundles: those of ``MMML_WEIGHTS_DIR`` if it is set, whose words and
    methods are as they are, or else a bundle "fake".
    """
    if configured_redis_url():
        raise LocalServiceError(
            "MMML_REDIS_URL is set, and a worker of fakes must not take real jobs. Unset it."
        )
    with tempfile.TemporaryDirectory(prefix="mmml-fake-") as folder:
        state = state_dir or Path(folder)
        make_private(state)
        write_fake_bundle(state / "weights" / "fake")
        weights = os.environ.get("MMML_WEIGHTS_DIR") or str(state / "weights")
        blobs = (state / "blobs").absolute().as_uri()
        with temporary_environment(MMML_WEIGHTS_DIR=weights, MMML_STORAGE_URL=blobs):
            yield state


def write_fake_bundle(folder: Path) -> None:
    """What a gateway reads of a bundle that offers every task."""
    folder.mkdir(parents=True, exist_ok=True)
    described = {
        "format": 1,
        "name": folder.name,
        "domain": "drawings with the text on them, for tests",
        "licence": "Apache-2.0",
        "tasks": dict.fromkeys([*TASKS, *_ENCODERS], _SPEC),
    }
    (folder / "bundle.json").write_text(json.dumps(described))
    (folder / "vocabulary.json").write_text(json.dumps({"words": [END, *_WORDS]}))
