"""The client of programs with an event loop, asyncio or trio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, cast

import anyio
import httpx
from anyio import to_thread
from httpx_sse import EventSource

from app.client import flows
from app.client.errors import MmmlError, no_answer, refusal
from app.client.explanations import Explanation, explanation_of, parsed
from app.client.flows import Flow, OnChange, Pause, Step
from app.client.following import PAUSE, Event, Following
from app.client.handles import Handle
from app.client.patience import Patience
from app.client.pictures import Mask, Picture
from app.client.requests import Call, Options, SynthesisOptions, Text, submission
from app.client.setup import PATIENCE, TIMEOUT, address, http_setup, prepared

T = TypeVar("T")


class AsyncClient:
    """Talks to one service, and may be shared by tasks. ``timeout``: seconds for which a job is
    waited for; ``patience``: seconds for which a service that is busy or restarts is waited for;
    ``url`` and ``api_key``: from the environment's MMML_URL and MMML_API_KEY when not given.
    """

    def __init__(
        self,
        url: str | None = None,
        timeout: float = TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
        api_key: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._url, self._timeout, self._patience = address(url), timeout, patience
        self._http = httpx.AsyncClient(transport=transport, **http_setup(self._url, api_key))

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
        """Pictures of a text, or of several that are mixed."""
        return await self.submit_task("synthesize", text, **options)

    async def manipulate(self, image: Picture, text: str, **options: Unpack[Options]) -> AsyncJob:
        """A photo edited as the text says."""
        return await self.submit_task("manipulate", text, {"image": image}, **options)

    async def inpaint(
        self, image: Picture, mask: Mask, text: str, **options: Unpack[Options]
    ) -> AsyncJob:
        """A photo whose hole (white in the mask) is filled as the text says."""
        return await self.submit_task("inpaint", text, {"image": image, "mask": mask}, **options)

    async def submit_task(
        self, task: str, text: Text, images: Mapping[str, Mask] | None = None, **options: Any
    ) -> AsyncJob:
        """The accepted job of any task; ``images`` by field name. When the answer gets lost the
        request is sent again under the same ``Idempotency-Key``, so there is one job all the same.
        """
        given = cast("Options", options)
        call = await to_thread.run_sync(submission, task, text, images or {}, given)
        return AsyncJob(self, await self._record(call))

    submit = submit_task

    async def job(self, job_id: str) -> AsyncJob:
        """A job that was submitted earlier."""
        return AsyncJob(self, await self._record(Call("GET", f"/jobs/{job_id}")))

    async def jobs(
        self, limit: int = 20, status: str | None = None, task: str | None = None
    ) -> list[dict[str, Any]]:
        """Records of the newest jobs, of one status and task if given."""
        return await self._run(flows.listed(limit, status, task, self._patience))

    async def cancel(self, job_id: str) -> dict[str, Any]:
        """The job's record, canceled or asked to stop."""
        return await self._record(Call("POST", f"/jobs/{job_id}/cancel"))

    async def delete(self, job_id: str) -> None:
        """Cancel the job if it is not over, and erase its inputs, pictures and record."""
        await self._answer(Call("DELETE", f"/jobs/{job_id}"))

    async def events(self, job_id: str) -> AsyncIterator[Event]:
        """What happens to a job, as it happens, to its end. A connection that breaks, be it by a
        restart of the service, is taken up where it was.
        """
        following = Following(job_id, self._patience)
        while not following.over:
            pause = PAUSE
            try:
                async with aclosing(self._stream(following)) as stream:
                    async for event in stream:
                        yield event
            except MmmlError as error:
                pause = following.pause(error)
            if not following.over:
                await anyio.sleep(pause)

    async def models(self) -> dict[str, Any]:
        """Bundles, their tasks and methods, and which serve by default."""
        return await self._record(Call("GET", "/models"))

    async def webhook_secret(self) -> str:
        """What :func:`mmml.verify_webhook` needs to know messages of this service by."""
        return str((await self._record(Call("GET", "/webhooks/secret")))["secret"])

    async def _record(self, call: Call) -> dict[str, Any]:
        return await self._run(flows.record(call, Patience(self._patience)))

    async def _answer(self, call: Call) -> httpx.Response:
        return await self._run(flows.patiently(call, Patience(self._patience)))

    async def _run(self, flow: Flow[T]) -> T:
        """Do what the flow yields, until it returns."""
        try:
            step = next(flow)
            while True:
                try:
                    answer = await self._do(step)
                except MmmlError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _do(self, step: Step) -> httpx.Response | None:
        if isinstance(step, Pause):
            await anyio.sleep(step.seconds)
            return None
        return await self._send(step)

    async def _send(self, call: Call, stream: bool = False) -> httpx.Response:
        try:
            return await self._http.send(prepared(self._http, call), stream=stream)
        except httpx.TransportError as error:
            raise no_answer(self._url, error) from error

    async def _stream(self, following: Following) -> AsyncGenerator[Event]:
        response = await self._send(following.call(), stream=True)
        try:
            if response.is_error:
                await response.aread()
                raise refusal(response)
            async for sent in EventSource(response).aiter_sse():
                event = following.heard(sent)
                if event:
                    yield event
        except httpx.TransportError as error:
            raise no_answer(self._url, error) from error
        finally:
            await response.aclose()


class AsyncJob(Handle):
    """A job of a :class:`AsyncClient`."""

    def __init__(self, client: AsyncClient, record: dict[str, Any]) -> None:
        super().__init__(record)
        self._client = client

    async def wait(
        self, on_change: OnChange | None = None, timeout: float | None = None, fetch: bool = True
    ) -> AsyncJob:
        """This job, once it has succeeded, with its pictures (unless ``fetch`` is False). Raises
        JobFailed, and StillRunning after ``timeout`` seconds. ``on_change`` is told the record
        about once a second.
        """
        client = self._client
        longest = client._timeout if timeout is None else timeout
        self.record = await client._run(flows.waited(self.id, longest, client._patience, on_change))
        flows.succeeded(self.record)
        if fetch:
            self._pictures = await client._run(flows.pictures(self.record, client._patience))
        return self

    async def refresh(self) -> AsyncJob:
        """This job as it is now."""
        self.record = await self._client._record(Call("GET", f"/jobs/{self.id}"))
        return self

    async def events(self) -> AsyncIterator[Event]:
        """What happens to it, to its end."""
        async for event in self._client.events(self.id):
            if event.kind == "final":
                self.record = dict(event.data)
            yield event

    async def cancel(self) -> AsyncJob:
        """A waiting job ends at once, a running one within seconds."""
        self.record = await self._client.cancel(self.id)
        return self

    async def delete(self) -> None:
        """Cancel it if it is not over, and erase all of it."""
        await self._client.delete(self.id)

    async def save(self, path: str | Path) -> list[Path]:
        """Write the pictures, waiting for them first if need be; several are numbered: bird.png,
        bird-1.png, bird-2.png.
        """
        if self._pictures is None:
            await self.wait()
        return await to_thread.run_sync(self._write, path)

    async def explanation(self, index: int = 0) -> Explanation:
        """What each word did to a picture of a job submitted with ``explain=True``."""
        return parsed(await self._client._record(explanation_of(self.record, index)))
