"""The one place where commands touch the Python client: jobs as handles, errors as exits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from app.cli.exits import Exit, Failed, exit_for
from app.client import DEFAULT_URL, Client, MmmlError, Result

__all__ = ["DEFAULT_URL", "UNWRITABLE", "JobHandle", "Service"]
UNWRITABLE = "unwritable"  # code of Failed when this machine's disk is the reason
_PATIENCE = 300.0  # seconds for which a job is waited for
Record = Mapping[str, Any]


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    """Turns the client's errors into exits."""
    try:
        yield
    except MmmlError as error:
        lost = isinstance(error.__cause__, httpx.TransportError)
        known = lost or error.status is not None
        code = exit_for(error.status) if known else Exit.refused
        raise Failed(
            code, str(error), status=error.status, retry_after=error.retry_after
        ) from error


class JobHandle:
    """A job of the service: ``record`` is what was last heard of it."""

    def __init__(self, client: Client, record: Record) -> None:
        self._client, self.record = client, record

    @property
    def id(self) -> str:
        return str(self.record["id"])

    def wait(self, on_change: Callable[[Record], None] | None = None) -> Record:
        """The final record. Raises Failed (``unfinished``) when the client's patience is over."""
        with _failing():
            try:
                self.record = self._client.wait(self.id, on_change)
            except MmmlError as error:
                if "is still" in str(error):
                    raise Failed(Exit.unfinished, str(error)) from error
                raise
        return self.record

    def pictures(self) -> list[bytes]:
        """The finished job's pictures, in order. Raises Failed when it has none."""
        self.require_success()
        with _failing():
            return self._client.result(self.record).images

    def save(self, path: Path, pictures: list[bytes]) -> list[Path]:
        """Write them; several are numbered."""
        try:
            return Result(self.record, pictures).save(path)
        except OSError as error:
            sentence = f"{path} can't be written: {error.strerror}."
            raise Failed(Exit.refused, sentence, code=UNWRITABLE) from error

    def require_success(self) -> None:
        status, error = self.record["status"], self.record["error"]
        if status in ("queued", "running"):
            raise Failed(
                Exit.unfinished, f"Job {self.id} is still {status}; see: mmml wait {self.id}"
            )
        if status != "succeeded":
            detail = error["detail"] if error else f"The job was {status}."
            raise Failed(Exit.failed, detail, code=error["code"] if error else status)


class Service:
    """One service, as the commands see it. Every method raises Failed."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @classmethod
    def at(cls, url: str, api_key: str | None, timeout: float | None = None) -> Service:
        return cls(Client(url, timeout or _PATIENCE, api_key=api_key))

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def submit(
        self,
        task: str,
        text: Any,
        images: Mapping[str, Any],
        idempotency_key: str | None = None,
        **options: Any,
    ) -> JobHandle:
        """A job of ``task``; under ``idempotency_key`` the same job as before."""
        with _failing():
            record = self._client.submit(
                task, text, images, idempotency_key=idempotency_key, **options
            )
        return JobHandle(self._client, record)

    def job(self, job_id: str) -> JobHandle:
        with _failing():
            return JobHandle(self._client, self._client.job(job_id))

    def jobs(self, limit: int, status: str | None, task: str | None) -> list[dict[str, Any]]:
        with _failing():
            return self._client.jobs(limit, status, task)

    def cancel(self, job_id: str) -> Record:
        with _failing():
            return self._client.cancel(job_id)

    def delete(self, job_id: str) -> None:
        with _failing():
            self._client.delete(job_id)

    def events(self, job_id: str) -> Iterator[dict[str, Any]]:
        with _failing():
            for event in self._client.events(job_id):
                yield {"event": event.kind, **event.data}

    def webhook_secret(self) -> str:
        with _failing():
            return self._client.webhook_secret()

    def models(self) -> dict[str, Any]:
        with _failing():
            return self._client.models()
