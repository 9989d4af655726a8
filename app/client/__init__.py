"""The Python client: ``from mmml import Client, AsyncClient``.

``flows`` says what is done, ``blocking`` and ``asynchronous`` do it.
"""

from app.client.asynchronous import AsyncClient, AsyncJob
from app.client.blocking import Client, Job
from app.client.errors import (
    Busy,
    JobFailed,
    MmmlError,
    Refused,
    StillRunning,
    Unreachable,
    UnusablePicture,
)
from app.client.explanations import Explanation, Word
from app.client.following import Event
from app.client.pictures import Box, Mask, Picture
from app.client.setup import DEFAULT_URL

__all__ = [
    "DEFAULT_URL",
    "AsyncClient",
    "AsyncJob",
    "Box",
    "Busy",
    "Client",
    "Event",
    "Explanation",
    "Job",
    "JobFailed",
    "Mask",
    "MmmlError",
    "Picture",
    "Refused",
    "StillRunning",
    "Unreachable",
    "UnusablePicture",
    "Word",
]
