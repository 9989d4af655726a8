"""What ``make audit`` makes of pip-audit's findings."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    path = Path(__file__).resolve().parent.parent / ".ci" / "audit.py"
    spec = importlib.util.spec_from_file_location("audit", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def package(name: str, *weaknesses: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "vulns": list(weaknesses)}


def test_a_weakness_with_a_fix_fails(audit: ModuleType) -> None:
    found = [package("good"), package("bad", {"id": "CVE-1", "fix_versions": ["1.1", "2.0"]})]
    status, result = audit.verdict(found)
    assert status == 1
    assert "bad 1.0: CVE-1, fixed in 1.1, 2.0" in result
    assert result.endswith("audit: 2 packages looked up, FAILED")


def test_a_weakness_without_one_is_named(audit: ModuleType) -> None:
    status, result = audit.verdict([package("sad", {"id": "CVE-2", "fix_versions": []})])
    assert status == 0
    assert "sad 1.0: CVE-2, no fix yet" in result


def test_what_was_not_looked_up_is_not_called_safe(audit: ModuleType) -> None:
    found = [package("good"), {"name": "mmml", "skip_reason": "distribution marked as editable"}]
    status, result = audit.verdict(found)
    assert status == 0
    assert result == "not looked up: mmml\naudit: 1 packages looked up, passed"


@pytest.mark.parametrize("required", [True, False])
def test_what_can_not_be_looked_up_fails_only_where_it_must(
    audit: ModuleType, required: bool
) -> None:
    status, result = audit.audit(required, lambda: False, list)
    assert status == int(required)
    assert result.startswith("audit: NOT RUN")
    assert "\n" not in result


def test_a_tool_that_crashes_is_no_success(audit: ModuleType) -> None:
    for answer in ([], [{"name": "mmml", "skip_reason": "editable"}]):
        status, result = audit.audit(False, lambda: True, lambda answer=answer: answer)
        assert status == 1
        assert "FAILED" in result
    assert audit.audit(True, lambda: True, lambda: [package("good")])[0] == 0
