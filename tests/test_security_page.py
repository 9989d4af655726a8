"""SECURITY.md names a test, or a fault of tests/chaos, beside each promise: they exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.chaos.families import FAMILIES

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "SECURITY.md").read_text()


def promises() -> list[str]:
    table = PAGE.partition("## What is promised")[2].partition("\n## ")[0]
    rows = [row.strip("|").rpartition("|")[2].strip() for row in table.splitlines() if "|" in row]
    return [row for row in rows[2:] if row]


@pytest.mark.parametrize("shown", promises())
def test_what_shows_a_promise_exists(shown: str) -> None:
    faults = "\n".join(fault.name for family in FAMILIES for fault in family.faults)
    names = re.findall(r"`([^`]+)`", shown)
    assert names or shown == "the chaos table"
    text = ""
    for name in names:
        file, _, function = name.partition("::")
        if not file.endswith(".py") and not name.startswith("::"):
            assert name in faults
            continue
        text = (TESTS / file).read_text() if file else text
        assert not function or f"def {function}(" in text, f"there is no {name}"
