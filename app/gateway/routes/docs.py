"""``/docs`` and ``/redoc``: every route and field, by Swagger UI and ReDoc, whose files come from a
package instead of from another host: what runs here runs in the origin of the cookie. The pages
around them lie in ``app/gateway/reference``. ReDoc has no search there: that runs in a worker made
of a string, which the content policy does not allow.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from app.gateway.routes.studio import ASK_FIRST, StaticFile

_PAGES = Path(__file__).parent.parent / "reference"
_FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js")
# The hash of nothing: it fills an empty <style> by script, which policies don't concern.
_EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"


def _own_file(name: str, root: str, styles: str = "") -> StaticFile:
    """A file of ours, with its addresses below ``root``."""
    file = StaticFile.read(_PAGES / name)
    content = re.sub(rb'"/(?=docs/|openapi\.json)', f'"{root}/'.encode(), file.content)
    return StaticFile(file.media_type, content, styles)


def router(root: str = "") -> APIRouter:
    """The pages and their files, read once. ``root``: the path before all addresses."""
    made = APIRouter(include_in_schema=False)
    swagger, redoc = _own_file("swagger.html", root), _own_file("redoc.html", root, _EMPTY_STYLE)
    assets = {name: _own_file(name, root) for name in ("start.js", "start-redoc.js")}
    folder = Path(str(files("fastapi_offline") / "static"))
    assets |= {name: StaticFile.read(folder / name) for name in _FILES}
    library = assets["redoc.standalone.js"]
    own = library.content.replace(_LOGO, b"data:,")
    assets["redoc.standalone.js"] = StaticFile(library.media_type, own)

    @made.get("/docs")
    async def docs(request: Request) -> Response:
        return swagger.respond(request, ASK_FIRST)

    @made.get("/redoc")
    async def reference(request: Request) -> Response:
        return redoc.respond(request, ASK_FIRST)

    @made.get("/docs/{name}")
    async def file(name: str, request: Request) -> Response:
        if name not in assets:
            raise HTTPException(404)
        return assets[name].respond(request, ASK_FIRST)

    return made
