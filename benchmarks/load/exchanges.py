"""How a client asks for one picture: by which requests, and what it takes for an answer."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from benchmarks.load.connections import Answer, Server

TEXT = "a bird"
_WAIT = 60  # seconds
_PNG = b"\x89PNG"
Fields = Mapping[str, Any]


def fields(seed: int) -> Fields:
    """What is asked for: one picture."""
    return {"text": TEXT, "seed": seed}


class Refused(Exception):
    """The server did not give what it was asked for."""


def checked(answer: Answer, status: int) -> Answer:
    """The answer, if it has this status."""
    if answer.status != status:
        raise Refused(f"{answer.status}: {answer.body[:200]!r}")
    return answer


def picture(answer: Answer) -> bytes:
    """The answer's PNG."""
    if not checked(answer, 200).body.startswith(_PNG):
        raise Refused(f"no picture but {answer.body[:200]!r}")
    return answer.body


async def predict(server: Server, asked: Fields) -> bytes:
    """Peers: the answer to the only request is the picture."""
    return picture(await server.post("/predict", asked))


async def wait(server: Server, asked: Fields) -> bytes:
    """The service, in one request: ``?wait=`` and ``Accept: image/png``."""
    return picture(await server.post(f"/synthesize?wait={_WAIT}", asked, "image/png"))


async def poll(server: Server, asked: Fields) -> bytes:
    """The service, in three requests: submit, wait for the job, fetch its picture."""
    job = await _submitted(server, asked)
    result = json.loads(checked(await server.get(f"/jobs/{job}?wait={_WAIT}"), 200).body)
    if result["status"] != "succeeded":
        raise Refused(f"the job is {result['status']}")
    return picture(await server.get(result["images"][0]["url"], "image/png"))


async def submit(server: Server, asked: Fields) -> bytes:
    """The service, submission alone: accepted, recorded and sent."""
    return (await _submitted(server, asked)).encode()


async def echo(server: Server, asked: Fields) -> bytes:
    """The plain FastAPI peer, checking a request and answering it: what any HTTP costs here."""
    return checked(await server.post("/echo", asked), 202).body


async def _submitted(server: Server, asked: Fields) -> str:
    answer = await server.post("/synthesize", asked)
    return str(json.loads(checked(answer, 202).body)["id"])


Exchange = Callable[[Server, Fields], Awaitable[bytes]]
EXCHANGES: dict[str, Exchange] = {f.__name__: f for f in (predict, wait, poll, submit, echo)}
