"""What the service adds to the model: round trips of single jobs, minus the forward pass.

Usage: start ``mmml serve`` and run ``python benchmarks/round_trip.py [URL] [COUNT]``.
"""

from __future__ import annotations

import statistics
import sys
import time

import httpx


def main(url: str = "http://127.0.0.1:8000", count: str = "100") -> None:
    """Print the median and the 95th percentile in milliseconds."""
    added, model = [], []
    with httpx.Client(base_url=url, timeout=60) as client:
        for number in range(int(count) + 5):
            started = time.perf_counter()
            response = client.post(
                "/synthesize?wait=30", json={"text": "a red bird", "seed": number}
            )
            elapsed = (time.perf_counter() - started) * 1000
            response.raise_for_status()
            spent = response.json()["timings"]["model_ms"]
            if number >= 5:  # the first ones warm connections up
                added.append(elapsed - spent)
                model.append(spent)
    added.sort()
    sys.stdout.write(
        f"{len(added)} jobs: model {statistics.median(model):.1f} ms; round trip minus model: "
        f"p50 {statistics.median(added):.1f} ms, p95 {added[int(len(added) * 0.95)]:.1f} ms\n"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
