"""Methods that read no text: the answer says so, and a bundle of theirs needs no vocabulary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.app.conftest import mask_png, png
from tests.conftest import write_paper_bundle

WITHOUT_TEXT = ["Method 'blind' reads no text, so the text changed nothing."]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Beside the usual bundle one without words."""
    folder = tmp_path / "weights"
    write_paper_bundle(folder / "paper")
    write_paper_bundle(folder / "wordless", ("inpaint",))
    (folder / "wordless" / "vocabulary.json").unlink()
    path = folder / "wordless" / "bundle.json"
    raw = json.loads(path.read_text())
    spec = {"method": "blind", "size": 64, "reads_text": False, "classical": ["telea"]}
    path.write_text(json.dumps({**raw, "tasks": {"inpaint": spec}}))
    return folder


def ask(client: TestClient, **fields: str) -> Any:
    files = {"image": ("a.png", png()), "mask": ("m.png", mask_png())}
    return client.post("/inpaint", data={"text": "zorgly", **fields}, files=files)


def test_the_answer_says_that_the_text_has_no_influence(client: TestClient) -> None:
    job = ask(client, bundle="wordless").json()
    assert (job["input"]["method"], job["warnings"]) == ("blind", WITHOUT_TEXT)
    telea = ask(client, bundle="paper", method="telea").json()
    assert telea["warnings"] == ["Method 'telea' reads no text, so the text changed nothing."]
    assert ask(client, bundle="paper").json()["code"] == "no_known_words"


def test_models_say_which_methods_read_no_text(client: TestClient) -> None:
    bundles = {b["name"]: b["tasks"]["inpaint"] for b in client.get("/models").json()["bundles"]}
    assert bundles["wordless"]["methods_without_text"] == ["blind", "telea"]
    assert bundles["paper"]["methods_without_text"] == ["telea"]
    words = client.get("/models/wordless/vocabulary").json()
    assert words == {"bundle": "wordless", "tasks": {"inpaint": []}}


def test_there_is_nothing_to_explain(client: TestClient) -> None:
    refused = ask(client, bundle="wordless", explain="true")
    assert refused.status_code == 422
    assert refused.json()["detail"].endswith("nothing to explain; leave explain out.")


def test_other_bundles_words_are_still_suggested(client: TestClient) -> None:
    refused = client.post("/synthesize", json={"text": "zorgly", "bundle": "paper"})
    assert "wordless" not in refused.json()["detail"]
