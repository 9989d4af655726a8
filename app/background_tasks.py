"""Tasks that run for as long as a process does, and how they end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

log = logging.getLogger(__name__)
_AGAIN = 0.05  # seconds between two cancellations


async def end_tasks(*tasks: asyncio.Task[Any] | None, within: float = 3.0) -> bool:
    """Cancel tasks until they have ended. False when one still runs after ``within`` seconds.

    Once is not enough: a library may swallow a cancellation. ``asyncio.wait_until_ready`` of Python
    3.11 does when what it waits for has just ended, and redis-py sends each command through it.
    """
    left = {task for task in tasks if task}
    deadline = asyncio.get_running_loop().time() + within
    while left and asyncio.get_running_loop().time() < deadline:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN)
    for task in left:
        log.error("a task does not end: %s", task)
    return not left
