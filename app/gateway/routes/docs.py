"""``/docs`` and ``/redoc``: every route and field, by Swagger UI and ReDoc, whose files come from a
package instead of from another host: what runs here runs in the origin of the cookie.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from app.gateway.routes.studio import ASK_FIRST, StaticFile

_FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js")
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>mmml: the API</title>
<link rel="icon" href="data:,">
{style}<body>
<div id="docs"></div>
<script src="/docs/{library}"></script>
<script src="/docs/{start}"></script>
</body>
</html>
"""
_SWAGGER = _PAGE.format(
    style='<link rel="stylesheet" href="/docs/swagger-ui.css">\n',
    library="swagger-ui-bundle.js",
    start="start.js",
)
_REDOC = _PAGE.format(style="", library="redoc.standalone.js", start="start-redoc.js")
_START_SWAGGER = """SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""
# Its search runs in a worker made of a string, which the content policy does not allow.
_START_REDOC = """Redoc.init("/openapi.json", { disableSearch: true, hideLoading: true },
  document.getElementById("docs"));
"""
# The hash of nothing: it fills an empty <style> by script, which policies don't concern.
_EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"


def _below(root: str, text: str) -> bytes:
    """The text with addresses below that path."""
    return re.sub(r'"/(?=docs/|openapi\.json)', f'"{root}/', text).encode()


def router(root: str = "") -> APIRouter:
    """The pages and their files, read once. ``root``: the path before all addresses."""
    made = APIRouter(include_in_schema=False)
    swagger = StaticFile("text/html", _below(root, _SWAGGER))
    redoc = StaticFile("text/html", _below(root, _REDOC), _EMPTY_STYLE)
    folder = Path(str(files("fastapi_offline") / "static"))
    assets = {name: StaticFile.read(folder / name) for name in _FILES}
    library = assets["redoc.standalone.js"]
    own = library.content.replace(_LOGO, b"data:,")
    assets["redoc.standalone.js"] = StaticFile(library.media_type, own)
    assets["start.js"] = StaticFile("text/javascript", _below(root, _START_SWAGGER))
    assets["start-redoc.js"] = StaticFile("text/javascript", _below(root, _START_REDOC))

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
