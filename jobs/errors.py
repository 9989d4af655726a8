"""What can go wrong in this room."""

from __future__ import annotations


class JobsError(Exception):
    """Base of every error raised on purpose by ``jobs``."""


class StoreError(JobsError):
    """The job store refused a change or can't be reached."""


class UnreadableRecord(StoreError):
    """A job's record can't be read by this version."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"the record of job {job_id} can't be read by this version")


class NewerRecord(JobsError):
    """A job asks for something that only a newer version knows."""


class BlobError(JobsError):
    """Bytes could not be stored or read. ``reason`` is a sentence for clients, free of addresses;
    ``lasting``: an operator has to act, trying again soon won't help.
    """

    def __init__(
        self,
        message: str,
        reason: str = "The service's storage can't be reached just now.",
        lasting: bool = False,
    ) -> None:
        super().__init__(message)
        self.reason, self.lasting = reason, lasting


class BlobMissing(BlobError):
    """Nothing is stored under that key. Whoever can tell that it was erased says so; else the
    storage has lost it, or is another one.
    """

    def __init__(self, message: str) -> None:
        reason = (
            "The service's storage lacks what its records name, and nothing has erased it: whoever "
            "runs the service must see whether all processes use the same storage."
        )
        super().__init__(message, reason, lasting=True)


class WrongStorage(JobsError):
    """The blob store is not the service's; the sentence says what to do."""


class BundlesError(JobsError):
    """A bundle's description can't be read; the message names the file."""


class ImageProblem(JobsError):
    """An upload can't be used. ``status`` is 413, 415 or 422; ``detail`` tells its sender what to
    do.
    """

    def __init__(self, detail: str, status: int = 422) -> None:
        super().__init__(detail)
        self.detail, self.status = detail, status
