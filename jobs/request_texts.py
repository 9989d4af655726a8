"""The captions of a request: one, several with weights, or two with the way between them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticKnownError

from jobs.captions import Blend

MAX_TEXT = 1000
MAX_TEXTS = 8
MAX_WEIGHT = 1000.0
MAX_FRAMES = 64


def _clean(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    if text.isascii() and text.isprintable() and text.strip():  # most are, and nothing is wrong
        return " ".join(text.split())
    if any(unicodedata.category(c) == "Cc" and c not in "\t\n\r" for c in text):
        raise ValueError("contains control characters; send plain text")
    text = " ".join(text.split())
    if not any(unicodedata.category(c) != "Cf" for c in text):
        raise ValueError("is empty; describe the picture in words")
    if len(text) > MAX_TEXT:  # some characters become several; workers read what is returned here
        raise PydanticKnownError("string_too_long", {"max_length": MAX_TEXT})
    return text


Caption = Annotated[
    str,
    Field(min_length=1, max_length=MAX_TEXT, description="the caption"),
    AfterValidator(_clean),
]


class WeightedText(BaseModel):
    """A caption with its weight; weights need not sum to anything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Caption
    weight: Annotated[
        float,
        Field(gt=0, le=MAX_WEIGHT, allow_inf_nan=False, description="its share beside the others"),
    ] = 1.0


TextInput = str | list[str | WeightedText]


# Branches of a union are distinguished by the kind of value, so that an error speaks of the branch
# that was meant. Their names, which pydantic puts into the error's place, are in brackets.
def _branch(value: object) -> str | None:
    if isinstance(value, str):
        return "(text)"
    if isinstance(value, Mapping | WeightedText):
        return "(weighted)"
    return "(list)" if isinstance(value, list) else None


def _one_of(branches: Sequence[str], otherwise: str) -> Discriminator:
    def chosen(value: object) -> str | None:
        branch = _branch(value)
        return branch if branch in branches else None

    return Discriminator(
        chosen, custom_error_type="text_kind", custom_error_message=f"must be {otherwise}"
    )


_Part = Annotated[
    Annotated[Caption, Tag("(text)")] | Annotated[WeightedText, Tag("(weighted)")],
    _one_of(("(text)", "(weighted)"), 'a string, or {"text": …, "weight": …}'),
]
Texts = Annotated[
    Annotated[Caption, Tag("(text)")]
    | Annotated[list[_Part], Field(min_length=2, max_length=MAX_TEXTS), Tag("(list)")],
    _one_of(("(text)", "(list)"), f"a string, or a list of 2 to {MAX_TEXTS} texts to be mixed"),
    Field(description=f"the caption, or a list of 2 to {MAX_TEXTS} that are mixed"),
]


def to_blend(text: TextInput) -> Blend:
    if isinstance(text, str):
        return ((text, 1.0),)
    parts = [WeightedText(text=part) if isinstance(part, str) else part for part in text]
    total = sum(part.weight for part in parts)
    return tuple((part.text, part.weight / total) for part in parts)


def has_weights(text: TextInput) -> bool:
    parts = [] if isinstance(text, str) else text
    return any(isinstance(p, WeightedText) and "weight" in p.model_fields_set for p in parts)


def morph_blends(text: TextInput, frames: int) -> tuple[Blend, ...]:
    """A blend per frame, on the straight line from the first of two captions to the second; the
    first and the last are these captions alone.
    """
    (first, _), (second, _) = to_blend(text)
    steps = [step / (frames - 1) for step in range(frames)]
    ways = [((first, 1 - step), (second, step)) for step in steps]
    return tuple(tuple(part for part in way if part[1] > 0) for way in ways)


def form_to_json(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A form's fields as JSON has them: ``text`` and ``weight`` hold lists of strings; one text is
    a string, several are a list, with their weights. Raises ValueError when the numbers differ.
    """
    made = dict(fields)
    texts, weights = made.pop("text", []), made.pop("weight", [])
    if not weights:
        return made | ({"text": texts[0] if len(texts) == 1 else texts} if texts else {})
    if len(weights) != len(texts) or len(texts) == 1:
        raise ValueError("Send as many weight fields as text fields, of several texts; or none.")
    pairs = zip(texts, weights, strict=True)
    return {**made, "text": [{"text": text, "weight": weight} for text, weight in pairs]}


_CAPTION = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
_SEVERAL = {"type": "array", "minItems": 2, "maxItems": MAX_TEXTS}
_WEIGHT = {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_WEIGHT}
# The fields that form_to_json() reads, for the OpenAPI document.
FORM_PROPERTIES: Mapping[str, Any] = {
    "text": {
        "oneOf": [_CAPTION, {**_SEVERAL, "items": _CAPTION}],
        "description": f"the caption; if sent 2 to {MAX_TEXTS} times, the texts are mixed",
    },
    "weight": {
        "oneOf": [{**_SEVERAL, "items": _WEIGHT}],
        "description": "one for each text, in the same order",
    },
}
