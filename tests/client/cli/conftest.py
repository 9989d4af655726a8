"""The command line on a gateway of this process, with somebody who does the workers' part."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from click.testing import CliRunner, Result
from fastapi.testclient import TestClient

from app.gateway.services import Services
from jobs.job import ErrorCode, Failure, Status
from jobs.store import JobOutcome
from mmml import Client
from mmml.cli import cli
from mmml.cli.context import CliContext
from tests.app.conftest import succeed
from tests.client.conftest import Through
from tests.moves import finished

Command = Callable[..., Result]


@pytest.fixture
def mmml(client: TestClient) -> Command:
    """``mmml WORD…``."""

    connect = partial(Client, transport=Through(client))

    def run(*words: str) -> Result:
        return CliRunner().invoke(cli, words, obj=CliContext(connect))

    return run


# Asks for the gateway, though it does not use it, to end before its connections are closed.
@pytest.fixture
def worker(services: Services, client: TestClient) -> Iterator[None]:
    """Does every job; a text with "fail" fails, one with "lost" is lost at its first job, and of
    one with "partial" the last image fails.
    """
    over = threading.Event()
    lost: set[str] = set()

    def one(job_id: str, text: str, count: int) -> None:
        if "fail" in text:
            _fail(services, job_id, ErrorCode.model_error, "It went wrong.")
        elif "lost" in text and text not in lost:
            lost.add(text)
            _fail(services, job_id, ErrorCode.lost, "Its worker died.")
        else:
            succeed(services, job_id, count, failed="partial" in text)

    def loop() -> None:
        while not over.wait(0.01):
            for job in services.store.list_jobs(Status.queued, 10, None)[0]:
                one(job.id, job.request["text"], job.request["count"])

    thread = threading.Thread(target=loop)
    thread.start()
    yield
    over.set()
    thread.join()


def _fail(services: Services, job_id: str, code: ErrorCode, detail: str) -> None:
    finished(services.store, job_id, JobOutcome(error=Failure(code=code, detail=detail)))
