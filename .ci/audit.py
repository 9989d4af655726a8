"""Looks up every installed package in the list of known weaknesses (pip-audit).

Fails on a weakness that has a fix; names those that have none. Where no list can be reached it
fails with ``--required`` (``make audit``); without it (``make check``) it says so in one line and
succeeds, so that a machine without network can run the other checks.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

PROBE = "starlette"
NOT_RUN = (
    "audit: NOT RUN, no list of known weaknesses can be reached; run 'make audit' where one can"
)


def looked_up(arguments: Sequence[str]) -> list[dict[str, Any]]:
    """pip-audit's findings by package; empty when it had none to tell."""
    options = ["--format", "json", "--progress-spinner", "off", "--timeout", "15"]
    command = [sys.executable, "-m", "pip_audit", *options, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return []
    return found


def reachable() -> bool:
    """Whether one package can be looked up. An index without a list answers "not found", which
    pip-audit counts as no weakness.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(f"{PROBE}=={version(PROBE)}\n")
        file.flush()
        found = looked_up(["--no-deps", "--disable-pip", "-r", file.name])
    return any("vulns" in package for package in found)


def verdict(packages: Sequence[dict[str, Any]]) -> tuple[int, str]:
    """Exit status and what to say about pip-audit's findings."""
    known = [p for p in packages if "vulns" in p]
    lines, status = [], 0
    for package in known:
        for weakness in package["vulns"]:
            fixes = ", ".join(weakness["fix_versions"])
            status = 1 if fixes else status
            result = f"fixed in {fixes}" if fixes else "no fix yet"
            lines.append(f"{package['name']} {package['version']}: {weakness['id']}, {result}")
    missing = sorted(p["name"] for p in packages if "vulns" not in p)
    if missing:
        lines.append(f"not looked up: {', '.join(missing)}")
    lines.append(f"audit: {len(known)} packages looked up, {'FAILED' if status else 'passed'}")
    return status, "\n".join(lines)


def audit(
    required: bool, can_be_reached: Callable[[], bool], findings: Callable[[], list[dict[str, Any]]]
) -> tuple[int, str]:
    """Exit status and what to say."""
    if not can_be_reached():
        return int(required), NOT_RUN
    packages = findings()
    if not any("vulns" in package for package in packages):
        return 1, "audit: FAILED, pip-audit ended without an answer; run: python -m pip_audit"
    return verdict(packages)


def main(words: Sequence[str]) -> int:
    status, result = audit("--required" in words, reachable, lambda: looked_up(["--skip-editable"]))
    sys.stdout.write(f"{result}\n")
    return status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
