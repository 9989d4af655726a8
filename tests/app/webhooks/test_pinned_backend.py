"""What is checked is what is connected to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import httpcore
import pytest

from app.webhooks.addresses import Address, AddressPolicy, UnsafeAddress
from app.webhooks.sender import PinnedBackend, resolve


class Dialer(httpcore.AsyncMockBackend):
    """Notes which addresses are dialled; ``dead`` ones do not answer."""

    def __init__(self, dead: Sequence[str] = ()) -> None:
        super().__init__([b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"])
        self.dialled: list[str] = []
        self._dead = dead

    async def connect_tcp(
        self, host: str, *args: Any, **kwargs: Any
    ) -> httpcore.AsyncNetworkStream:
        self.dialled.append(host)
        if host in self._dead:
            raise httpcore.ConnectError(host)
        return await super().connect_tcp(host, *args, **kwargs)


class Names:
    """Answers look-ups in turn, as a name server under attack may."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[Address]:
        self.asked += 1
        return [ip_address(a) for a in self._answers[min(self.asked, len(self._answers)) - 1]]


def dial(names: Names, dialer: Dialer, policy: AddressPolicy | None = None) -> None:
    backend = PinnedBackend(policy or AddressPolicy(), names, dialer)
    asyncio.run(backend.connect_tcp("hook.example.com", 443))


def test_the_address_is_dialled_not_the_name() -> None:
    names, dialer = Names(["8.8.8.8"]), Dialer()
    dial(names, dialer)
    assert dialer.dialled == ["8.8.8.8"]


def test_a_name_that_turns_inwards_later_gains_nothing() -> None:
    names, dialer = Names(["8.8.8.8"], ["127.0.0.1"]), Dialer()
    dial(names, dialer)
    assert (names.asked, dialer.dialled) == (1, ["8.8.8.8"])


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        ["8.8.8.8", "10.0.0.1"],
        ["2606:4700::1", "::1"],
        ["::ffff:169.254.169.254"],
        ["64:ff9b::a00:1"],
        ["2002:a00:1::"],
    ],
)
def test_one_inner_address_is_one_too_many(answer: list[str]) -> None:
    dialer = Dialer()
    with pytest.raises(UnsafeAddress):
        dial(Names(answer), dialer)
    assert dialer.dialled == []


def test_the_next_address_is_tried_when_one_is_dead() -> None:
    dialer = Dialer(dead=["2606:4700::1"])
    dial(Names(["2606:4700::1", "8.8.8.8"]), dialer)
    assert dialer.dialled == ["2606:4700::1", "8.8.8.8"]
    dead = Dialer(dead=["8.8.8.8"])
    with pytest.raises(httpcore.ConnectError):
        dial(Names(["8.8.8.8"]), dead)


def test_a_name_without_address() -> None:
    async def nowhere(host: str, port: int) -> list[Address]:
        raise OSError("no such name")

    for names in (nowhere, Names([])):
        with pytest.raises(httpcore.ConnectError):
            asyncio.run(PinnedBackend(AddressPolicy(), names, Dialer()).connect_tcp("x.example", 1))


def test_this_machines_own_resolver() -> None:
    assert ip_address("127.0.0.1") in asyncio.run(resolve("127.0.0.1", 80))
