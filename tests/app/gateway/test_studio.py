"""``/`` for browsers and for programs, and how the page may be kept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.gateway.routes.studio import FOLDER, content_digest, read_files

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def addresses(client: TestClient) -> list[str]:
    text = client.get("/", headers=BROWSER).text
    return sorted(set(re.findall(r'(?:src|href)="(/studio/[^"#]+)', text)))


def test_a_browser_gets_the_page(client: TestClient) -> None:
    response = client.get("/", headers=BROWSER)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["cache-control"] == "no-cache"
    assert "Accept" in response.headers["vary"]
    assert "{" not in re.sub(r"<style.*?</style>", "", response.text)
    again = client.get("/", headers={**BROWSER, "If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("accept", ["*/*", "", "text/*, */*;q=0.1"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_terminal_reads_what_is_where(client: TestClient, method: str, accept: str) -> None:
    response = client.request(method, "/", headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    assert response.headers["vary"] == "Accept"
    if method == "GET":
        assert "http://127.0.0.1:8000/docs " in response.text
        assert "curl 'http://127.0.0.1:8000/synthesize?wait=30'" in response.text
    else:
        assert not response.content


@pytest.mark.parametrize(
    "accept", ["application/json", "application/json, text/html;q=0.5", "application/json, */*"]
)
def test_a_program_is_told_that_there_is_nothing(client: TestClient, accept: str) -> None:
    response = client.get("/", headers={"Accept": accept})
    assert response.status_code == 404
    assert response.json()["detail"].startswith("There is nothing at this address.")


def test_the_pages_files_are_kept_for_good(client: TestClient) -> None:
    found = addresses(client)
    assert {Path(path).name for path in found} >= {"main.js", "base.css", "icons.svg"}
    for path in found:
        response = client.get(path)
        assert response.status_code == 200, path
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert response.headers["content-encoding"] == "gzip"
        assert response.content == (FOLDER / Path(path).name).read_bytes()
        plain = client.get(path, headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.content == response.content


def test_every_module_is_announced(client: TestClient) -> None:
    result = {Path(path).name for path in addresses(client)}
    assert result >= {path.name for path in FOLDER.glob("*.js")}


def test_a_file_of_another_version_is_not_kept(client: TestClient) -> None:
    response = client.get("/studio/000000000000/main.js")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fmain.py", "index.html"])
def test_other_files_are_not_given(client: TestClient, name: str) -> None:
    assert client.get(f"/studio/{content_digest(read_files())}/{name}").status_code == 404


def test_nothing_may_come_from_elsewhere(client: TestClient) -> None:
    for path in ("/", *addresses(client)):
        policy = client.get(path, headers=BROWSER).headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
    addressed = re.compile(rb"https?://(?!www\.w3\.org/)")
    for name, file in read_files().items():
        assert not addressed.search(file.content), name


def test_the_version_follows_from_the_files(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("1")
    first = content_digest(read_files(tmp_path))
    (tmp_path / "a.js").write_text("2")
    assert content_digest(read_files(tmp_path)) != first


def test_models_tell_how_texts_are_cut(client: TestClient) -> None:
    task = client.get("/models").json()["bundles"][0]["tasks"]["synthesize"]
    assert task["tokenizer"] == "regexp"
