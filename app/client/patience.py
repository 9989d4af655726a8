"""How long a client waits for a service that is busy, restarts or went away."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from app.client.errors import Busy, MmmlError, Unreachable

_PAUSE = 0.5  # seconds, when the service does not say how long
_OVER_LIMIT = 429


@dataclass
class Patience:
    """``seconds``: for one outage; ``until``: in ``time.monotonic()``, when all of it ends."""

    seconds: float
    until: float = math.inf
    _since: float | None = None

    def pause(self, error: MmmlError) -> float:
        """Seconds until the next try, as the service asks for. Raises ``error`` when it will not
        pass by itself, or not soon enough.
        """
        if not isinstance(error, Busy | Unreachable):
            raise error
        now = time.monotonic()
        if self._since is None:
            self._since = now
        pause = _PAUSE if error.retry_after is None else error.retry_after
        if now + pause > min(self.until, self._end(error, self._since)):
            raise error
        return pause

    def _end(self, error: MmmlError, since: float) -> float:
        """Being over a limit is no outage: whoever waits until a time of their own may wait."""
        patient = error.status == _OVER_LIMIT and math.isfinite(self.until)
        return self.until if patient else since + self.seconds

    def rewarded(self) -> None:
        """The service answers again."""
        self._since = None
