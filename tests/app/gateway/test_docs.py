"""``/docs`` runs nothing of another host."""

from __future__ import annotations

import re

from fastapi.testclient import TestClient


def test_the_page_and_its_files_are_our_own(client: TestClient) -> None:
    page = client.get("/docs")
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(named) == 3
    answers = [page, *map(client.get, named)]
    for answer, kind in zip(answers, ("html", "css", "javascript", "javascript"), strict=True):
        assert answer.headers["content-type"].startswith(f"text/{kind}")
        assert answer.headers["content-security-policy"].startswith("default-src 'self'; ")
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script>|<style|\son\w+=", page.text)
    assert client.get("/docs/other.js").status_code == client.get("/redoc").status_code == 404
