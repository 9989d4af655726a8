"""``mmml webhook-secret``."""

from __future__ import annotations

import click

from app.cli.invocation import Invocation, JsonCommand


@click.command("webhook-secret", cls=JsonCommand)
@click.pass_obj
def webhook_secret(run: Invocation) -> None:
    """Show the secret that verifies this service's webhooks."""
    with run.connect() as client:
        secret = client.webhook_secret()
    run.tell({"secret": secret}, [secret])
