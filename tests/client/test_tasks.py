"""What the client knows of the service without asking it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import click
import pytest

from docs.tools.openapi import task_descriptions
from jobs.job import Status
from jobs.requests import TASKS
from mmml.cli.jobs import jobs
from mmml.tasks import Field, tasks

ROOT = Path(__file__).parents[2]


def test_the_tasks_are_as_the_registry_says() -> None:
    stored = (ROOT / "client/mmml/tasks.json").read_text()
    assert stored == task_descriptions(TASKS), "make openapi writes it again"
    assert list(tasks()) == list(TASKS)


def test_the_statuses_are_those_of_jobs() -> None:
    option = next(p for p in jobs.params if p.name == "status")
    assert isinstance(option.type, click.Choice)
    assert set(option.type.choices) == {str(s) for s in Status} - {Status.expired}


def test_client_and_service_have_one_version() -> None:
    files = (ROOT / "pyproject.toml", ROOT / "client/pyproject.toml")
    service, client = (tomllib.loads(file.read_text())["project"]["version"] for file in files)
    assert client == service


def test_a_description_names_the_default() -> None:
    count = tasks()["synthesize"].fields["count"]
    assert (count.type, count.description) == (int, "number of images [1]")


@pytest.mark.parametrize(
    ("schema", "text", "mistake"),
    [
        ({"type": "integer", "minimum": 2}, "1", "must be at least 2"),
        ({"type": "integer"}, "1.5", "must be a whole number"),
        ({"type": "integer", "enum": [64, 128]}, "65", "must be one of 64, 128"),
        ({"type": "number", "maximum": 2.5}, "2.6", "must be at most 2.5"),
        ({"type": "number"}, "much", "must be a number"),
        ({"type": "boolean"}, "maybe", "must be true or false"),
        ({"type": "string", "enum": ["a", "b"]}, "c", "must be one of a, b"),
        ({"type": "string", "maxLength": 2}, "abc", "must have at most 2 characters"),
    ],
)
def test_mistakes_are_sentences(schema: dict[str, object], text: str, mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        Field("f", schema).check(text)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer", "minimum": 2, "maximum": 2}, "2"),
        ({"type": "boolean"}, "True"),
        ({"type": "string", "enum": ["a", "b"]}, "b"),
        ({}, "anything"),
    ],
)
def test_what_the_service_accepts_passes(schema: dict[str, object], text: str) -> None:
    Field("f", schema).check(text)
