"""What a client asks for beside the task: how long to wait, and in which form to answer."""

from __future__ import annotations

import re

from starlette.requests import Request

from app.gateway.problems import Problem
from jobs.images import EXTENSION

_PREFER_WAIT = re.compile(
    r"(?:^|[,;\s])wait\s*=\s*(?P<quote>\"?)(\d+(?:\.\d+)?)(?P=quote)(?![^,;\s])",
    re.IGNORECASE | re.ASCII,
)
_ENTITY_TAG = re.compile(r'(?:W/)?("[^"]*")')
_SYNONYMS = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg"}


def header_list(request: Request, name: str) -> str:
    """A header that is a list, which may come in several lines (RFC 9110, section 5.3)."""
    return ", ".join(request.headers.getlist(name))


def has_current(request: Request, tag: str) -> bool:
    """Whether If-None-Match names the entity tag ``tag``, or any: the client has that already."""
    given = header_list(request, "if-none-match")
    return given.strip() == "*" or tag.removeprefix("W/") in _ENTITY_TAG.findall(given)


def wait_seconds(request: Request, longest: float) -> float | None:
    """``?wait=N``, else ``Prefer: wait=N`` (RFC 7240), cut at ``longest``; None when not asked
    for.
    """
    given = request.query_params.get("wait")
    if given is None:
        found = _PREFER_WAIT.search(header_list(request, "prefer"))
        return min(float(found[2]), longest) if found else None
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise Problem(422, f"wait must be a number of seconds from 0 to {longest:.0f}.")
    return min(seconds, longest)


def accepted_types(request: Request) -> list[str]:
    """Media types of the Accept header, most wanted first; empty when the header is absent."""
    weighted = []
    for place, part in enumerate(header_list(request, "accept").split(",")):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weight = float(quality)
        except ValueError:
            weight = 0.0
        if name and weight > 0:
            weighted.append((-weight, place, _SYNONYMS.get(name, name)))
    return [name for _, _, name in sorted(weighted)]


def preferred_image_format(request: Request) -> str | None:
    """The picture format that the client prefers to JSON: png, jpeg, webp, "any", or None."""
    for name in accepted_types(request):
        if name == "image/*":
            return "any"
        if name.startswith("image/") and name.removeprefix("image/") in EXTENSION:
            return name.removeprefix("image/")
        if name in ("application/json", "*/*", "text/html"):
            return None
    return None
