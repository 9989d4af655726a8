"""The public ``openai`` client on the whole service, and docs/openai.md as it stands."""

from __future__ import annotations

import asyncio
import base64
import io
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from openai import AsyncOpenAI, AuthenticationError
from PIL import Image

from app.gateway.api_keys import generate_key
from tests.app.gateway.openai.conftest import hole_png
from tests.real.conftest import Service

pytestmark = [pytest.mark.real, pytest.mark.slow]
PAGE = Path(__file__).parents[2] / "docs" / "openai.md"


def examples(base_url: str) -> str:
    """All Python of the page, for this instance."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 6
    return "\n".join(blocks).replace("http://127.0.0.1:8000", base_url)


def test_the_page_runs_as_it_stands(service: Service, tmp_path: Path) -> None:
    service.start()
    service.ready()
    script = examples(str(service.http.base_url).rstrip("/"))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + service.logs()
    said = done.stdout.splitlines()
    assert said[0].startswith("7 [] ")
    assert said[1].startswith("1536x1024 ['The image was made as ")
    size = said[2]
    assert said[3:5] == [f"image_generation.completed {size}"] * 2
    assert said[5] == "tiny ['synthesize', 'manipulate', 'inpaint']"
    for name in ("bird-0.png", "bird-1.png", "yellow.png"):
        with Image.open(tmp_path / name) as picture:
            assert f"{picture.width}x{picture.height}" == size


async def edits(client: AsyncOpenAI, photo: bytes) -> None:
    """Concurrently; what the mask does not open stays as it was."""
    changed, filled = await asyncio.gather(
        client.images.edit(image=[("a.png", photo)], prompt="a red bird"),
        client.images.edit(image=("a.png", photo), mask=("m.png", hole_png()), prompt="a red bird"),
    )
    assert changed.size == filled.size == "40x30"
    assert filled.data
    with (
        Image.open(io.BytesIO(base64.b64decode(filled.data[0].b64_json or ""))) as after,
        Image.open(io.BytesIO(photo)) as before,
    ):
        known = (20, 0, 40, 30)
        assert after.crop(known).tobytes() == before.crop(known).tobytes()
    stream = await client.images.edit(image=("a.png", photo), prompt="a bird", stream=True)
    assert [event.type async for event in stream] == ["image_edit.completed"]


async def with_keys(base_url: str, key: str, photo: bytes) -> None:
    async with AsyncOpenAI(base_url=f"{base_url}/v1", api_key=key) as client:
        await edits(client, photo)
        made = await client.images.generate(prompt="a bird", response_format="url")
        assert made.data
        url = made.data[0].url or ""
        assert key not in url
        async with httpx.AsyncClient() as anybody:
            answer = await anybody.get(url)
            assert answer.headers["content-type"] == "image/png"
    async with AsyncOpenAI(base_url=f"{base_url}/v1", api_key="sk-other") as stranger:
        with pytest.raises(AuthenticationError):
            await stranger.images.generate(prompt="a bird")


def test_the_asynchronous_client_with_keys(service: Service) -> None:
    key = generate_key()
    service.start(MMML_REQUIRE_KEYS="true", MMML_FIRST_KEY=key)
    service.ready()
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((40, 30)).convert("RGB").save(buffer, "PNG")
    asyncio.run(with_keys(str(service.http.base_url).rstrip("/"), key, buffer.getvalue()))
