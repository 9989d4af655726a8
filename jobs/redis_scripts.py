"""Runs the moves of jobs on a Redis server: one, or many by one call."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import redis
from redis.exceptions import NoScriptError

from jobs.errors import StoreError
from jobs.lua import SCRIPTS

Call = tuple[str, Sequence[Any]]  # a job's id, and what the script is given beside it
_SHA = {name: hashlib.sha1(text.encode()).hexdigest() for name, text in SCRIPTS.items()}  # noqa: S324 (names scripts)


class Scripts:
    """Raises redis.RedisError when the server can't be reached."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self._client, self._prefix = client, prefix

    def run(self, script: str, job_id: str, *args: Any) -> Any:
        """The script's answer for one job; raises its error."""
        (answer,) = self._sent(script, [(job_id, args)])
        if isinstance(answer, redis.RedisError):
            raise answer
        return answer

    def run_all(self, script: str, calls: Sequence[Call]) -> list[Any]:
        """The answers in the calls' order; each call is a move of its own, and StoreError stands
        in the place of one that the server refused.
        """
        return [_told(answer) for answer in self._sent(script, calls)] if calls else []

    def _sent(self, script: str, calls: Sequence[Call]) -> list[Any]:
        ids = [job_id for job_id, _ in calls]
        given = [self._prefix, *ids, *(x for _, args in calls for x in (len(args), *args))]
        keys = len(ids) + 1
        try:
            answers: Any = self._client.evalsha(_SHA[script], keys, *given)
        except NoScriptError:  # a server that has just started knows none
            answers = self._client.eval(SCRIPTS[script], keys, *given)
        return list(answers)


def _told(answer: Any) -> Any:
    if isinstance(answer, redis.RedisError):
        return StoreError(f"the job store refused: {answer}")
    return answer
