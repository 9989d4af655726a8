"""``mmml keys``: make, list and revoke API keys of the service on this machine, or of the Redis
that ``MMML_REDIS_URL`` names.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from app.admin.connection import Backend, Report, command_group, print_result, reports
from app.gateway.api_keys import (
    ApiKey,
    default_scopes,
    find_key,
    generate_key,
    new_api_key,
    parse_scopes,
    revoke,
)
from app.settings import check_rate
from jobs.job import Priority

keys = command_group("keys", "Make, list and revoke API keys.")


def _rate(_context: object, _parameter: object, value: str | None) -> str | None:
    if value is not None:
        try:
            check_rate(value)
        except ValueError as error:
            raise click.BadParameter("write it like 60/minute or 5 per 2 hours") from error
    return value


@keys.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, help="tasks, one task's name, read or admin")
@click.option("--rate", callback=_rate, help="jobs it may submit, such as 60/minute")
@click.option("--pictures-per-day", type=click.IntRange(1), help="pictures it may make")
@click.option("--max-active", type=click.IntRange(1), help="unfinished jobs it may have")
@click.option("--max-running", type=click.IntRange(1), help="jobs it may have running at a time")
@click.option(
    "--priority",
    type=click.Choice(list(Priority)),
    default=Priority.normal.value,
    help="the highest that its jobs may have",
)
@click.option("--take-over", metavar="KEY", help="see the jobs of this key, which is to be revoked")
@reports
def create(
    backend: Backend,
    /,
    name: str,
    scopes: tuple[str, ...],
    take_over: str | None,
    **limits: Any,
) -> Report:
    """Make a key and print it, once: only a hash is kept.

    Without --scope it may use every task and look at its own jobs.
    """
    text = generate_key()
    key = new_api_key(
        text,
        name,
        parse_scopes(scopes) if scopes else default_scopes(),
        owner=find_key(backend.keys, take_over).owner if take_over else None,
        **limits,
    )
    backend.keys.add(key)
    backend.record_action("create key", f"{key.id} {key.name}")
    click.echo(f"Key {key.id} ({name}). Keep it: it is not shown again.", err=True)
    return {**_public_record(key), "key": text}, [text]


@keys.command(name="list")
@reports
def list_keys(backend: Backend) -> Report:
    """List the keys, never their text."""
    found = backend.keys.all()
    if not found:
        click.echo("There are no keys: the service is open, to this machine only.", err=True)
    return [_public_record(key) for key in found], map(_line, found)


@keys.command(name="revoke")
@click.argument("key")
@reports
def revoke_key(backend: Backend, key: str) -> Report:
    """End a key by its id or name. Its jobs stay."""
    ended = revoke(backend.keys, key)
    backend.record_action("revoke key", f"{ended.id} {ended.name}")
    return _public_record(ended), [f"Key {ended.id} ({ended.name}) is revoked."]


@keys.command()
@click.argument("key")
@reports
def forget(backend: Backend, key: str) -> Report:
    """Remove a revoked key from the list. Without any key left, a local service is open again."""
    found = find_key(backend.keys, key)
    if found.revoked_at is None:
        raise click.ClickException(f"Key {found.id} is in use; revoke it first.")
    backend.keys.remove(found.id)
    backend.record_action("forget key", f"{found.id} {found.name}")
    return _public_record(found), [f"Key {found.id} ({found.name}) is forgotten."]


@keys.command()
def generate() -> None:
    """Print a fresh key without storing it, for MMML_FIRST_KEY or a secret file."""
    text = generate_key()
    print_result({"key": text}, [text])


def _public_record(key: ApiKey) -> dict[str, Any]:
    """The record for programs, without its hash."""
    return {**key.model_dump(mode="json", exclude={"digest"}), "scopes": sorted(key.scopes)}


def _line(key: ApiKey) -> str:
    made = datetime.fromtimestamp(key.created_at).astimezone().strftime("%Y-%m-%d %H:%M")
    state = "revoked" if key.revoked_at is not None else "in use"
    scopes = ",".join(sorted(key.scopes))
    limits = ("rate", "pictures_per_day", "max_active", "max_running")
    extras = [
        *(f"{n.replace('_', '-')}={value}" for n in limits if (value := getattr(key, n))),
        f"priority={key.priority}" if key.priority is not Priority.normal else "",
        f"owner={key.owner}" if key.owner != key.id else "",
    ]
    details = "  ".join(extra for extra in extras if extra)
    return f"{key.id}  {made}  {state:<7}  {key.name:<20}  {scopes}  {details}".rstrip()
