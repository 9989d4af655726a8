"""Ports that servers of tests listen on."""

from __future__ import annotations

import random
import socket

_PORTS = range(15_000, 32_000)  # below those that outgoing connections get
_given: set[int] = set()
_random = random.SystemRandom()  # runs side by side must not draw the same ones


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on; never the same twice, as servers may start long
    after they were given theirs.
    """
    while True:
        port = _random.choice(_PORTS)
        if port not in _given and _can_listen(port):
            _given.add(port)
            return port


def _can_listen(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
