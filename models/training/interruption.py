"""Ctrl-C, SIGTERM, a closed terminal: a training ends its step and writes a snapshot."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """While entered, the first signal is only noted; a second Ctrl-C is a KeyboardInterrupt.

    requested: whether to stop; status: 128 and the signal's number, as shells have it.
    """

    def __init__(self) -> None:
        self.requested = False
        self.status = 128 + signal.SIGTERM
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        for number in _SIGNALS:
            # nohup has it ignored, and so it stays.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested, self.status = True, 128 + number
