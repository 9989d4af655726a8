"""All families, in the order of the table."""

from __future__ import annotations

from typing import Any

from tests.chaos import (
    broker,
    crowds,
    fuzz,
    hostile,
    messages,
    one_key,
    restarts,
    steady_load,
    storage,
    worker_death,
)
from tests.chaos.faults import Family

FAMILIES: tuple[Family[Any], ...] = (
    *worker_death.FAMILIES,
    messages.FAMILY,
    crowds.FAMILY,
    broker.FAMILY,
    storage.FAMILY,
    restarts.FAMILY,
    steady_load.FAMILY,
    fuzz.FAMILY,
    hostile.FAMILY,
    *one_key.FAMILIES,
)
