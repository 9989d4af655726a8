"""Checkpoints in their authors' layouts, imported and asked for over HTTP: the PNG is the picture
that the networks make as published.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import WORDS
from tests.models.checkpoints.published import METHODS, SMALL, Published, cases
from tests.real.conftest import Service
from tests.real.official_pictures import Comparison, by_rule, fetch, import_files

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


def test_imported_weights_give_their_authors_pictures(service: Service, tmp_path: Path) -> None:
    published = Published(tmp_path / "files", WORDS, SMALL, by_rule)
    import_files(published, service.weights, tuple(METHODS))
    asked = [case for task in METHODS for case in cases(published, task, 32)]
    service.start(MMML_PRECISION="float32")
    service.ready()
    for case in asked:
        assert len(np.unique(case.expected)) > 20, "a plain picture shows nothing"
        made = fetch(service.http, case)
        assert Comparison.of(made, case.expected).largest <= 1, (case.task, case.name)
        if case.task == "inpaint":
            known = case.pictures["mask"] == 0
            assert (made[known] == case.pictures["image"][known]).all()
        if case.task != "synthesize":
            fitted = fetch(service.http, case, fidelity="photo")
            blended = Comparison.of(fitted, case.expected).largest > 1
            assert blended == (case.task == "inpaint")  # all of an edit's change arrives
