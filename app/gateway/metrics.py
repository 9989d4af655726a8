"""What a gateway tells Prometheus."""

from __future__ import annotations

from prometheus_client import Counter

REQUESTS = Counter("mmml_requests", "requests that were answered", ["route", "status"])
RATE_LIMITED = Counter("mmml_rate_limited", "requests refused by a rate limit", ["policy"])
