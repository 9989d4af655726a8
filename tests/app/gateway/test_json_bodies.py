"""Small JSON bodies, of batches and of administrators."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.gateway.services import Services
from tests.app.gateway.conftest import bearer, key_of, problem


@pytest.mark.parametrize("path", ["/batches", "/admin/purge"])
def test_small_bodies_are_read_once_the_caller_is_known(
    keyed: Services, http: TestClient, path: str
) -> None:
    sent: dict[str, Any] = {"headers": {"Content-Type": "application/json"}}
    problem(http.post(path, content=b'{"webhook":', **sent), 401)  # not a word of the body
    operator = bearer(key_of(keyed, "operator", {"admin", "synthesize"}))
    sent["headers"] |= operator
    found = problem(http.post(path, content=b'{"webhook":', **sent), 400)
    assert found["detail"].startswith("The body is not valid JSON;")
    many = b'{"webhook": [' + b"[]," * 30_000 + b"[]]}"  # in large: minutes of the event loop
    assert "far more values" in problem(http.post(path, content=many, **sent), 400)["detail"]
    large = b'{"webhook": "' + b"x" * 200_000 + b'"}'
    found = problem(http.post(path, content=large, **sent), 413)
    assert "larger than the 128 kB" in found["detail"]
    found = problem(http.post(path, data={"webhook": "x"}, headers=operator), 415)
    assert "Send application/json" in found["detail"]
    found = problem(http.post(path, json={"webhook": 1, "owner": 1}, headers=operator), 422)
    assert {each["field"] for each in found["errors"]} == {"webhook", "owner"}


def test_nothing_is_purged_without_a_body(keyed: Services, http: TestClient) -> None:
    key = bearer(key_of(keyed, "operator", {"admin"}))
    problem(http.post("/admin/purge", headers=key), 415)
    assert http.post("/admin/purge", json={}, headers=key).json() == {"canceled": 0}
