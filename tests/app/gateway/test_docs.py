"""``/docs`` and ``/redoc`` run nothing of another host."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

STYLES = "'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"  # of an empty text


@pytest.mark.parametrize(
    ("path", "kinds"),
    [("/docs", ("html", "css", "javascript", "javascript")), ("/redoc", ("html", "javascript"))],
)
def test_the_page_and_its_files_are_our_own(
    client: TestClient, path: str, kinds: tuple[str, ...]
) -> None:
    page = client.get(path)
    named = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
    answers = [page, *map(client.get, named)]
    assert [a.headers["content-type"].split(";")[0] for a in answers[: len(kinds)]] == [
        f"text/{kind}" for kind in kinds
    ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; ")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script>|<style|\son\w+=", page.text)


def test_inline_styles_are_empty_ones(client: TestClient) -> None:
    policies = {p: client.get(p).headers["content-security-policy"] for p in ("/docs", "/redoc")}
    assert "style-src" not in policies["/docs"]
    assert policies["/redoc"].endswith(f"; style-src {STYLES}")


def test_other_files_are_not_given(client: TestClient) -> None:
    assert client.get("/docs/other.js").status_code == 404
