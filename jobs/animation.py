"""The frames of one picture as an animation or side by side."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from jobs.images import encode

MOVING = ("webp", "gif")
_FRAME_MS = 80
_REST_MS = 800  # first and last frame: that is where the captions themselves are


def encode_frames(frames: Sequence[Image.Image], extension: str) -> tuple[bytes, tuple[int, int]]:
    """(bytes, size in pixels) of several RGB pictures of one size: an endless "webp" or "gif", or a
    strip from left to right as "png" or "jpeg".
    """
    if extension in MOVING:
        return _animated(frames, extension), frames[0].size
    strip = _strip(frames)
    return encode(strip, extension), strip.size


def _animated(frames: Sequence[Image.Image], extension: str) -> bytes:
    buffer = io.BytesIO()
    durations = [_REST_MS, *[_FRAME_MS] * (len(frames) - 2), _REST_MS]
    frames[0].save(
        buffer,
        extension.upper(),
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=0,
        **({"quality": 95} if extension == "webp" else {}),
    )
    return buffer.getvalue()


def _strip(frames: Sequence[Image.Image]) -> Image.Image:
    width, height = frames[0].size
    strip = Image.new("RGB", (width * len(frames), height))
    for place, frame in enumerate(frames):
        strip.paste(frame, (place * width, 0))
    return strip
