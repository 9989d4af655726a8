"""Client of the mmml service: ``from mmml import Client, AsyncClient``.

``operations`` says what the clients do; ``client`` and ``async_client`` perform it.
"""

from importlib import metadata

from mmml.async_client import AsyncClient, AsyncJob
from mmml.base_job import Explanation, Word
from mmml.client import Client, Job
from mmml.errors import (
    Busy,
    JobFailed,
    MmmlError,
    Refused,
    StillRunning,
    Unreachable,
    UnusablePicture,
)
from mmml.operations import Event
from mmml.webhooks import BadSignature, verify_webhook

try:
    __version__ = metadata.version("mmml-client")
except metadata.PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0+unknown"

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
