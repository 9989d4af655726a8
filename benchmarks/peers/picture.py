"""One picture, as every server makes it: the same steps, the same PNG."""

from __future__ import annotations

from typing import Any

from jobs.images import encode
from models.pipeline import Item, Output, Pipeline


def item(text: str, seed: int) -> Item:
    """What a request asks for."""
    return Item(text, seed)


def png(pipeline: Pipeline[Any], prepared: Any, output: Output) -> bytes:
    """The answer to a request."""
    return encode(pipeline.finish_output(prepared, output)[0])


def pngs(pipeline: Pipeline[Any], items: list[Item]) -> list[bytes]:
    """A batch, from requests to answers."""
    prepared = [pipeline.prepare(item) for item in items]
    outputs = pipeline.forward(prepared)
    return [png(pipeline, p, x) for p, x in zip(prepared, outputs, strict=True)]
