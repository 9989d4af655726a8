"""Requests that make and fill batches, which must be accepted."""

from __future__ import annotations

from typing import Any

import httpx


def created(client: httpx.Client, **body: Any) -> str:
    response = client.post("/batches", json=body)
    assert response.status_code == 201, response.text
    batch = str(response.json()["id"])
    assert response.headers["location"] == f"/batches/{batch}"
    return batch


def joined(client: httpx.Client, batch: str, **fields: Any) -> str:
    response = client.post("/synthesize", json={"text": "a bird", "batch": batch, **fields})
    assert response.status_code == 202, response.text
    assert response.json()["batch"] == batch
    return str(response.json()["id"])
