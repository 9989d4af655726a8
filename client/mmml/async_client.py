"""The client of programs with an event loop, asyncio or trio."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

import anyio
import httpx
from anyio import to_thread
from httpx_sse import EventSource

from mmml.base_job import BaseJob
from mmml.client import Client, Job
from mmml.errors import MmmlError, connection_error, error_from_response
from mmml.operations import (
    RECONNECT_DELAY,
    RETRY_FOR,
    Call,
    Event,
    EventCursor,
    Operation,
    Sleep,
    Step,
    retry_seconds,
)
from mmml.requests import (
    TIMEOUT,
    ApiRequest,
    build_request,
    client_options,
    record_path,
    service_url,
)

P = ParamSpec("P")
T = TypeVar("T")


def _awaited(
    method: Callable[Concatenate[Any, P], T],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """A method of the blocking client or job, to be awaited: called on an object of this module it
    returns what ``_run`` returns here, a coroutine.
    """

    @functools.wraps(method)
    async def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        coroutine = cast("Coroutine[Any, Any, T]", method(self, *args, **kwargs))
        return await coroutine

    return call


def _awaited_job(
    method: Callable[Concatenate[Any, P], Job],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, AsyncJob]]:
    """The same of one that returns a job."""
    return cast("Any", _awaited(method))


class AsyncClient:
    """A :class:`mmml.Client` that may be shared by tasks: the same methods, to be awaited."""

    def __init__(
        self,
        url: str | None = None,
        timeout: float = TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
        api_key: str | None = None,
        retry_for: float = RETRY_FOR,
        **renamed: float,
    ) -> None:
        self._url, self._timeout = service_url(url), timeout
        self._retry_for = retry_seconds(retry_for, renamed)
        self._http = httpx.AsyncClient(transport=transport, **client_options(self._url, api_key))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    synthesize = _awaited_job(Client.synthesize)
    manipulate = _awaited_job(Client.manipulate)
    inpaint = _awaited_job(Client.inpaint)
    submit_task = _awaited_job(Client.submit_task)
    submit = submit_task
    job = _awaited_job(Client.job)
    jobs = _awaited(Client.jobs)
    cancel = _awaited(Client.cancel)
    delete = _awaited(Client.delete)
    create_batch = _awaited(Client.create_batch)
    batch = _awaited(Client.batch)
    close_batch = _awaited(Client.close_batch)
    models = _awaited(Client.models)
    webhook_secret = _awaited(Client.webhook_secret)

    async def events(self, job_id: str) -> AsyncIterator[Event]:
        """The events of a job or batch as they happen, until it ends. A connection that breaks, for
        example because the service restarts, is resumed where it was.
        """
        cursor = EventCursor(job_id, self._retry_for)
        while not cursor.finished:
            delay = RECONNECT_DELAY
            try:
                async with self._opened(cursor.request()) as response:
                    async for sent in EventSource(response).aiter_sse():
                        if event := cursor.receive(sent):
                            yield event
            except MmmlError as error:
                delay = cursor.retries.delay_after(error)
            if not cursor.finished:
                await anyio.sleep(delay)

    async def save_batch(self, batch_id: str, path: str | Path) -> None:
        """Close the batch, wait for its end, and write a ZIP file with all of its images and
        ``manifest.json``, which has the record of each job.
        """
        await self.close_batch(batch_id)
        async for _ in self.events(batch_id):
            pass
        target = Path(path)
        part = target.with_name(f"{target.name}.part")
        request = ApiRequest("GET", f"{record_path(batch_id)}/images.zip")
        async with self._opened(request) as response:
            with part.open("wb") as file:
                async for data in response.aiter_bytes():
                    file.write(data)
        part.replace(target)

    def _job(self, record: Operation[dict[str, Any]]) -> Operation[AsyncJob]:
        return AsyncJob(self, (yield from record))

    async def _run(self, operation: Operation[T]) -> T:
        """Perform the operation's steps until it returns."""
        try:
            step = next(operation)
            while True:
                try:
                    answer = await self._do(step)
                except MmmlError as error:
                    step = operation.throw(error)
                else:
                    step = operation.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _do(self, step: Step) -> Any:
        if isinstance(step, Sleep):
            return await anyio.sleep(step.seconds)
        if isinstance(step, Call):
            return await to_thread.run_sync(step.function)
        return await self._send(step)

    async def _send(self, request: ApiRequest, stream: bool = False) -> httpx.Response:
        try:
            return await self._http.send(build_request(self._http, request), stream=stream)
        except httpx.TransportError as error:
            raise connection_error(self._url, error) from error

    @asynccontextmanager
    async def _opened(self, request: ApiRequest) -> AsyncIterator[httpx.Response]:
        """A response that is read as it comes."""
        response = await self._send(request, stream=True)
        try:
            if not response.is_success:
                await response.aread()
                raise error_from_response(response)
            yield response
        except httpx.TransportError as error:
            raise connection_error(self._url, error) from error
        finally:
            await response.aclose()


class AsyncJob(BaseJob):
    """A job of a :class:`AsyncClient`."""

    _client: AsyncClient

    wait = _awaited_job(Job.wait)
    refresh = _awaited_job(Job.refresh)
    cancel = _awaited_job(Job.cancel)
    delete = _awaited(Job.delete)
    explanation = _awaited(Job.explanation)

    async def events(self) -> AsyncIterator[Event]:
        """The job's events, until it ends."""
        async for event in self._client.events(self.id):
            if event.kind == "final":
                self.record = dict(event.data)
            yield event

    async def save(self, path: str | Path) -> list[Path]:
        """Write the pictures, waiting for them first if need be; several are numbered: bird.png,
        bird-1.png, bird-2.png.
        """
        if self._pictures is None:
            await self.wait()
        return await to_thread.run_sync(self._write_images, path)
