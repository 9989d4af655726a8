"""The asynchronous client does what the blocking one does, and offers the same."""

from __future__ import annotations

import inspect
import zipfile
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from app.gateway.services import Services
from mmml import AsyncClient, AsyncJob, Client, Job, JobFailed, Refused
from tests.app.conftest import png, succeed

Open = Callable[[], AsyncClient]


def test_wait_and_save(open_async: Open, work: Callable[..., None], tmp_path: Path) -> None:
    async def run() -> None:
        async with open_async() as mmml:
            work(2)
            job = await mmml.synthesize("a red bird", count=2, seed=5)
            assert await job.wait() is job
            assert [image.size for image in job.images] == [(20, 20)] * 2
            assert [p.name for p in await job.save(tmp_path / "b.png")] == ["b.png", "b-1.png"]

    anyio.run(run)


def test_events_as_they_happen(
    open_async: Open, services: Services, later: Callable[..., object]
) -> None:
    async def run() -> None:
        async with open_async() as mmml:
            job = await mmml.manipulate(png(), "a red bird")
            later(0.5, succeed, services, job.id)
            kinds = [event.kind async for event in job.events()]
            assert (kinds[0], kinds[-1], job.status) == ("status", "final", "succeeded")

    anyio.run(run)


def test_a_batch_as_one_file(
    open_async: Open, services: Services, later: Callable[..., object], tmp_path: Path
) -> None:
    async def run() -> None:
        async with open_async() as mmml:
            batch = await mmml.create_batch()
            job = await mmml.synthesize("a red bird", batch=batch)
            later(0.5, succeed, services, job.id)
            await mmml.save_batch(batch, tmp_path / "birds.zip")
            assert (await mmml.batch(batch))["status"] == "ended"
            names = zipfile.ZipFile(tmp_path / "birds.zip").namelist()
            assert names == ["0001-0.png", "manifest.json"]

    anyio.run(run)


def test_errors_tell_apart(open_async: Open) -> None:
    async def run() -> None:
        async with open_async() as mmml:
            with pytest.raises(Refused, match="knows no word"):
                await mmml.synthesize("qwertz")
            job = await mmml.inpaint(png(), (1, 1, 9, 9), "a bird")
            await job.cancel()
            with pytest.raises(JobFailed, match="canceled"):
                await job.wait()
            await job.delete()
            with pytest.raises(Refused, match="deleted"):
                await mmml.job(job.id)

    anyio.run(run)


def test_lists_models_and_secret(open_async: Open) -> None:
    async def run() -> None:
        async with open_async() as mmml:
            job = await mmml.synthesize("a bird")
            assert [j["id"] for j in await mmml.jobs()] == [job.id]
            assert (await mmml.models())["defaults"]["synthesize"] == "paper"
            assert (await mmml.webhook_secret()).startswith("whsec_")
            assert (await job.refresh()).status == "queued"

    anyio.run(run)


@pytest.mark.parametrize(("one", "other"), [(Client, AsyncClient), (Job, AsyncJob)])
def test_both_offer_the_same(one: type, other: type) -> None:
    assert _offers(one) == {name.replace("aclose", "close") for name in _offers(other)}
    for name in _offers(one) - {"close"}:
        parameters = [[*_parameters(kind, name)] for kind in (one, other)]
        assert parameters[0] == parameters[1], name


def _offers(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def _parameters(kind: type, name: str) -> dict[str, inspect.Parameter]:
    member = getattr(kind, name)
    return dict(inspect.signature(member).parameters) if callable(member) else {}
