"""The client of programs without an event loop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack, cast

import httpx
from httpx_sse import EventSource

from mmml import operations
from mmml.base_job import BaseJob, Explanation
from mmml.errors import MmmlError, connection_error, error_from_response
from mmml.operations import (
    RECONNECT_DELAY,
    RETRY_FOR,
    Call,
    Event,
    EventCursor,
    OnChange,
    Operation,
    Sleep,
    Step,
    get_record,
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


class Client:
    """Talks to one service, and may be shared by threads. ``timeout``: seconds for which a job is
    waited for; ``retry_for``: seconds for which a service that is busy or restarts is retried;
    ``url`` and ``api_key``: from the environment's MMML_URL and MMML_API_KEY when not given.
    """

    def __init__(
        self,
        url: str | None = None,
        timeout: float = TIMEOUT,
        transport: httpx.BaseTransport | None = None,
        api_key: str | None = None,
        retry_for: float = RETRY_FOR,
        **renamed: float,
    ) -> None:
        self._url, self._timeout = service_url(url), timeout
        self._retry_for = retry_seconds(retry_for, renamed)
        self._http = httpx.Client(transport=transport, **client_options(self._url, api_key))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # What follows only passes an operation to ``_run`` and returns what that returns, so that
    # AsyncClient has it from here.

    def synthesize(self, text: Text, **options: Unpack[SynthesisOptions]) -> Job:
        """Generate images from a text, or from a mix of several."""
        return self.submit_task("synthesize", text, **options)

    def manipulate(self, image: Picture, text: str, **options: Unpack[PhotoOptions]) -> Job:
        """Edit a photo as the text says."""
        return self.submit_task("manipulate", text, {"image": image}, **options)

    def inpaint(
        self, image: Picture, mask: Mask, text: str, **options: Unpack[PhotoOptions]
    ) -> Job:
        """Fill the hole of a photo (white in the mask) as the text says."""
        return self.submit_task("inpaint", text, {"image": image, "mask": mask}, **options)

    def submit_task(
        self, /, task: str, text: Text, images: Mapping[str, Mask] | None = None, **options: Any
    ) -> Job:
        """Submit a job of any task; ``images`` by field name. When the answer is lost, the
        request is sent again under the same ``Idempotency-Key``, so there is one job all the same.
        """
        encode = partial(submit_request, task, text, images or {}, cast("Options", options))
        return self._run(self._job(operations.submit(encode, self._retry_for)))

    submit = submit_task

    def job(self, job_id: str) -> Job:
        """A job that was submitted earlier."""
        request = ApiRequest("GET", f"/jobs/{job_id}")
        return self._run(self._job(get_record(request, self._retry_for)))

    def jobs(
        self, limit: int = 20, status: str | None = None, task: str | None = None
    ) -> list[dict[str, Any]]:
        """Records of the newest jobs, of one status and task if given."""
        return self._run(operations.list_jobs(limit, status, task, self._retry_for))

    def cancel(self, job_id: str) -> dict[str, Any]:
        """The job's record, canceled or asked to stop."""
        return self._run(get_record(ApiRequest("POST", f"/jobs/{job_id}/cancel"), self._retry_for))

    def delete(self, job_id: str) -> None:
        """Cancel the job if it is not over, and erase its inputs, pictures and record; by the id of
        a batch, those of all its jobs.
        """
        return self._run(operations.delete(job_id, self._retry_for))

    def create_batch(self, webhook: str | None = None) -> str:
        """The id of a new batch, for the option ``batch`` of submissions. ``webhook``: an address
        that is called when it has been closed and all of its jobs have ended.
        """
        request = ApiRequest("POST", "/batches", {"json": {"webhook": webhook}})
        return self._run(operations.get_member(request, "id", self._retry_for))

    def batch(self, batch_id: str) -> dict[str, Any]:
        """The batch's record: how many of its jobs are where."""
        return self._run(get_record(ApiRequest("GET", record_path(batch_id)), self._retry_for))

    def close_batch(self, batch_id: str) -> dict[str, Any]:
        """The batch takes no more jobs."""
        request = ApiRequest("POST", f"{record_path(batch_id)}/close")
        return self._run(get_record(request, self._retry_for))

    def models(self) -> dict[str, Any]:
        """Bundles, their tasks and methods, and which serve by default."""
        return self._run(get_record(ApiRequest("GET", "/models"), self._retry_for))

    def webhook_secret(self) -> str:
        """The secret with which :func:`mmml.verify_webhook` verifies messages of this service."""
        request = ApiRequest("GET", "/webhooks/secret")
        return self._run(operations.get_member(request, "secret", self._retry_for))

    # What follows waits by itself, and is written for either client.

    def events(self, job_id: str) -> Iterator[Event]:
        """The events of a job or batch as they happen, until it ends. A connection that breaks, for
        example because the service restarts, is resumed where it was.
        """
        cursor = EventCursor(job_id, self._retry_for)
        while not cursor.finished:
            delay = RECONNECT_DELAY
            try:
                with self._opened(cursor.request()) as response:
                    for sent in EventSource(response).iter_sse():
                        if event := cursor.receive(sent):
                            yield event
            except MmmlError as error:
                delay = cursor.retries.delay_after(error)
            if not cursor.finished:
                time.sleep(delay)

    def save_batch(self, batch_id: str, path: str | Path) -> None:
        """Close the batch, wait for its end, and write a ZIP file with all of its images and
        ``manifest.json``, which has the record of each job.
        """
        self.close_batch(batch_id)
        for _ in self.events(batch_id):
            pass
        target = Path(path)
        part = target.with_name(f"{target.name}.part")
        request = ApiRequest("GET", f"{record_path(batch_id)}/images.zip")
        with self._opened(request) as response, part.open("wb") as file:
            for data in response.iter_bytes():
                file.write(data)
        part.replace(target)

    def _job(self, record: Operation[dict[str, Any]]) -> Operation[Job]:
        return Job(self, (yield from record))

    def _run(self, operation: Operation[T]) -> T:
        """Perform the operation's steps until it returns."""
        try:
            step = next(operation)
            while True:
                try:
                    answer = self._do(step)
                except MmmlError as error:
                    step = operation.throw(error)
                else:
                    step = operation.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def _do(self, step: Step) -> Any:
        if isinstance(step, Sleep):
            return time.sleep(step.seconds)
        return step.function() if isinstance(step, Call) else self._send(step)

    def _send(self, request: ApiRequest, stream: bool = False) -> httpx.Response:
        try:
            return self._http.send(build_request(self._http, request), stream=stream)
        except httpx.TransportError as error:
            raise connection_error(self._url, error) from error

    @contextmanager
    def _opened(self, request: ApiRequest) -> Iterator[httpx.Response]:
        """A response that is read as it comes."""
        response = self._send(request, stream=True)
        try:
            if not response.is_success:
                response.read()
                raise error_from_response(response)
            yield response
        except httpx.TransportError as error:
            raise connection_error(self._url, error) from error
        finally:
            response.close()


class Job(BaseJob):
    """A job of a :class:`Client`."""

    _client: Client

    def wait(
        self, on_change: OnChange | None = None, timeout: float | None = None, fetch: bool = True
    ) -> Job:
        """This job, once it has succeeded, with its pictures (unless ``fetch`` is False). Raises
        JobFailed, and StillRunning after ``timeout`` seconds. ``on_change`` is called with the
        record about once a second.
        """
        return self._client._run(self._wait(on_change, timeout, fetch))

    def refresh(self) -> Job:
        """This job as it is now."""
        return self._client._run(self._update(ApiRequest("GET", f"/jobs/{self.id}")))

    def cancel(self) -> Job:
        """A waiting job ends at once, a running one within seconds."""
        return self._client._run(self._update(ApiRequest("POST", f"/jobs/{self.id}/cancel")))

    def delete(self) -> None:
        """Cancel it if it is not over, and erase all of it."""
        return self._client.delete(self.id)

    def explanation(self, index: int = 0) -> Explanation:
        """How each word affected an image of a job submitted with ``explain=True``."""
        return self._client._run(self._explanation(index))

    def events(self) -> Iterator[Event]:
        """The job's events, until it ends."""
        for event in self._client.events(self.id):
            if event.kind == "final":
                self.record = dict(event.data)
            yield event

    def save(self, path: str | Path) -> list[Path]:
        """Write the pictures, waiting for them first if need be; several are numbered: bird.png,
        bird-1.png, bird-2.png.
        """
        if self._pictures is None:
            self.wait()
        return self._write_images(path)
