"""Looks up every installed package in the list of known weaknesses (pip-audit).

Fails on a weakness that has a fix; names those that have none. Where no list can be reached, says
so and succeeds, so that a machine without network can run ``make check``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

PROBE = "starlette"
SKIPPED = (
    "audit: SKIPPED. No list of known weaknesses can be reached from here (no network, or an index "
    "that has none), so nothing was looked up. Run 'make audit' where one can be reached."
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


def main() -> int:
    if not reachable():
        sys.stdout.write(f"{SKIPPED}\n")
        return 0
    packages = looked_up(["--skip-editable"])
    status, result = verdict(packages) if packages else (0, SKIPPED)
    sys.stdout.write(f"{result}\n")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
