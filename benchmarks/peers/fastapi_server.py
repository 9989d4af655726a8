"""Plain FastAPI: a route that is an ordinary function runs in the thread pool, and the networks are
used by one thread at a time. ``/echo`` checks a request and answers it, no more.
"""

from __future__ import annotations

import threading

import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel

from benchmarks.peers.start import Given, given, png
from models.pipeline import Item


class Asked(BaseModel):
    text: str
    seed: int


def build(given: Given) -> FastAPI:
    app = FastAPI()
    pipeline = given.pipeline()
    networks = threading.Lock()

    @app.post("/predict")
    def predict(asked: Asked) -> Response:
        prepared = pipeline.prepare(Item(asked.text, asked.seed))
        with networks:
            (output,) = pipeline.forward([prepared])
        return Response(png(pipeline, prepared, output), media_type="image/png")

    @app.post("/echo", status_code=202)
    async def echo(asked: Asked) -> Asked:
        return asked

    return app


if __name__ == "__main__":
    result = given("benchmarks.peers.fastapi_server")
    uvicorn.run(build(result), host="127.0.0.1", port=result.port, log_level="warning")
