"""The client of programs without an event loop."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, cast

import httpx
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


class Client:
    """Talks to one service, and may be shared by threads. ``timeout``: seconds for which a job is
    waited for; ``patience``: seconds for which a service that is busy or restarts is waited for;
    ``url`` and ``api_key``: from the environment's MMML_URL and MMML_API_KEY when not given.
    """

    def __init__(
        self,
        url: str | None = None,
        timeout: float = TIMEOUT,
        transport: httpx.BaseTransport | None = None,
        api_key: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._url, self._timeout, self._patience = address(url), timeout, patience
        self._http = httpx.Client(transport=transport, **http_setup(self._url, api_key))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def synthesize(self, text: Text, **options: Unpack[SynthesisOptions]) -> Job:
        """Pictures of a text, or of several that are mixed."""
        return self.submit_task("synthesize", text, **options)

    def manipulate(self, image: Picture, text: str, **options: Unpack[Options]) -> Job:
        """A photo edited as the text says."""
        return self.submit_task("manipulate", text, {"image": image}, **options)

    def inpaint(self, image: Picture, mask: Mask, text: str, **options: Unpack[Options]) -> Job:
        """A photo whose hole (white in the mask) is filled as the text says."""
        return self.submit_task("inpaint", text, {"image": image, "mask": mask}, **options)

    def submit_task(
        self, task: str, text: Text, images: Mapping[str, Mask] | None = None, **options: Any
    ) -> Job:
        """The accepted job of any task; ``images`` by field name. When the answer gets lost the
        request is sent again under the same ``Idempotency-Key``, so there is one job all the same.
        """
        call = submission(task, text, images or {}, cast("Options", options))
        return Job(self, self._record(call))

    submit = submit_task

    def job(self, job_id: str) -> Job:
        """A job that was submitted earlier."""
        return Job(self, self._record(Call("GET", f"/jobs/{job_id}")))

    def jobs(
        self, limit: int = 20, status: str | None = None, task: str | None = None
    ) -> list[dict[str, Any]]:
        """Records of the newest jobs, of one status and task if given."""
        return self._run(flows.listed(limit, status, task, self._patience))

    def cancel(self, job_id: str) -> dict[str, Any]:
        """The job's record, canceled or asked to stop."""
        return self._record(Call("POST", f"/jobs/{job_id}/cancel"))

    def delete(self, job_id: str) -> None:
        """Cancel the job if it is not over, and erase its inputs, pictures and record."""
        self._answer(Call("DELETE", f"/jobs/{job_id}"))

    def events(self, job_id: str) -> Iterator[Event]:
        """What happens to a job, as it happens, to its end. A connection that breaks, be it by a
        restart of the service, is taken up where it was.
        """
        following = Following(job_id, self._patience)
        while not following.over:
            pause = PAUSE
            try:
                yield from self._stream(following)
            except MmmlError as error:
                pause = following.pause(error)
            if not following.over:
                time.sleep(pause)

    def models(self) -> dict[str, Any]:
        """Bundles, their tasks and methods, and which serve by default."""
        return self._record(Call("GET", "/models"))

    def webhook_secret(self) -> str:
        """What :func:`mmml.verify_webhook` needs to know messages of this service by."""
        return str(self._record(Call("GET", "/webhooks/secret"))["secret"])

    def _record(self, call: Call) -> dict[str, Any]:
        return self._run(flows.record(call, Patience(self._patience)))

    def _answer(self, call: Call) -> httpx.Response:
        return self._run(flows.patiently(call, Patience(self._patience)))

    def _run(self, flow: Flow[T]) -> T:
        """Do what the flow yields, until it returns."""
        try:
            step = next(flow)
            while True:
                try:
                    answer = self._do(step)
                except MmmlError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def _do(self, step: Step) -> httpx.Response | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        return self._send(step)

    def _send(self, call: Call, stream: bool = False) -> httpx.Response:
        try:
            return self._http.send(prepared(self._http, call), stream=stream)
        except httpx.TransportError as error:
            raise no_answer(self._url, error) from error

    def _stream(self, following: Following) -> Generator[Event]:
        response = self._send(following.call(), stream=True)
        try:
            if response.is_error:
                response.read()
                raise refusal(response)
            for sent in EventSource(response).iter_sse():
                event = following.heard(sent)
                if event:
                    yield event
        except httpx.TransportError as error:
            raise no_answer(self._url, error) from error
        finally:
            response.close()


class Job(Handle):
    """A job of a :class:`Client`."""

    def __init__(self, client: Client, record: dict[str, Any]) -> None:
        super().__init__(record)
        self._client = client

    def wait(
        self, on_change: OnChange | None = None, timeout: float | None = None, fetch: bool = True
    ) -> Job:
        """This job, once it has succeeded, with its pictures (unless ``fetch`` is False). Raises
        JobFailed, and StillRunning after ``timeout`` seconds. ``on_change`` is told the record
        about once a second.
        """
        client = self._client
        longest = client._timeout if timeout is None else timeout
        self.record = client._run(flows.waited(self.id, longest, client._patience, on_change))
        flows.succeeded(self.record)
        if fetch:
            self._pictures = client._run(flows.pictures(self.record, client._patience))
        return self

    def refresh(self) -> Job:
        """This job as it is now."""
        self.record = self._client._record(Call("GET", f"/jobs/{self.id}"))
        return self

    def events(self) -> Iterator[Event]:
        """What happens to it, to its end."""
        for event in self._client.events(self.id):
            if event.kind == "final":
                self.record = dict(event.data)
            yield event

    def cancel(self) -> Job:
        """A waiting job ends at once, a running one within seconds."""
        self.record = self._client.cancel(self.id)
        return self

    def delete(self) -> None:
        """Cancel it if it is not over, and erase all of it."""
        self._client.delete(self.id)

    def save(self, path: str | Path) -> list[Path]:
        """Write the pictures, waiting for them first if need be; several are numbered: bird.png,
        bird-1.png, bird-2.png.
        """
        if self._pictures is None:
            self.wait()
        return self._write(path)

    def explanation(self, index: int = 0) -> Explanation:
        """What each word did to a picture of a job submitted with ``explain=True``."""
        return parsed(self._client._record(explanation_of(self.record, index)))
