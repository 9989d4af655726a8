"""LitServe with batching on: one API server, one worker. A batch waits up to 5 ms for company,
about as long as the service lets it wait; other windows gain nothing (docs/log.md).
"""

from __future__ import annotations

from typing import Any

import litserve
from fastapi import Response
from torch import set_num_threads

from benchmarks.peers.start import Given, given, png
from models.pipeline import Item

BATCH_TIMEOUT = 0.005  # seconds


class Pictures(litserve.LitAPI):  # type: ignore[misc]
    """The pipeline's three steps in LitServe's words."""

    def __init__(self, given: Given) -> None:
        super().__init__(max_batch_size=given.subject.batch, batch_timeout=BATCH_TIMEOUT)
        self._given = given

    def setup(self, device: str) -> None:  # noqa: ARG002 (the CPU)
        set_num_threads(1)
        self.pipeline = self._given.pipeline()

    # LitServe reads the annotation: without one, request is the JSON object that was sent.
    def decode_request(self, request) -> Any:  # type: ignore[no-untyped-def]
        return self.pipeline.prepare(Item(request["text"], request["seed"]))

    def batch(self, inputs: list[Any]) -> list[Any]:
        return inputs

    def predict(self, batch: list[Any]) -> list[tuple[Any, Any]]:
        return list(zip(batch, self.pipeline.forward(batch), strict=True))

    def unbatch(self, output: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        return output

    def encode_response(self, output: tuple[Any, Any]) -> Response:
        return Response(png(self.pipeline, *output), media_type="image/png")


if __name__ == "__main__":
    result = given("benchmarks.peers.litserve_server")
    server = litserve.LitServer(Pictures(result), accelerator="cpu", timeout=120)
    server.run(host="127.0.0.1", port=result.port, log_level="warning", generate_client_file=False)
