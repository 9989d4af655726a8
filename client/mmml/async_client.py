"""The client of programs with an event loop, asyncio or trio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, cast

import anyio
import httpx
from anyio import to_thread
from httpx_sse import EventSource

from mmml import operations
from mmml.base_job import BaseJob, Explanation, explanation_request, parse_explanation
from mmml.client import Client, Job
from mmml.errors import MmmlError, connection_error, error_from_response
from mmml.operations import (
    RECONNECT_DELAY,
    RETRY_FOR,
    Event,
    EventCursor,
    OnChange,
    Operation,
    RetryPolicy,
    Sleep,
    Step,
    retry_seconds,
)
from mmml.requests import (
    TIMEOUT,
    ApiRequest,
    Mask,
    Options,
    PhotoOptions,
    Picture,
    SynthesisOptions,
    Text,
    build_request,
    client_options,
    record_path,
    service_url,
    submit_request,
)

T = TypeVar("T")
C = TypeVar("C", bound=type)


def _documented_like(blocking: type) -> Callable[[C], C]:
    """Gives the methods of a class the docstrings that they have in ``blocking``."""

    def decorate(waiting: C) -> C:
        for name, method in vars(waiting).items():
            if not name.startswith("_") and method.__doc__ is None:
                method.__doc__ = getattr(blocking, name).__doc__
        return waiting

    return decorate


@_documented_like(Client)
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

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def synthesize(self, text: Text, **options: Unpack[SynthesisOptions]) -> AsyncJob:
        return await self.submit_task("synthesize", text, **options)

    async def manipulate(
        self, image: Picture, text: str, **options: Unpack[PhotoOptions]
    ) -> AsyncJob:
        return await self.submit_task("manipulate", text, {"image": image}, **options)

    async def inpaint(
        self, image: Picture, mask: Mask, text: str, **options: Unpack[PhotoOptions]
    ) -> AsyncJob:
        return await self.submit_task("inpaint", text, {"image": image, "mask": mask}, **options)

    async def submit_task(
        self, task: str, text: Text, images: Mapping[str, Mask] | None = None, **options: Any
    ) -> AsyncJob:
        given = cast("Options", options)
        request = await to_thread.run_sync(submit_request, task, text, images or {}, given)
        return AsyncJob(self, await self._record(request))

    submit = submit_task

    async def job(self, job_id: str) -> AsyncJob:
        return AsyncJob(self, await self._record(ApiRequest("GET", f"/jobs/{job_id}")))

    async def jobs(
        self, limit: int = 20, status: str | None = None, task: str | None = None
    ) -> list[dict[str, Any]]:
        return await self._run(operations.list_jobs(limit, status, task, self._retry_for))

    async def cancel(self, job_id: str) -> dict[str, Any]:
        return await self._record(ApiRequest("POST", f"/jobs/{job_id}/cancel"))

    async def delete(self, job_id: str) -> None:
        await self._response(ApiRequest("DELETE", record_path(job_id)))

    async def events(self, job_id: str) -> AsyncIterator[Event]:
        cursor = EventCursor(job_id, self._retry_for)
        while not cursor.finished:
            delay = RECONNECT_DELAY
            try:
                async with aclosing(self._stream(cursor)) as stream:
                    async for event in stream:
                        yield event
            except MmmlError as error:
                delay = cursor.delay_after(error)
            if not cursor.finished:
                await anyio.sleep(delay)

    async def create_batch(self, webhook: str | None = None) -> str:
        return await self._run(operations.create_batch(webhook, self._retry_for))

    async def batch(self, batch_id: str) -> dict[str, Any]:
        return await self._record(ApiRequest("GET", record_path(batch_id)))

    async def close_batch(self, batch_id: str) -> dict[str, Any]:
        return await self._record(ApiRequest("POST", f"{record_path(batch_id)}/close"))

    async def save_batch(self, batch_id: str, path: str | Path) -> None:
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

    async def models(self) -> dict[str, Any]:
        return await self._record(ApiRequest("GET", "/models"))

    async def webhook_secret(self) -> str:
        return str((await self._record(ApiRequest("GET", "/webhooks/secret")))["secret"])

    async def _record(self, request: ApiRequest) -> dict[str, Any]:
        return await self._run(operations.get_record(request, RetryPolicy(self._retry_for)))

    async def _response(self, request: ApiRequest) -> httpx.Response:
        return await self._run(operations.send_with_retries(request, RetryPolicy(self._retry_for)))

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

    async def _do(self, step: Step) -> httpx.Response | None:
        if isinstance(step, Sleep):
            await anyio.sleep(step.seconds)
            return None
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
            if response.is_error:
                await response.aread()
                raise error_from_response(response)
            yield response
        except httpx.TransportError as error:
            raise connection_error(self._url, error) from error
        finally:
            await response.aclose()

    async def _stream(self, cursor: EventCursor) -> AsyncGenerator[Event]:
        async with self._opened(cursor.request()) as response:
            async for sent in EventSource(response).aiter_sse():
                event = cursor.receive(sent)
                if event:
                    yield event


@_documented_like(Job)
class AsyncJob(BaseJob):
    """A job of a :class:`AsyncClient`."""

    def __init__(self, client: AsyncClient, record: dict[str, Any]) -> None:
        super().__init__(record)
        self._client = client

    async def wait(
        self, on_change: OnChange | None = None, timeout: float | None = None, fetch: bool = True
    ) -> AsyncJob:
        client = self._client
        await client._run(self._wait(client._timeout, client._retry_for, on_change, timeout, fetch))
        return self

    async def refresh(self) -> AsyncJob:
        self.record = await self._client._record(ApiRequest("GET", f"/jobs/{self.id}"))
        return self

    async def events(self) -> AsyncIterator[Event]:
        async for event in self._client.events(self.id):
            if event.kind == "final":
                self.record = dict(event.data)
            yield event

    async def cancel(self) -> AsyncJob:
        self.record = await self._client.cancel(self.id)
        return self

    async def delete(self) -> None:
        await self._client.delete(self.id)

    async def save(self, path: str | Path) -> list[Path]:
        if self._pictures is None:
            await self.wait()
        return await to_thread.run_sync(self._write_images, path)

    async def explanation(self, index: int = 0) -> Explanation:
        return parse_explanation(
            await self._client._record(explanation_request(self.record, index))
        )
