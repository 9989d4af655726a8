"""Front door for users: ``from mmml import Client``."""

from app.client import Client, Event, MmmlError, Result
from app.webhooks.signing import BadSignature
from app.webhooks.signing import verify as verify_webhook
from jobs.version import VERSION as __version__

__all__ = [
    "BadSignature",
    "Client",
    "Event",
    "MmmlError",
    "Result",
    "__version__",
    "verify_webhook",
]
