"""``/docs``: every route and field, by Swagger UI, whose files come from a package instead of from
another host: what runs here runs in the origin of the cookie.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from app.gateway.routes.studio import StaticFile

_FILES = ("swagger-ui-bundle.js", "swagger-ui.css")
_PAGE = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>mmml: the API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<body>
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = b"""SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""
_CACHING = "no-cache"  # a new version is seen at once


def router() -> APIRouter:
    """The page and its files, read once."""
    made = APIRouter(include_in_schema=False)
    page = StaticFile("text/html", _PAGE)
    folder = Path(str(files("fastapi_offline") / "static"))
    assets = {name: StaticFile.read(folder / name) for name in _FILES}
    assets["start.js"] = StaticFile("text/javascript", _START)

    @made.get("/docs")
    async def docs(request: Request) -> Response:
        return page.respond(request, _CACHING)

    @made.get("/docs/{name}")
    async def file(name: str, request: Request) -> Response:
        if name not in assets:
            raise HTTPException(404)
        return assets[name].respond(request, _CACHING)

    return made
