"""Workers that are alive, what operators ask of them, and what operators see and did: a part of
:class:`jobs.redis_store.JobStore`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from jobs.job import Priority
from jobs.load import StoreLoad, UsageView
from jobs.records import to_json
from jobs.redis_scripts import translate_errors
from jobs.store import MOST_ACTIONS, AdminAction, Usage


@translate_errors
class WorkerRecords(StoreLoad):
    """Methods block, and are safe to call from several threads."""

    def _key(self, name: str) -> str:
        return self._prefix + name

    def heartbeat(self, worker: str, info: Mapping[str, Any], ttl: float) -> bool:
        """A worker is alive for ``ttl`` more seconds. Returns whether it is to claim nothing."""
        record = to_json({**info, "name": worker})
        return bool(self._scripts.call("heartbeat", worker, record, ttl))

    def live_workers(self) -> list[dict[str, Any]]:
        """What the live workers said of themselves."""
        names = self._scripts.call("live_workers")
        records = self._client.hmget(self._key("workers"), names) if names else []
        return [json.loads(record) for record in cast("list[bytes | None]", records) if record]

    def remove_worker(self, worker: str) -> None:
        """A worker is gone."""
        self._client.zrem(self._key("alive"), worker)
        self._client.hdel(self._key("workers"), worker)
        self._client.srem(self._key("drained"), worker)
        self.take_reload(worker)

    def set_drained(self, worker: str, drained: bool) -> bool:
        """Have a worker claim nothing, or claim again, from its next heartbeat on. False when no
        live worker has that name.
        """
        if worker.encode() not in self._scripts.call("live_workers"):
            return False
        change = self._client.sadd if drained else self._client.srem
        change(self._key("drained"), worker)
        return True

    def request_reload(self) -> list[str]:
        """Have every live worker look at its bundles again. Returns their names."""
        names = [name.decode() for name in self._scripts.call("live_workers")]
        if names:
            self._client.sadd(self._key("reload"), *names)
        return names

    def take_reload(self, worker: str) -> bool:
        """Whether that has been asked of a worker since it was last answered."""
        return self._client.srem(self._key("reload"), worker) == 1

    def record_action(self, by: str, action: str, target: str) -> None:
        """Keep an :class:`AdminAction`."""
        fields = {"by": by, "action": action, "target": target}
        self._client.xadd(self._key("audit"), cast("Any", fields), maxlen=MOST_ACTIONS)

    def actions(self, limit: int) -> list[AdminAction]:
        """What operators did, the newest first."""
        found = cast("Any", self._client.xrevrange(self._key("audit"), count=limit))
        return [
            AdminAction(
                int(i.split(b"-")[0]) / 1000, **{k.decode(): v.decode() for k, v in f.items()}
            )
            for i, f in found
        ]

    def waiting(self) -> list[str]:
        """Ids of all jobs that wait, the oldest first."""
        found = cast("list[bytes]", self._client.zrange(self._key("queued"), 0, -1))
        return [job_id.decode() for job_id in found]

    def count_jobs(self, owners: Sequence[str], seconds: float) -> list[UsageView]:
        """Of each owner, the busiest first. ``seconds``: how far back."""
        now, micro = self._client.time()
        since = now + micro / 1e6 - seconds
        with self._client.pipeline(transaction=False) as pipe:
            for owner in owners:
                pipe.zcount(self._key(f"jobs:{owner}"), since, "+inf")
                pipe.scard(self._key(f"active:{owner}"))
            answers = pipe.execute()
        found = [
            UsageView(owner=owner, jobs=jobs, unfinished=unfinished)
            for owner, jobs, unfinished in zip(owners, answers[::2], answers[1::2], strict=True)
        ]
        return sorted(found, key=lambda u: (-u.jobs, u.owner))

    def usage(self, owner: str) -> Usage:
        with self._client.pipeline(transaction=False) as pipe:
            pipe.scard(self._key(f"active:{owner}"))
            pipe.zcard(self._key(f"jobs:{owner}"))
            pipe.hget(self._key("stored"), owner)
            unfinished, records, stored = pipe.execute()
        return Usage(unfinished, records, int(stored or 0))

    def place_bundles(self, names: Sequence[str] = ()) -> frozenset[str]:
        """From now on jobs of these bundles wait in groups of their own (:func:`bundle_group`), of
        which only workers claim that serve the bundle. Returns all bundles that have one.
        """
        if names:
            self._client.sadd(self._key("placed"), *names)
        found = cast("set[bytes]", self._client.smembers(self._key("placed")))
        return frozenset(name.decode() for name in found)

    def rewrite_log(self) -> bool:
        """Have the server write its append-only file anew if jobs were erased since the last time:
        until then it holds their records. Returns whether it was asked to. Raises StoreError when
        it refuses.
        """
        state = self._client.info("persistence")
        count = int(self._client.get(self._key("erasures")) or 0)
        failed = state.get("aof_last_bgrewrite_status", "ok") != "ok"
        busy = state.get("aof_rewrite_in_progress")  # perhaps since before they were erased
        if not state.get("aof_enabled") or busy or not (count or failed):
            return False
        self._client.bgrewriteaof()
        self._client.decrby(self._key("erasures"), count)
        return True

    def service_secret(self, name: str, proposal: str) -> str:
        """A secret that all processes share: the first value ever proposed for ``name``."""
        key = self._key(f"secret:{name}")
        self._client.set(key, proposal, nx=True)
        return cast("bytes", self._client.get(key)).decode()

    def has_claimable(self, groups: Sequence[str]) -> bool:
        """Whether a worker of these groups would get a job."""
        lines = [f"turns:{group}:{priority}" for group in groups for priority in Priority]
        return self._client.exists(*map(self._key, lines)) > 0

    def close(self) -> None:
        """Close all connections; a later call opens one again."""
        self._client.close()
