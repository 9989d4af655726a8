"""How long a client retries while a service is busy, restarts or cannot be reached."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from mmml.errors import Busy, MmmlError, Unreachable

RETRY_FOR = 30.0  # seconds for which a service that cannot be reached is retried
_DELAY = 0.5  # seconds, when the service does not say how long
_OVER_LIMIT = 429


@dataclass
class RetryPolicy:
    """``seconds``: how long one outage is retried; ``until``: a ``time.monotonic()`` after which
    nothing is retried.
    """

    seconds: float
    until: float = math.inf
    _outage_start: float | None = None

    def delay_after(self, error: MmmlError) -> float:
        """Seconds until the next try, as the service asks for. Raises ``error`` when it will not
        pass by itself, or not soon enough.
        """
        if not isinstance(error, Busy | Unreachable):
            raise error
        now = time.monotonic()
        if self._outage_start is None:
            self._outage_start = now
        delay = _DELAY if error.retry_after is None else error.retry_after
        if now + delay > min(self.until, self._end(error, self._outage_start)):
            raise error
        return delay

    def _end(self, error: MmmlError, start: float) -> float:
        """Exceeding a rate limit is no outage: a caller with a deadline may wait until then."""
        waits = error.status == _OVER_LIMIT and math.isfinite(self.until)
        return self.until if waits else start + self.seconds

    def reset(self) -> None:
        """The service answers again."""
        self._outage_start = None


def retry_seconds(retry_for: float, renamed: Mapping[str, float]) -> float:
    """``retry_for``, or its value under the name it had before, ``patience``. Raises TypeError for
    any other argument.
    """
    if not renamed:
        return retry_for
    if renamed.keys() != {"patience"}:
        raise TypeError(f"The client has no argument {', '.join(sorted(renamed))}.")
    message = "Client(patience=…) is called Client(retry_for=…) now."
    warnings.warn(message, DeprecationWarning, stacklevel=3)
    return renamed["patience"]
