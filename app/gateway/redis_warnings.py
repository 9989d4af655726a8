"""What of a Redis server's own settings endangers jobs: reported at start and by ``/readyz``."""

from __future__ import annotations

import redis


def redis_warnings(client: redis.Redis, memory_limit: int) -> list[str]:
    """Sentences for whoever runs the service; none where the server does not tell. ``memory_limit``
    in bytes: of the settings, 0 when there is none. Blocks.
    """
    try:
        memory = client.info("memory")
    except redis.RedisError:
        return []
    result = []
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        result.append(
            f"Redis has maxmemory-policy {policy}: jobs vanish when its memory is full. Set it to "
            "noeviction."
        )
    if not memory_limit and not memory.get("maxmemory"):
        result.append(
            "Redis has no maxmemory, so nothing is refused before its machine's memory is full. "
            "Set maxmemory there, or MMML_REDIS_MEMORY here."
        )
    return result
