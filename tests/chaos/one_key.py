"""One hostile caller, one polite caller: what either may have is bounded, so whatever the hostile
one does, the polite one's jobs are accepted nearly as fast as alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from app.gateway.openai.responses import UrlSigner, linked_name
from app.gateway.server import raise_open_file_limit
from jobs.images import encode
from jobs.job import Status
from tests.chaos import target
from tests.chaos.faults import Family, Fault, Finding
from tests.chaos.lines import head, heard, line, poured
from tests.chaos.polite import Polite, hostile
from tests.chaos.processes import wait_until
from tests.chaos.target import Target
from tests.chaos.watch import MB
from tests.picture_files import photo, saved, scan_bomb

_FULL, _QUICK = 15.0, 8.0  # seconds alone, and as many beside
_SOON = 0.1  # seconds: nobody minds a wait of that length, however short it is alone
_UPLOADS, _UNREAD, _STORED = 128 * MB, 64 * MB, 300 * MB
_DECODER = 700 * MB  # of the largest picture
_SETTINGS = {
    "UPLOAD_MEMORY": str(_UPLOADS),
    "UNREAD_MEMORY": str(_UNREAD),
    "MAX_STORED": str(_STORED),
}
_SIDE = 7000  # pixels of a picture that is nearly as large as may be
_TEXT = {"text": "a red bird"}
_SMALL = saved(photo(64, 64), "JPEG")
_LARGE = saved(Image.effect_noise((1000, 1000), 90).convert("RGB"))  # more than a megabyte

Attack = Callable[[], None]


@dataclass(frozen=True)
class Row:
    """``prepare`` is given the target and returns the attack, which lasts until it is ended;
    ``memory``, ``disk``, ``redis``: bytes that it may cost.
    """

    name: str
    prepare: Callable[[Target], Attack]
    memory: int
    disk: int = 20 * MB
    redis: int = 20 * MB
    photo: bytes = _SMALL

    def trial(self, target: Target) -> Finding:
        if target.mine:  # with all its rates unused
            target.mine = target.add_key("hostile")
        attack = self.prepare(target)
        files = {"files": {"image": ("a.jpg", self.photo)}}
        requests: list[tuple[str, dict[str, Any]]] = [
            ("/synthesize", {"json": _TEXT}),
            ("/manipulate", {"data": _TEXT, **files}),
        ]
        polite, seconds = Polite(target, requests), float(target.count)
        alone = polite.send_for(seconds)
        polite.refused.clear()
        before = _costs(target)
        target.forget_peak()
        with hostile(attack):
            beside = polite.send_for(seconds)
            peak, after = target.peak(), _costs(target)
        costs = {
            "memory": (peak - before["memory"], self.memory),
            "disk": (after["disk"] - before["disk"], self.disk),
            "redis": (after["redis"] - before["redis"], self.redis),
        }
        broken = [f"the polite caller was answered {answer}" for answer in polite.refused]
        if beside > max(2 * alone, _SOON):
            broken.append("the polite caller waits more than twice as long")
        broken += [f"too much {name}" for name, (cost, most) in costs.items() if cost > most]
        notes = [f"p95 alone {alone * 1000:.0f} ms, beside {beside * 1000:.0f} ms"]
        notes += [f"{n} +{c / MB:.0f} of {m / MB:.0f} MB" for n, (c, m) in costs.items()]
        _wait_until_calm(target)
        return Finding(broken=tuple(broken), notes=tuple(notes))


def _costs(target: Target) -> dict[str, int]:
    blobs = target.folder / "blobs"
    return {
        "memory": target.memory(),
        "disk": sum(p.stat().st_size for p in blobs.rglob("*") if p.is_file()),
        "redis": target.store.load().used_bytes,
    }


def _wait_until_calm(target: Target) -> None:
    """Until what the attack began has ended, so that the next trial measures its own."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        before = target.busy_seconds()
        time.sleep(1.0)
        if target.busy_seconds() - before < 0.1:
            return


def _hammer(port: int, requests: Sequence[bytes], lines: int) -> None:
    """Send ``requests`` on so many connections, each as soon as the last was answered."""

    async def one(number: int) -> None:
        while True:
            for turn in range(len(requests)):
                with suppress(OSError, TimeoutError):
                    async with line(port) as (reader, writer):
                        answer = asyncio.create_task(heard(reader))
                        await poured(writer, iter([requests[(number + turn) % len(requests)]]))
                        await answer
                await asyncio.sleep(0.01)

    async def all_of_them() -> None:
        await asyncio.gather(*map(one, range(lines)))

    asyncio.run(all_of_them())


def _post(target: Target, path: str, body: bytes, kind: str = "application/json") -> bytes:
    size = str(len(body))
    named = {"Content_Type": kind, "Content_Length": size, "Connection": "close"}
    return head("POST", path, target.mine, **named) + body


def _upload(target: Target, data: bytes) -> bytes:
    form = [
        b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\na red bird\r\n',
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n',
        data,
        b"\r\n--b--\r\n",
    ]
    return _post(target, "/manipulate", b"".join(form), "multipart/form-data; boundary=b")


def unknown_fields(target: Target) -> Attack:
    """Bodies of 9.9 MB, of fields that there are not."""
    fields = {**_TEXT, "prompt": "a red bird", **{f"field{n:06d}": n for n in range(410_000)}}
    body = json.dumps(fields).encode()
    paths = ("/synthesize", "/manipulate", "/v1/images/generations")
    return partial(_hammer, target.port, [_post(target, path, body) for path in paths], 4)


def sessions(target: Target) -> Attack:
    """As many sessions as can be started."""
    return partial(_hammer, target.port, [_post(target, "/session", b"")], 8)


def conversions(target: Target) -> Attack:
    """The largest pictures, each in every format that it does not have."""
    jobs = [_finished(target, _noise(_SIDE), _SIDE) for _ in range(3)]
    get = partial(head, "GET", key=target.mine, Connection="close")
    requests = [
        get(f"/jobs/{job}/images/0", Accept=f"image/{kind}")
        for job in jobs
        for kind in ("webp", "jpeg")
    ]
    return partial(_hammer, target.port, requests, 24)


def unread(target: Target) -> Attack:
    """Large pictures that nobody reads: by the key, by signed addresses, within JSON."""
    side = 2500
    data = _noise(side)
    jobs = [_finished(target, data, side) for _ in range(4)]
    signer = UrlSigner(target.store, 3600)
    links = [signer.sign(linked_name(job, 0, None, None)) for job in jobs]
    queries = [f"expires={q['expires']}&signature={q['signature']}" for q in links]
    requests = [head("GET", f"/jobs/{job}/images/0", target.mine) for job in jobs]
    requests += [
        head("GET", f"/v1/images/{job}/0?{query}") for job, query in zip(jobs, queries, strict=True)
    ]
    requests.append(_finished_prompt(target, data, side))
    return partial(_open_unread, target.port, requests * 25)


def _open_unread(port: int, requests: Sequence[bytes]) -> None:
    while True:
        lines = []
        for request in requests:
            with suppress(OSError):
                made = socket.socket()
                lines.append(made)
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                made.connect(("127.0.0.1", port))
                made.sendall(request)
        time.sleep(6)
        for made in lines:
            made.close()


def _finished_prompt(target: Target, data: bytes, side: int) -> bytes:
    """A request under /v1 whose job is done, so that it is answered at once."""
    body = json.dumps({"prompt": "a red bird"}).encode()
    known = {"Content_Type": "application/json", "Idempotency_Key": "unread"}
    request = head(
        "POST", "/v1/images/generations", target.mine, Content_Length=str(len(body)), **known
    )
    with target.client(target.mine) as http:
        headers = {name.replace("_", "-"): value for name, value in known.items()}
        send = partial(http.post, "/v1/images/generations", content=body, headers=headers)
        sending = threading.Thread(target=send)
        sending.start()
        wait_until(lambda: target.store.load().waiting, 20, "the job of the prompt")
        (job,) = target.store.list_jobs(Status.queued, 1, None)[0]
        target.finish(job.id, data, (side, side))
        sending.join(30)
    return request + body


def _finished(target: Target, data: bytes, side: int) -> str:
    job = target.a_job(target.mine)
    target.finish(job, data, (side, side))
    return job


def _noise(side: int) -> bytes:
    tile = Image.frombytes("RGB", (500, 500), os.urandom(750_000))
    whole = Image.new("RGB", (side, side))
    for place in range((side // 500) ** 2):
        whole.paste(tile, (place % (side // 500) * 500, place // (side // 500) * 500))
    return encode(whole)


def many_scans(target: Target) -> Attack:
    """Small files that take long to decode."""
    return partial(_hammer, target.port, [_upload(target, scan_bomb(_SIDE, _SIDE, 100))], 8)


def large_uploads(target: Target) -> Attack:
    """The largest photos, in few bytes."""
    data = saved(Image.new("RGB", (_SIDE, _SIDE), "red"), "JPEG", progressive=True)
    return partial(_hammer, target.port, [_upload(target, data)], 8)


def trickled_bodies(target: Target) -> Attack:
    """Large bodies that never end."""
    kind = {"Content_Type": "application/json", "Content_Length": "60000000"}
    start = head("POST", "/manipulate", target.mine, **kind)

    async def one() -> None:
        while True:
            with suppress(OSError, TimeoutError):
                async with line(target.port) as (reader, writer):
                    writer.write(start)
                    answer = asyncio.create_task(heard(reader))
                    await poured(writer, iter([b" " * MB] * 57))
                    while not answer.done():
                        writer.write(b" " * 16_384)
                        await asyncio.wait([answer], timeout=0.5)
            await asyncio.sleep(0.1)

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(12)))

    return lambda: asyncio.run(all_of_them())


def stored_pictures(target: Target) -> Attack:
    """Photos that are many times larger as they are stored."""
    noise = Image.frombytes("RGB", (500, 500), os.urandom(750_000)).resize((5000, 5000))
    data = saved(noise, "JPEG", quality=60)
    return partial(_hammer, target.port, [_upload(target, data)], 4)


_ROWS = (
    Row("JSON of 9.9 MB with unknown fields", unknown_fields, 100 * MB),
    Row("conversions of 49 megapixels", conversions, _DECODER + 100 * MB, disk=400 * MB),
    Row("large pictures that nobody reads", unread, _UNREAD + 100 * MB),
    Row("photos of 49 megapixels and 100 scans", many_scans, 2 * _DECODER, disk=_STORED),
    Row("photos of 49 megapixels", large_uploads, 2 * _DECODER, disk=_STORED + 200 * MB),
    Row("bodies that never end", trickled_bodies, 2 * _UPLOADS + 100 * MB, photo=_LARGE),
    Row("photos that grow as they are stored", stored_pictures, 2 * _DECODER, _STORED + 200 * MB),
)
_WITH_KEYS = (*_ROWS[:1], Row("sessions without end", sessions, 50 * MB), *_ROWS[1:])


@contextmanager
def opened(_folder: Path, quick: bool, keyed: bool) -> Iterator[Target]:
    raise_open_file_limit()
    with target.opened(_SETTINGS, keyed) as made:
        made.count = int(_QUICK if quick else _FULL)
        yield made


_BAR = "polite p95 at most doubles, or stays below 100 ms; memory, disk and Redis within bounds"
FAMILIES = tuple(
    Family(
        f"one hostile {who}",
        partial(opened, keyed=keyed),
        [Fault(f"hostile {who}: {row.name}", _BAR, row.trial) for row in rows],
        alone=True,  # seconds and megabytes are measured
    )
    for who, keyed, rows in (("key", True, _WITH_KEYS), ("caller without a key", False, _ROWS))
)
