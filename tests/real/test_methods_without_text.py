"""Inpainting that reads no text, from published files to the PNG of the service."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jobs.images import encode
from models.checkpoints.importer import import_published
from tests.models.checkpoints.published import Case, a_photo, holes, signed, truncated
from tests.models.inpainting.without_text import METHODS
from tests.real.conftest import Service
from tests.real.official_pictures import fetch

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


def test_imported_weights_give_their_authors_pictures(service: Service, tmp_path: Path) -> None:
    published = {method: make(tmp_path) for method, make in METHODS.items()}
    for method, made in published.items():
        import_published(method, made.files, service.weights / method)
    service.start(MMML_PRECISION="float32")
    service.ready()
    for method, made in published.items():
        for seed, (shape, hole) in enumerate(holes(made.size).items()):
            photo = a_photo(made.size, seed)
            mask = np.where(hole, 255, 0).astype(np.uint8)
            known = torch.from_numpy(~hole).float()[None, None]
            expected = truncated(made.run(signed(photo), known, seed))
            assert len(np.unique(expected[hole])) > 20, "a plain fill shows nothing"
            fields = {"text": "not a word of this", "seed": str(seed), "method": method}
            case = Case("inpaint", shape, fields, {"image": photo, "mask": mask}, expected)
            found = fetch(service.http, case, bundle=method)
            assert np.abs(found.astype(int) - expected).max() <= 1, (method, shape)
            assert (found[~hole] == photo[~hole]).all()
    check_samples(service)


def check_samples(service: Service) -> None:
    """Pictures of one job of PICNet differ, and its seed makes them again."""
    mask = np.where(holes(64)["centre"], 255, 0).astype(np.uint8)
    pictures = {"image": a_photo(64, 0), "mask": mask}
    files = {name: ("a.png", encode(Image.fromarray(x))) for name, x in pictures.items()}
    data = {"text": "x", "bundle": "picnet", "count": "3", "seed": "5"}
    job = service.http.post("/inpaint?wait=60", data=data, files=files).json()
    assert job["status"] == "succeeded", job
    assert job["warnings"] == ["Method 'picnet' reads no text, so the text changed nothing."]
    urls = [image["url"] for image in job["images"]]
    assert len({service.http.get(url).content for url in urls}) == 3
    again = service.http.post("/inpaint?wait=60", data=data, files=files).json()
    shas = [[image["sha256"] for image in each["images"]] for each in (job, again)]
    assert shas[0] == shas[1]
