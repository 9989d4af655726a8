"""The service's tasks and the fields of their requests, as the service described them when this
client was made: ``tasks.json``, which ``make openapi`` writes. The service decides what it accepts;
the command line makes its commands and options from this, and finds mistakes before it sends.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

_BOOLEANS = ("true", "false", "yes", "no", "on", "off", "1", "0")


@dataclass(frozen=True)
class Field:
    """A field of a request; ``schema`` is flat JSON Schema: type, description, default, limits."""

    name: str
    schema: Mapping[str, Any]

    @property
    def description(self) -> str:
        """For people, with the default."""
        text, default = str(self.schema.get("description", "")), self.schema.get("default")
        return text if default is None else f"{text} [{default}]"

    @property
    def type(self) -> type:
        """bool, int, float or str."""
        types = {"boolean": bool, "integer": int, "number": float}
        return types.get(str(self.schema.get("type")), str)

    def check(self, text: str) -> None:
        """Raises ValueError, with a sentence, unless ``text`` can be the field's value."""
        if self.type is bool:
            _require(text.lower() in _BOOLEANS, "must be true or false")
        elif self.type in (int, float):
            self._check_number(text)
        else:
            longest = self.schema.get("maxLength", len(text))
            _require(len(text) <= longest, f"must have at most {longest} characters")
            self._check_choice(text)

    def _check_number(self, text: str) -> None:
        try:
            value = self.type(text)
        except ValueError:
            kind = "a whole number" if self.type is int else "a number"
            raise ValueError(f"must be {kind}") from None
        lowest, highest = (self.schema.get(k, value) for k in ("minimum", "maximum"))
        _require(value >= lowest, f"must be at least {lowest}")
        _require(value <= highest, f"must be at most {highest}")
        self._check_choice(value)

    def _check_choice(self, value: object) -> None:
        choices = self.schema.get("enum", [value])
        _require(value in choices, f"must be one of {', '.join(map(str, choices))}")


@dataclass(frozen=True)
class Task:
    """A task: images by name with their description, then the fields of its request;
    ``repeatable``: fields that may be given several times.
    """

    name: str
    summary: str
    images: Mapping[str, str]
    repeatable: Sequence[str]
    required: Sequence[str]
    fields: Mapping[str, Field]


def read_tasks(text: str) -> dict[str, Task]:
    found = {}
    for name, task in json.loads(text).items():
        fields = {field: Field(field, schema) for field, schema in task.pop("fields").items()}
        found[name] = Task(name, fields=fields, **task)
    return found


@cache
def tasks() -> Mapping[str, Task]:
    return read_tasks(resources.files("mmml").joinpath("tasks.json").read_text(encoding="utf-8"))


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
