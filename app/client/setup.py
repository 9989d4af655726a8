"""How the clients' HTTP connections are set up."""

from __future__ import annotations

import os
from typing import TypedDict

import httpx

from app.client.requests import Call

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT = 300.0  # seconds for which a job is waited for
PATIENCE = 30.0  # seconds for which a service that went away is waited for
_NETWORK = httpx.Timeout(60.0, connect=5.0)  # longer than a long poll


class HttpSetup(TypedDict):
    """Keyword arguments of httpx.Client and httpx.AsyncClient."""

    base_url: str
    headers: dict[str, str]
    timeout: httpx.Timeout


def address(url: str | None) -> str:
    """Where the service is: as given, else as the environment's MMML_URL says."""
    return url or os.environ.get("MMML_URL") or DEFAULT_URL


def http_setup(url: str, api_key: str | None) -> HttpSetup:
    """``api_key`` is taken from the environment's MMML_API_KEY when it is not given."""
    key = api_key or os.environ.get("MMML_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return {"base_url": url, "headers": headers, "timeout": _NETWORK}


def prepared(http: httpx.Client | httpx.AsyncClient, call: Call) -> httpx.Request:
    """The call as a request of ``http``."""
    return http.build_request(call.method, call.path, **call.options)
