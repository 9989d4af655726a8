"""A Python client for the service: ``from mmml import Client``."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import EventSource

DEFAULT_URL = "http://127.0.0.1:8000"
_FINAL = ("succeeded", "failed", "canceled", "expired")
_POLL = 20.0  # seconds that one long poll lasts
_PATIENCE = 30.0  # seconds for which a service that went away is waited for
_PAGE = 100  # jobs asked for at a time
_TRIES = 3  # of a submission whose answer got lost
Picture = str | Path | bytes


class MmmlError(Exception):
    """The service refused, failed or can't be reached; the message is its own sentence."""

    def __init__(
        self, detail: str, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.retry_after = status, retry_after


@dataclass(frozen=True)
class Result:
    """A finished job: its record as the service gives it, and its pictures' bytes in order."""

    job: Mapping[str, Any]
    images: list[bytes]

    @property
    def warnings(self) -> list[str]:
        return list(self.job["warnings"])

    def save(self, path: str | Path) -> list[Path]:
        """Write the pictures; several are numbered: bird.png, bird-1.png, bird-2.png."""
        first = Path(path)
        written = []
        for number, data in enumerate(self.images):
            target = (
                first if number == 0 else first.with_name(f"{first.stem}-{number}{first.suffix}")
            )
            target.write_bytes(data)
            written.append(target)
        return written


@dataclass(frozen=True)
class Event:
    """Something that happened to a job. ``kind``: status, position, progress or final; the data of
    ``final`` is the job.
    """

    kind: str
    data: Mapping[str, Any]
    id: str = ""


class Client:
    """Talks to one service. Pictures are given as paths, bytes, or as the path of an earlier job's
    image. ``api_key`` is taken from the environment's MMML_API_KEY when it is not given.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        timeout: float = 300.0,
        transport: httpx.BaseTransport | None = None,
        api_key: str | None = None,
    ) -> None:
        self._timeout = timeout
        api_key = api_key or os.environ.get("MMML_API_KEY")
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(60.0, connect=5.0),
            transport=transport,
        )
        self._url = url

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def synthesize(self, text: str, **options: Any) -> Result:
        """Pictures of a text. Options: seed, count, bundle, method, format."""
        return self.run("synthesize", text, {}, **options)

    def manipulate(self, image: Picture, text: str, **options: Any) -> Result:
        """A photo edited as the text says."""
        return self.run("manipulate", text, {"image": image}, **options)

    def inpaint(self, image: Picture, mask: Picture, text: str, **options: Any) -> Result:
        """A photo whose hole (white in the mask) is filled as the text says."""
        return self.run("inpaint", text, {"image": image, "mask": mask}, **options)

    def run(self, task: str, text: str, images: Mapping[str, Picture], **options: Any) -> Result:
        """Submit, wait and fetch. Raises MmmlError when the job fails."""
        job = self.wait(self.submit(task, text, images, **options)["id"])
        return self.result(job)

    def submit(
        self, task: str, text: str, images: Mapping[str, Picture], **options: Any
    ) -> dict[str, Any]:
        """The accepted job's record. When the answer gets lost the request is sent again under the
        same ``Idempotency-Key``, so there is one job all the same. ``webhook``, an option like
        others, is told of its end.
        """
        key = options.pop("idempotency_key", None) or str(uuid.uuid4())
        fields: dict[str, Any] = {
            "text": text,
            **{k: str(v) for k, v in options.items() if v is not None},
        }
        files = {}
        for name, picture in images.items():
            content = _content(picture)
            if isinstance(content, bytes):
                files[name] = (name, content)
            else:
                fields[name] = content
        return self._sent_once(f"/{task}", key, data=fields, files=files or None)

    def _sent_once(self, path: str, key: str, **options: Any) -> dict[str, Any]:
        headers = {"Idempotency-Key": key}
        for _ in range(_TRIES - 1):
            try:
                return self._json("POST", path, headers=headers, **options)
            except MmmlError as error:
                if not isinstance(error.__cause__, _ANSWER_LOST):
                    raise
                time.sleep(0.5)
        return self._json("POST", path, headers=headers, **options)

    def wait(
        self, job_id: str, on_change: Callable[[Mapping[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """The job once it is final. A service that restarts meanwhile is waited for."""
        deadline = time.monotonic() + self._timeout
        poll, lost_since = 0.0, None
        while True:
            try:
                job = self._json("GET", f"/jobs/{job_id}", params={"wait": poll})
            except MmmlError as error:
                if error.status not in (None, 429, 503) or time.monotonic() > deadline:
                    raise
                lost_since = lost_since or time.monotonic()
                if time.monotonic() - lost_since > _PATIENCE and error.status != 429:
                    raise
                time.sleep(min(error.retry_after or 0.5, 5.0))
                continue
            lost_since = None
            if on_change:
                on_change(job)
            if job["status"] in _FINAL:
                return job
            if time.monotonic() > deadline:
                raise MmmlError(
                    f"Job {job_id} is still {job['status']} after {self._timeout:.0f} s; look "
                    f"again later."
                )
            left = max(deadline - time.monotonic(), 0.0)
            poll = min(1.0 if on_change else _POLL, left)

    def result(self, job: Mapping[str, Any]) -> Result:
        """Fetch a finished job's pictures; those that failed are left out."""
        if job["status"] != "succeeded":
            raise MmmlError(
                job["error"]["detail"] if job["error"] else f"The job was {job['status']}."
            )
        urls = [image["url"] for image in job["images"] if image["url"]]
        return Result(job, [self._request("GET", url).content for url in urls])

    def events(self, job_id: str) -> Iterator[Event]:
        """What happens to a job, as it happens, to its end. A connection that breaks, be it by a
        restart of the service, is taken up where it was.
        """
        heard, lost_since, over = "", None, False
        while not over:
            try:
                for event in self._stream(job_id, heard):
                    heard, lost_since = event.id or heard, None
                    over = event.kind == "final"
                    yield event
            except MmmlError as error:
                lost_since = lost_since or time.monotonic()
                known = error.status not in (None, 429, 503)
                if known or time.monotonic() - lost_since > _PATIENCE:
                    raise
            if not over:
                time.sleep(0.5)

    def _stream(self, job_id: str, heard: str) -> Generator[Event]:
        headers = {"Last-Event-ID": heard} if heard else {}
        try:
            with self._http.stream("GET", f"/jobs/{job_id}/events", headers=headers) as response:
                if response.is_error:
                    response.read()
                    raise _refusal(response)
                for sent in EventSource(response).iter_sse():
                    if sent.data:
                        yield Event(sent.event, json.loads(sent.data), sent.id)
        except httpx.TransportError as error:
            raise self._no_service(error) from error

    def job(self, job_id: str) -> dict[str, Any]:
        """A job's record as it is now."""
        return self._json("GET", f"/jobs/{job_id}")

    def jobs(
        self, limit: int = 20, status: str | None = None, task: str | None = None
    ) -> list[dict[str, Any]]:
        """The newest jobs, of one status and task if given."""
        only = {"status": status, "task": task}
        query = {k: v for k, v in only.items() if v} | {"limit": min(limit, _PAGE)}
        page = self._json("GET", "/jobs", params=query)
        found: list[dict[str, Any]] = page["jobs"]
        while page["next"] and len(found) < limit:
            page = self._json("GET", page["next"])
            found += page["jobs"]
        return found[:limit]

    def cancel(self, job_id: str) -> dict[str, Any]:
        """The job, canceled or asked to stop."""
        return self._json("POST", f"/jobs/{job_id}/cancel")

    def delete(self, job_id: str) -> None:
        """Cancel the job if it is not over, and erase its inputs, pictures and record."""
        self._request("DELETE", f"/jobs/{job_id}")

    def webhook_secret(self) -> str:
        """What :func:`mmml.verify_webhook` needs to know messages of this service by."""
        return str(self._json("GET", "/webhooks/secret")["secret"])

    def models(self) -> dict[str, Any]:
        return self._json("GET", "/models")

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._request(method, path, **options).json()
        return found

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise self._no_service(error) from error
        if response.is_error:
            raise _refusal(response)
        return response

    def _no_service(self, error: Exception) -> MmmlError:
        return MmmlError(f"No service answers at {self._url} ({error}). Start one with: mmml serve")


def _content(picture: Picture) -> bytes | str:
    """Bytes to send as a file, or text that the service understands: an image's path, a box,
    ``alpha``.
    """
    if isinstance(picture, bytes):
        return picture
    path = Path(picture)
    try:
        if path.is_file():
            return path.read_bytes()
    except OSError as error:
        raise MmmlError(f"{path} can't be read: {error.strerror}.") from error
    text = str(picture)
    if "/jobs/" in text or text == "alpha" or text.count(",") == 3:
        return text
    raise MmmlError(f"There is no file {path}.")


_ANSWER_LOST = (httpx.ReadError, httpx.RemoteProtocolError, httpx.ReadTimeout, httpx.WriteError)


def _refusal(response: httpx.Response) -> MmmlError:
    after = response.headers.get("retry-after", "")
    seconds = float(after) if after.isdigit() else None
    return MmmlError(_sentence(response), response.status_code, seconds)


def _sentence(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The service answered {response.status_code} {response.reason_phrase}."
