"""Runs the moves of jobs on a Redis server: one at a time, or many in one round trip."""

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
        """The script's answer for one job."""
        try:
            return self._client.evalsha(_SHA[script], 2, self._prefix, job_id, *args)
        except NoScriptError:  # a server that has just started knows none
            return self._client.eval(SCRIPTS[script], 2, self._prefix, job_id, *args)

    def run_all(self, script: str, calls: Sequence[Call]) -> list[Any]:
        """The answers in the calls' order; each call is a move of its own, and StoreError stands
        in the place of one that the server refused.
        """
        answers = self._sent("evalsha", _SHA[script], calls)
        if any(isinstance(answer, NoScriptError) for answer in answers):
            unknown = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            again = self._sent("eval", SCRIPTS[script], [calls[n] for n in unknown])
            for n, answer in zip(unknown, again, strict=True):
                answers[n] = answer
        return [_told(answer) for answer in answers]

    def _sent(self, command: str, script: str, calls: Sequence[Call]) -> list[Any]:
        with self._client.pipeline(transaction=False) as pipe:
            for job_id, args in calls:
                pipe.execute_command(command, script, 2, self._prefix, job_id, *args)
            return pipe.execute(raise_on_error=False)


def _told(answer: Any) -> Any:
    if isinstance(answer, redis.RedisError):
        return StoreError(f"the job store refused: {answer}")
    return answer
