"""Writes docs/settings.md from the settings classes, and their names into the schema of the Helm
chart's values: ``make docs``. With ``--check`` it only says whether both are as they would be
written; the tests do that.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from app.settings import GatewaySettings, WebhookSettings
from jobs.settings import SharedSettings
from workers.settings import WorkerSettings

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "settings.md"
CHART = ROOT / "deploy" / "helm" / "mmml" / "values.schema.json"
# The chart has a place of its own for these, or none: a secret is no setting of all processes.
OF_THE_CHART = {
    *("redis_url", "redis_password", "storage_url", "weights_dir", "host", "port", "grace"),
    *("metrics_port", "metrics_host", "first_key", "webhook_secret", "worker_name", "device"),
    *("cache_dir", "drain"),
}
MIB = 2**20
# heading, what stands below it, the class, and the one whose settings stand elsewhere
SECTIONS: tuple[tuple[str, str, type[BaseSettings], type[BaseSettings] | None], ...] = (
    ("Every process", "", SharedSettings, None),
    ("Gateway and reconciler", "", GatewaySettings, WebhookSettings),
    ("Webhooks", "See [programs.md](programs.md).", WebhookSettings, SharedSettings),
    ("Worker", "", WorkerSettings, SharedSettings),
)
HEAD = """# Settings

Settings are environment variables. Times are in seconds, sizes in bytes, lists in JSON
(`["10.1.0.0/16"]`). A process that finds an invalid value names it and exits. `make docs` generates
this page from the code.

**Secrets in files:** `NAME_FILE` names a file that holds the value of any `NAME` below
(`MMML_REDIS_URL_FILE=/run/secrets/redis_url`).

`mmml serve` passes its environment to all its processes. It sets `MMML_REDIS_URL`,
`MMML_STORAGE_URL` and `MMML_DRAIN` (5 seconds) unless you have set them.

**Earlier names** still work, with a warning: `MMML_BODY_MEMORY` is `MMML_UPLOAD_MEMORY` now,
`MMML_MAX_FEEDS` is `MMML_MAX_EVENT_STREAMS`.
"""
TAIL = """
## Command line and Python client
| variable | default | |
|---|---|---|
| `MMML_URL` | `http://127.0.0.1:8000` | address of the service, for `mmml` |
| `MMML_API_KEY` | | API key, for `mmml` and `Client()` |
| `MMML_PICTURES` | detected | `kitty`, `iterm2`, `sixel`, `blocks`, `none`: how images are shown |
| `MMML_SERVICE` | | checkout of the service, or its `mmml`, for [`fake_service`](testing.md) |
"""


def page() -> str:
    """The whole page."""
    result = [HEAD]
    for heading, text, settings, elsewhere in SECTIONS:
        without = elsewhere.model_fields.keys() if elsewhere else ()
        fields = {n: f for n, f in settings.model_fields.items() if n not in without}
        result.append(
            f"\n## {heading}\n{text + chr(10) * 2 if text else ''}| variable | default | |\n"
        )
        result.append("|---|---|---|\n" + "".join(_rows(fields)))
    return "".join([*result, TAIL])


def chart_schema() -> str:
    """The schema of the chart's values, with the names of the settings as they are now."""
    schema = json.loads(CHART.read_text(encoding="utf-8"))
    names = {*GatewaySettings.model_fields, *WorkerSettings.model_fields} - OF_THE_CHART
    names_of_settings = schema["$defs"]["settings"]["propertyNames"]
    names_of_settings["enum"] = sorted(f"MMML_{name.upper()}" for name in names)
    return f"{json.dumps(schema, indent=2)}\n"


def _rows(fields: dict[str, FieldInfo]) -> Iterator[str]:
    for name, field in fields.items():
        yield f"| `MMML_{name.upper()}` | {_default(field)} | {field.description} |\n"


def _default(field: FieldInfo) -> str:
    factory: Any = field.default_factory
    if factory:
        return str(factory.__doc__).strip().rstrip(".").replace("``", "`")
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value in ("", None):
        return ""
    if isinstance(value, int) and value >= MIB and value % MIB == 0:
        return f"`{int(value)}` ({value // MIB} MiB)"
    return f"`{_written(value)}`"


def _written(value: Any) -> str:
    """As it would be set."""
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{v}"' if isinstance(v, str) else _written(v) for v in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    for path, text in ((PAGE, page()), (CHART, chart_schema())):
        if not check:
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path.relative_to(ROOT)} is not as the code says: make docs")


if __name__ == "__main__":
    main()
