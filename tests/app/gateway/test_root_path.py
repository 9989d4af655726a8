"""Below a path of a proxy (``MMML_ROOT_PATH``)."""

from __future__ import annotations

import httpx
import pytest
from pydantic import ValidationError

from app.gateway.server import create_app
from app.gateway.services import Services
from app.settings import GatewaySettings
from mmml.requests import ApiRequest, build_request, client_options
from tests.services import LocalClient


@pytest.mark.parametrize(
    ("given", "meant"), [("/images/", "/images"), ("a/b", "/a/b"), ("/", ""), ("", "")]
)
def test_a_path_is_written_in_one_way(given: str, meant: str) -> None:
    assert GatewaySettings(root_path=given).root_path == meant


@pytest.mark.parametrize("given", ["https://host/images", "/im ages", "/images?x", "//a//b"])
def test_other_values_are_refused(given: str) -> None:
    with pytest.raises(ValidationError, match="is no path"):
        GatewaySettings(root_path=given)


@pytest.mark.parametrize("passed_on", ["/images", ""])
def test_a_proxy_may_pass_the_path_on_or_not(services: Services, passed_on: str) -> None:
    services.settings = services.settings.model_copy(update={"root_path": "/images"})
    with LocalClient(create_app(services.settings, services)) as client:
        made = client.post(f"{passed_on}/synthesize", json={"text": "a bird"})
        assert made.status_code == 202
        location = made.headers["location"]
        assert location == f"/images/jobs/{made.json()['id']}"
        assert client.get(location.removeprefix("/images")).json()["links"]["self"] == location
        refused = client.get(f"{passed_on}/v1/nothing")
        assert refused.json()["error"]["code"] == "not_found"  # in the form of that API
        assert client.get(f"{passed_on}/imagesque").status_code == 404


def test_the_client_follows_named_addresses_below_its_url() -> None:
    with httpx.Client(**client_options("http://127.0.0.1/models", None)) as http:
        for path, named, url in [
            ("/models", False, "http://127.0.0.1/models/models"),
            ("/models/x/vocabulary", False, "http://127.0.0.1/models/models/x/vocabulary"),
            ("/models/jobs/1/images/0", True, "http://127.0.0.1/models/jobs/1/images/0"),
            ("/jobs/1/images/0", True, "http://127.0.0.1/models/jobs/1/images/0"),
        ]:
            assert build_request(http, ApiRequest("GET", path, named=named)).url == url


@pytest.mark.parametrize("passed_on", ["/images", ""])
def test_a_slash_too_many_leads_on_below_the_path(services: Services, passed_on: str) -> None:
    services.settings = services.settings.model_copy(update={"root_path": "/images"})
    with LocalClient(create_app(services.settings, services)) as client:
        moved = client.get(f"{passed_on}/models/?x=1", follow_redirects=False)
        assert moved.status_code == 307
        assert httpx.URL(moved.headers["location"]).raw_path == b"/images/models?x=1"
