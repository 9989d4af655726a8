"""docs/programs.md says what is true."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.settings import WebhookSettings
from app.webhooks.signing import new_secret, signature_headers
from jobs.settings import SharedSettings

PAGE = (Path(__file__).parent.parent / "docs" / "programs.md").read_text()


def test_every_webhook_setting_is_there() -> None:
    own = WebhookSettings.model_fields.keys() - SharedSettings.model_fields.keys()
    for name in own - {"root_path"}:
        assert f"`MMML_{name.upper()}`" in PAGE


def test_defaults_are_as_said() -> None:
    settings = WebhookSettings()
    assert f"`{[int(d) for d in settings.webhook_delays]}`" in PAGE
    assert f"`{list(settings.webhook_ports)}`" in PAGE
    assert f"{len(settings.webhook_delays) + 1} times in all" in PAGE


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_the_shell_lines_compute_the_signature() -> None:
    lines = re.search(r"^key=.*\n.*$", PAGE, re.MULTILINE)
    assert lines
    secret, body = new_secret(), '{"type": "job.succeeded", "text": "Vögelchen"}'
    signed = signature_headers([secret], "msg_1", 1000.0, body.encode())
    given = {
        "secret": secret,
        "webhook_id": signed["webhook-id"],
        "webhook_timestamp": signed["webhook-timestamp"],
        "body": body,
    }
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", **given}
    done = subprocess.run(
        ["bash", "-c", lines[0]], env=env, capture_output=True, text=True, check=True
    )
    assert f"v1,{done.stdout.strip()}" == signed["webhook-signature"]
