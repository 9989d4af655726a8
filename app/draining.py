"""Notice of the end: open streams and waiting requests are let go when the server is told to stop.

Servers finish what is running before they shut the application down, and an event stream would run
on; so the signal itself is listened to.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def when_told_to_stop(callback: Callable[[], None]) -> Iterator[None]:
    """Call ``callback`` on this event loop at SIGTERM or SIGINT, then do what was done before.
    Signals reach the main thread only; elsewhere nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def told(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(callback)
        earlier = before[signal.Signals(number)]
        if callable(earlier):
            earlier(number, frame)

    for number in _SIGNALS:
        if callable(before[number]):
            signal.signal(number, told)
    try:
        yield
    finally:
        for number in _SIGNALS:
            if signal.getsignal(number) is told:
                signal.signal(number, before[number])
