"""A program that may be killed at any moment, and never makes the same picture twice."""

import json
from pathlib import Path

from mmml import Client

ORDERS = {"order-1": "a red bird", "order-2": "a blue bird"}
LEDGER = Path("ledger.json")


def run(mmml: Client) -> None:
    """The same key makes the same job, also from another process, for a day."""
    known = json.loads(LEDGER.read_text()) if LEDGER.exists() else {}
    for order, text in ORDERS.items():
        known[order] = mmml.synthesize(text, seed=1, idempotency_key=order).id
        LEDGER.write_text(json.dumps(known))


with Client() as mmml:
    run(mmml)
    first = LEDGER.read_text()
    run(mmml)  # as after a crash
    assert LEDGER.read_text() == first
    for order, job_id in json.loads(first).items():
        print(*mmml.job(job_id).save(f"{order}.png"))
