"""Front door for users: ``from mmml import Client``."""

from app.client import (
    AsyncClient,
    AsyncJob,
    Busy,
    Client,
    Event,
    Explanation,
    Job,
    JobFailed,
    MmmlError,
    Refused,
    StillRunning,
    Unreachable,
    UnusablePicture,
    Word,
)
from app.webhooks.signing import BadSignature
from app.webhooks.signing import verify as verify_webhook
from jobs.version import VERSION as __version__

__all__ = [
    "AsyncClient",
    "AsyncJob",
    "BadSignature",
    "Busy",
    "Client",
    "Event",
    "Explanation",
    "Job",
    "JobFailed",
    "MmmlError",
    "Refused",
    "StillRunning",
    "Unreachable",
    "UnusablePicture",
    "Word",
    "__version__",
    "verify_webhook",
]
