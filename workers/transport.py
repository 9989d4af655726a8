"""Celery's Redis transport, without its notes in Redis of what was taken and not acknowledged yet.

They would be two transactions for each message, to find again what a dead worker had; the steward
does that from the jobs' records.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis, virtual


class Held(virtual.QoS):
    """Messages that this process has taken: counted against the prefetch limit, and put back when
    it ends or refuses them.
    """

    def restore_unacked(self) -> list[Any]:
        """Put back what can be. What can't, because the broker is away, is no loss to be written to
        a file: nothing is told of it.
        """
        super().restore_unacked()
        return []


class Channel(redis.Channel):
    """With ``ack_emulation`` off, as the transport's options have it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.QoS = Held  # type: ignore[assignment]


class Transport(redis.Transport):
    """Over TCP, TLS or a unix socket."""

    Channel = Channel


def use() -> None:
    """For every address of a Redis, in this process. Addresses name their transport, and those of
    unix sockets can't be given another.
    """
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:Transport"))
