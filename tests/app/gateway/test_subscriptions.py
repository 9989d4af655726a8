"""The gateway's one subscription: quiet is no fault, silence is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from app.gateway.subscriptions import JobChanges, JobSubscriptions
from jobs.connections import connect
from jobs.job import Job, Status


async def heard(notes: list[str], count: int, seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while len(notes) < count:
            await asyncio.sleep(0.02)


def listening(url: str, story: Callable[[str, list[str]], Awaitable[None]]) -> list[str]:
    """What is heard while the story goes on."""
    channel, notes = f"changed-{os.getpid()}-{id(story)}", []

    async def run() -> None:
        task = asyncio.create_task(JobChanges(url, channel, 0.1).run(notes.append))
        await heard(notes, 1)
        await story(channel, notes)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(run())
    return notes


def test_a_quiet_subscription_is_kept(valkey: str) -> None:
    client = connect(valkey)

    async def story(channel: str, notes: list[str]) -> None:
        await asyncio.sleep(1.0)  # ten tests of the connection
        client.publish(channel, "job-1\njob-2 succeeded")
        await heard(notes, 3)

    assert listening(valkey, story) == ["", "job-1", "job-2 succeeded"]
    client.close()


def test_a_broken_subscription_is_renewed(valkey: str) -> None:
    client = connect(valkey)

    async def story(channel: str, notes: list[str]) -> None:
        client.client_kill_filter(_type="pubsub")
        await heard(notes, 2)
        client.publish(channel, "job-2")
        await heard(notes, 3)

    assert listening(valkey, story) == ["", "", "job-2"]
    client.close()


def test_a_silent_server_is_left_and_found_again(valkey: str) -> None:
    """As behind a firewall that drops the connection without a word."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = valkey.removeprefix("unix://").split("?")[0]
        inner_reader, inner_writer = await asyncio.open_unix_connection(path)
        try:
            while data := await reader.read(65536):
                if b"PING" in data:
                    await asyncio.sleep(3600)
                inner_writer.write(data)
                writer.write(await inner_reader.read(65536))
        finally:
            inner_writer.close()
            writer.close()

    notes: list[str] = []

    async def run() -> None:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        source = JobChanges(f"redis://127.0.0.1:{port}/0", "quiet", 0.1)
        task = asyncio.create_task(source.run(notes.append))
        await heard(notes, 3)
        task.cancel()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for other in others:
            other.cancel()
        await asyncio.wait(others)
        server.close()

    asyncio.run(run())
    assert set(notes) == {""}


class Announcer:
    """A source that says what it is asked to."""

    async def run(self, on_change: Callable[[str], None]) -> None:
        self.say = on_change
        await asyncio.Event().wait()


def waited(story: Callable[[Announcer], Awaitable[None]], seconds: float) -> tuple[Status, int]:
    """The status that somebody hears who waits for job "a", and how often its record was read,
    which is over from the first reading on.
    """
    reads = 0

    async def read(job_id: str) -> Job:
        nonlocal reads
        reads += 1
        return Job(id=job_id, task="t", created_at=0, request={}, status=Status.succeeded)

    async def run() -> Status:
        announcer = Announcer()
        waiters = JobSubscriptions(announcer)
        await waiters.start()
        await asyncio.sleep(0)
        known = Job(id="a", task="t", created_at=0, request={})
        with waiters.subscribe("a") as watch:
            await story(announcer)
            job = await watch.wait_until_final(read, seconds, known=known)
        await waiters.stop()
        assert job is not None
        return job.status

    return asyncio.run(run()), reads


def test_the_end_of_a_job_is_read_once() -> None:
    async def story(announcer: Announcer) -> None:
        for notice in ("a", "b succeeded", "a succeeded"):
            announcer.say(notice)

    assert waited(story, 30) == (Status.succeeded, 1)


def test_other_changes_wake_nobody() -> None:
    async def story(announcer: Announcer) -> None:
        for notice in ("a", "b", "b failed"):
            announcer.say(notice)

    assert waited(story, 0.3) == (Status.succeeded, 1)  # read when the time is over


def test_what_may_have_been_missed_is_looked_up() -> None:
    async def story(announcer: Announcer) -> None:
        announcer.say("")

    assert waited(story, 30) == (Status.succeeded, 1)
