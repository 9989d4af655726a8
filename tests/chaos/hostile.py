"""A hostile client, with a key of its own: what it may take is bounded, what is not its own stays
hidden, and others are served meanwhile.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from app.gateway.api_keys import default_scopes, generate_key, new_api_key
from app.gateway.server import raise_open_file_limit
from jobs.storage_identity import BLOB_KEY
from tests.app.gateway.malformed.photos import BOMBS, SIZES
from tests.app.webhooks.test_addresses import HOSTILE
from tests.chaos import target
from tests.chaos.faults import Family, Fault, Finding
from tests.chaos.lines import dripped, head, heard, line, poured
from tests.chaos.target import Target
from tests.chaos.watch import MB, Watch, leaks
from tests.picture_files import chunk, header, png, rows

_PATIENCE = 3.0  # seconds that the gateway has with slow clients here
_LONG = 60.0
_STREAMS = 64  # that one caller may have
_BODIES = 128 * MB  # of all callers together, here
_SETTINGS = {
    "HEADER_TIMEOUT": str(_PATIENCE),
    "BODY_TIMEOUT": str(_PATIENCE),
    "BODY_MEMORY": str(_BODIES),
    "MAX_STREAMS": str(_STREAMS),
    "RATE_SUBMIT": "100000/minute",
    "RATE_READ": "100000/minute",
}


def slow_loris(target: Target) -> Finding:
    """Headers and bodies that come a byte at a time, on 500 connections."""
    body = head(
        "POST",
        "/synthesize",
        target.mine,
        Content_Type="application/json",
        Content_Length="9999999",
    )

    async def attack() -> list[tuple[float, bytes]]:
        headers = [dripped(target.port, b"GET / HTTP/1.1\r\nX: ", b"x", _LONG) for _ in range(300)]
        bodies = [dripped(target.port, body, b" ", _LONG) for _ in range(100)]
        silent = [dripped(target.port, b"", b"", _LONG) for _ in range(100)]
        return await asyncio.gather(*headers, *bodies, *silent)

    with Watch(target, 100 * MB) as watch:
        ends = asyncio.run(attack())
        slowest = max(seconds for seconds, _ in ends)
        watch.expect(slowest < _PATIENCE + 10, f"a connection was kept for {slowest:.0f} s")
        result = [answer for _, answer in ends[300:400]]
        refused = sum(answer.startswith(b"HTTP/1.1 408") for answer in result)
        watch.expect(refused == 100, f"{100 - refused} slow bodies were not answered 408")
        watch.notes.append(f"500 slow connections, all closed within {slowest:.1f} s")
    return watch.finding()


def endless_headers(target: Target) -> Finding:
    """Headers, one header, an address and trailers that never end, as fast as the network is."""
    start = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    chunked = head(
        "POST",
        "/synthesize",
        target.mine,
        Content_Type="application/json",
        Transfer_Encoding="chunked",
    )
    floods = {
        "headers": (start, b"X-Bird: " + b"x" * 1000 + b"\r\n"),
        "one header": (start + b"X: ", b"x" * 65536),
        "an address": (b"GET /", b"x" * 65536),
        "trailers": (chunked + b"2\r\n{}\r\n0\r\n", b"X-Bird: " + b"x" * 1000 + b"\r\n"),
        "one trailer": (chunked + b"2\r\n{}\r\n0\r\nX: ", b"x" * 65536),
        "a chunk's extension": (chunked + b"2;x=", b"x" * 65536),
    }

    async def attack(start: bytes, more: bytes) -> tuple[int, bytes]:
        async with line(target.port) as (reader, writer):
            writer.write(start)
            result = asyncio.create_task(heard(reader))
            sent = await poured(writer, itertools.repeat(more, 200 * MB // len(more)))
            return sent, await result

    with Watch(target, 100 * MB) as watch:
        for name, (begin, more) in floods.items():
            sent, _ = asyncio.run(attack(begin, more))
            watch.expect(sent < 20 * MB, f"{sent / MB:.0f} MB of {name} were taken")
    watch.notes.append(f"{len(floods)} floods, each cut off")
    return watch.finding()


def streams(target: Target) -> Finding:
    """A thousand event streams of one caller, then a thousand of many."""
    keys = [generate_key() for _ in range(20)]
    for number, key in enumerate(keys):
        target.keys.add(new_api_key(key, f"many-{number}", default_scopes()))
    jobs = {key: target.a_job(key) for key in [target.mine, target.theirs, *keys]}

    async def opened(key: str) -> tuple[int, Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        writer.write(head("GET", f"/jobs/{jobs[key]}/events", key))
        status = int((await asyncio.wait_for(reader.readline(), 60)).split()[1])
        return status, writer

    async def attack(wanted: Sequence[str]) -> Counter[int]:
        got = await asyncio.gather(*(opened(key) for key in wanted))
        somebody, writer = await opened(target.theirs)
        await asyncio.sleep(2)
        for _, each in [*got, (0, writer)]:
            each.transport.abort()
        return Counter([status for status, _ in got] + [-somebody])

    with Watch(target, 200 * MB) as watch:
        one = asyncio.run(attack([target.mine] * 1000))
        watch.expect(one[200] <= _STREAMS, f"one caller has {one[200]} streams")
        watch.expect(one[200] + one[429] == 1000, f"a thousand streams were answered {dict(one)}")
        watch.expect(one[-200] == 1, "somebody else could not open a stream")
        time.sleep(2)
        many = asyncio.run(attack(keys * 50))
        watch.expect(many[200] == 1000, f"a thousand streams of many: {dict(many)}")
    watch.notes.append(
        f"of a thousand streams one caller got {one[200]}, twenty callers {many[200]}"
    )
    return watch.finding()


def large_bodies(target: Target) -> Finding:
    """A body of 1 GB, declared or not, and thirty of 60 MB at the same time."""
    kind = {"Content_Type": "application/json"}
    declared = head("POST", "/synthesize", target.mine, Content_Length=str(1024 * MB), **kind)
    chunked = head("POST", "/synthesize", target.mine, Transfer_Encoding="chunked", **kind)
    sixty = head("POST", "/inpaint", target.mine, Content_Length=str(60 * MB), **kind)
    piece = b"%x\r\n" % MB + b" " * MB + b"\r\n"

    async def attack(start: bytes, pieces: Iterator[bytes]) -> tuple[int, bytes]:
        async with line(target.port) as (reader, writer):
            writer.write(start)
            result = asyncio.create_task(heard(reader))
            sent = await poured(writer, pieces)
            return sent, await result

    async def at_once() -> list[tuple[int, bytes]]:
        one = b" " * MB
        return await asyncio.gather(*(attack(sixty, itertools.repeat(one, 59)) for _ in range(30)))

    with Watch(target, _BODIES + 200 * MB) as watch:
        sent, result = asyncio.run(attack(declared, itertools.repeat(b" " * MB, 1024)))
        watch.expect(sent < 30 * MB, f"{sent / MB:.0f} MB of a declared GB were taken")
        watch.notes.append(
            f"of 1 GB declared {sent / MB:.0f} MB were taken: {result[9:12].decode()}"
        )
        sent, result = asyncio.run(attack(chunked, itertools.repeat(piece, 1024)))
        watch.expect(sent < 100 * MB, f"{sent / MB:.0f} MB of a GB in chunks were taken")
        watch.notes.append(f"in chunks {sent / MB:.0f} MB: {result[9:12].decode()}")
        ends = Counter(result[9:12].decode() for _, result in asyncio.run(at_once()))
        watch.expect(ends["503"] + ends["429"] > 0, f"thirty bodies of 60 MB at once: {dict(ends)}")
        watch.notes.append(f"thirty of 60 MB at once, left unfinished: {dict(ends)}")
    return watch.finding()


def bombs(target: Target) -> Finding:
    """Small requests that want to become large."""
    clear = png(head=header(7000, 7000, 8, 6), pixels=rows(7000, 7000, 4))
    whole = {"data": {"text": "a red bird"}, "files": {"image": ("a.png", clear)}}
    zipped = gzip.compress(b'{"text": "' + b"a" * 100 * MB + b'"}')
    deep = b'{"text":' * (7 * MB)
    as_json = {"Content-Type": "application/json"}
    as_zip = as_json | {"Content-Encoding": "gzip"}
    requests: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
        upload.name: (upload.path, dict(upload.request), (upload.status,))
        for upload in [*BOMBS, *SIZES]
    }
    requests |= {
        "gzip": ("/synthesize", {"content": zipped, "headers": as_zip}, (415,)),
        "deep json": ("/synthesize", {"content": deep, "headers": as_json}, (400, 413)),
        "chunks of no bytes": ("/manipulate", _picture(png(*[chunk(b"IDAT")] * 4_000_000)), (422,)),
        "clear picture of 49 megapixels": ("/manipulate", whole, (202,)),
    }  # fmt: skip
    slowest = 0.0
    with Watch(target, 1500 * MB) as watch:
        for name, (path, request, wanted) in requests.items():
            started = time.monotonic()
            answer = target.http.post(path, **request)
            seconds = time.monotonic() - started
            slowest = max(slowest, seconds)
            watch.expect(seconds < 20, f"{name} took {seconds:.0f} s")
            result = f"{answer.status_code} {answer.text[:100]}"
            watch.expect(answer.status_code in wanted, f"{name} was answered {result}")
            watch.broken += leaks(target, f"the answer to {name}", answer.text)
        _all_at_once(target, watch, whole)
    watch.notes.append(f"{len(requests)} bombs, slowest answer {slowest:.1f} s")
    return watch.finding()


def _picture(data: bytes) -> dict[str, Any]:
    return {"data": {"text": "a red bird"}, "files": {"image": ("a.png", data)}}


def _all_at_once(target: Target, watch: Watch, request: dict[str, Any]) -> None:
    """Twelve pictures of 49 megapixels, each of some kilobytes."""
    statuses: list[int] = []

    def send() -> None:
        with target.client(target.mine, timeout=120) as http:
            statuses.append(http.post("/manipulate", **request).status_code)

    threads = [threading.Thread(target=send) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(180)
    watch.expect(statuses == [202] * 12, f"twelve large pictures were answered {statuses}")


_TRICKS = [
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "..%252f..%252fetc%252fpasswd",
    "..%c0%af..%c0%afetc/passwd",
    "%2fetc%2fpasswd",
    "..\\..\\etc\\passwd",
    "..%5c..%5cetc%5cpasswd",
    "file:%2f%2f%2fetc%2fpasswd",
    "....//....//etc/passwd",
    "a%00.png",
    "%0d%0aSet-Cookie:%20x=y",
    "*",
    "%2a",
    "{job_id}",
    "job:*",
    "-1",
    "'%20OR%20'1'='1",
    "${jndi:ldap:%2f%2fx}",
    "%ff%fe",
    "a" * 5000,
    "con",
    ".",
    "..",
    "%20",
]


def names(target: Target) -> Finding:
    """Names that lead elsewhere: in addresses, file names, fields."""
    count = Counter[int]()
    with Watch(target, 150 * MB) as watch:
        for answer in _tricks(target):
            count[answer.status_code] += 1
            watch.expect(
                answer.status_code < 500, f"{answer.request.url} was answered {answer.status_code}"
            )
            watch.broken += leaks(target, str(answer.request.url)[:80], answer.text)
            watch.expect("x=y" not in str(answer.headers), f"{answer.request.url} made a header")
        keys = [
            str(p.relative_to(target.folder / "blobs"))
            for p in (target.folder / "blobs").rglob("*")
            if p.is_file()
        ]
        own = rf"jobs/[0-9a-f]{{32}}/(in-(image|mask)|t-0)\.png|{BLOB_KEY}"
        strange = [k for k in keys if not re.fullmatch(own, k)]
        watch.expect(not strange, f"strange files are stored: {strange[:3]}")
    watch.notes.append(
        f"{count.total()} names, answered {dict(sorted(count.items()))}; "
        f"{len(keys)} files stored, all under names of the service's own"
    )
    return watch.finding()


def _tricks(target: Target) -> Iterator[httpx.Response]:
    http, job = target.http, target.a_job(target.mine, finished=True)
    for trick in _TRICKS:
        for path in (
            "/jobs/{}",
            "/jobs/{}/events",
            f"/jobs/{job}/images/{{}}",
            "/models/{}/vocabulary",
            "/{}",
            "/docs/{}",
        ):
            yield http.get(httpx.URL(target.url).copy_with(raw_path=path.format(trick).encode()))
        yield http.delete(httpx.URL(target.url).copy_with(raw_path=f"/jobs/{trick}".encode()))
        yield http.post("/synthesize", json={"text": "a bird", "bundle": trick})
        yield http.post("/synthesize", json={"text": "a bird", "method": trick})
        yield http.post("/manipulate", json={"text": "a bird", "image": f"/jobs/{trick}/images/0"})
        yield http.post("/manipulate", data={"text": "a bird"}, files={"image": (trick, png())})
        yield http.post("/manipulate", data={"text": "a bird"}, files={trick: ("a.png", png())})


def others(target: Target) -> Finding:
    """Another key's jobs, by every address: the same as those that never were."""
    theirs, never = target.a_job(target.theirs, finished=True), "0" * 32
    requests = [
        ("GET", "/jobs/{}", None),
        ("GET", "/jobs/{}?wait=1", None),
        ("GET", "/jobs/{}/events", None),
        ("GET", "/jobs/{}/images/0", None),
        ("GET", "/jobs/{}/images/7", None),
        ("POST", "/jobs/{}/cancel", None),
        ("DELETE", "/jobs/{}", None),
        ("POST", "/manipulate", {"text": "a bird", "image": "/jobs/{}/images/0"}),
        ("POST", "/inpaint", {"text": "a bird", "image": "/jobs/{}/images/0", "mask": "1,1,5,5"}),
    ]
    with Watch(target, 100 * MB) as watch:
        for method, path, body in requests:
            answers = [_asked(target, method, path, body, job) for job in (theirs, never)]
            same = answers[0] == answers[1]
            watch.expect(same, f"{method} {path} tells that a job exists: {answers}")
            watch.expect(answers[0][0] in (404, 422), f"{method} {path} was answered {answers[0]}")
        listed = target.http.get("/jobs", params={"limit": 100}).text
        watch.expect(theirs not in listed, "the list shows another key's job")
        with target.client(target.theirs) as http:
            still = http.get(f"/jobs/{theirs}").json()["status"]
        watch.expect(still == "succeeded", f"the job is {still} now")
        with target.client("") as nobody:
            statuses = {
                nobody.request(m, p.format(theirs), json=b).status_code for m, p, b in requests
            }
        watch.expect(statuses == {401}, f"without a key they are answered {statuses}")
    watch.notes.append(f"{len(requests)} ways to another key's job")
    return watch.finding()


def _asked(
    target: Target, method: str, path: str, body: dict[str, str] | None, job: str
) -> tuple[int, str]:
    content = json.loads(json.dumps(body).replace("{}", job)) if body else None
    answer = target.http.request(method, path.format(job), json=content)
    return answer.status_code, answer.text.replace(job, "ID")


def webhooks(target: Target) -> Finding:
    """Webhooks that lead into the network that the service is in."""
    with Watch(target, 50 * MB) as watch:
        for address in HOSTILE:
            answer = target.http.post("/synthesize", json={"text": "a bird", "webhook": address})
            result = answer.text[:150]
            watch.expect(answer.status_code == 422, f"{address!r} was answered {result}")
            watch.expect("webhook can't be used" in result, f"{address!r} was answered {result}")
    watch.notes.append(f"{len(HOSTILE)} addresses refused")
    return watch.finding()


@contextmanager
def opened(_folder: Path, quick: bool) -> Iterator[Target]:
    raise_open_file_limit()
    with target.opened(_SETTINGS) as made:
        yield made


_BAR = "refused or bounded; others are answered within 5 s; nothing leaks"
FAMILY = Family(
    "hostile",
    opened,
    [
        Fault("slow loris, 500 connections", _BAR, slow_loris),
        Fault("headers and trailers that never end", _BAR, endless_headers),
        Fault("1,000 open event streams", _BAR, streams),
        Fault("1 GB body, many large bodies", _BAR, large_bodies),
        Fault("zip, PNG and JPEG bombs", _BAR, bombs),
        Fault("path tricks in names", _BAR, names),
        Fault("another key's job ids", "404, as if they never were", others),
        Fault("SSRF webhooks", "each refused", webhooks),
    ],
    alone=True,  # seconds and megabytes are measured
)
