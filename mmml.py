"""Front door for users: ``from mmml import Client``."""

from app.client import Client, MmmlError, Result
from jobs.version import VERSION as __version__

__all__ = ["Client", "MmmlError", "Result", "__version__"]
