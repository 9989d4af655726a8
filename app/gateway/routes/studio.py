"""``/``: the studio, a web page for people. Plain files of this package, nothing is built and
nothing is fetched from elsewhere.

The page names its files by a digest of all of them, so they may be cached for good, and a new
version is seen at once. It holds no secret and is open to everybody: what it asks the service for
is checked like any other request.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import PlainTextResponse, Response

from app.gateway.image_responses import accepted_types, has_current, header_list
from jobs.settings import VERSION

FOLDER = Path(__file__).parent.parent / "studio"
_PAGE = "index.html"
_HTML, _JSON = "text/html", "application/json"
_TYPES = {
    ".css": "text/css",
    ".html": _HTML,
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_FOR_GOOD = "public, max-age=31536000, immutable"
ASK_FIRST = "no-cache"  # a new version is seen at once
_PROTECTION = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class StaticFile:
    """One file of the page, as it is and compressed."""

    media_type: str
    content: bytes = field(repr=False)
    styles: str = ""  # inline ones that the content policy allows besides, by hash

    @classmethod
    def read(cls, path: Path) -> StaticFile:
        return cls(_TYPES[path.suffix], path.read_bytes())

    @cached_property
    def tag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'

    @cached_property
    def compressed(self) -> bytes:
        return gzip.compress(self.content, mtime=0)

    def respond(self, request: Request, caching: str, vary: str = "Accept-Encoding") -> Response:
        """The file, or 304 for a client that has it."""
        headers = {"ETag": self.tag, "Cache-Control": caching, "Vary": vary, **_PROTECTION}
        if self.styles:
            headers["Content-Security-Policy"] += f"; style-src 'self' {self.styles}"
        if has_current(request, self.tag):
            return Response(status_code=304, headers=headers)
        content = self.content
        if "gzip" in header_list(request, "accept-encoding"):
            content = self.compressed
            headers["Content-Encoding"] = "gzip"
        return Response(content, 200, headers, self.media_type)


def read_files(folder: Path = FOLDER) -> dict[str, StaticFile]:
    paths = sorted(p for p in folder.iterdir() if p.suffix in _TYPES)
    return {path.name: StaticFile.read(path) for path in paths}


def content_digest(files: Mapping[str, StaticFile]) -> str:
    digest = hashlib.sha256()
    for name, file in files.items():
        digest.update(f"{name} {len(file.content)}\n".encode() + file.content)
    return digest.hexdigest()[:12]


def _page(raw: StaticFile, root: str, base: str, files: Mapping[str, StaticFile]) -> StaticFile:
    """The page with the addresses of its files; the browser learns of all modules at once, instead
    of finding each in the one before.
    """
    links = (f'<link rel="modulepreload" href="{base}/{n}">' for n in files if n.endswith(".js"))
    text = raw.content.decode().replace("{modules}", "\n  ".join(links)).replace("{base}", base)
    text = text.replace("{root}", root)
    return StaticFile(raw.media_type, text.encode())


def _overview(request: Request) -> str:
    """What is where, for a terminal."""
    settings = request.app.state.services.settings
    here = (settings.public_url or str(request.base_url).rstrip("/")) + settings.root_path
    example = """-H 'Accept: image/png' -o bird.png -F text='a bird with a red crown'"""
    return f"""mmml {VERSION}: text-guided image generation

  {here}/               the studio, for a browser
  {here}/docs           every route and field, to try
  {here}/openapi.json   the same for programs
  {here}/models         bundles of weights, and what they draw

  curl '{here}/synthesize?wait=30' {example}
"""


def router(root: str = "") -> APIRouter:
    """The page and its files, read once. ``root``: the path before all addresses."""
    made = APIRouter(include_in_schema=False)
    files = read_files()
    version = content_digest(files)
    page = _page(files.pop(_PAGE), root, f"{root}/studio/{version}", files)

    @made.get("/")
    async def studio(request: Request) -> Response:
        """The page for browsers, which name HTML, and an overview for those who take anything, such
        as curl; programs that prefer JSON read that there is nothing here.
        """
        wanted = [kind for kind in accepted_types(request) if kind in (_HTML, _JSON)]
        if not wanted:
            return PlainTextResponse(_overview(request), headers={"Vary": "Accept"})
        if wanted[0] == _JSON:
            raise HTTPException(404)
        return page.respond(request, ASK_FIRST, "Accept, Accept-Encoding")

    @made.get("/studio/{asked}/{name}")
    async def file(asked: str, name: str, request: Request) -> Response:
        """A file of the page. A page of another version gets today's, which it may not keep."""
        if name not in files:
            raise HTTPException(404)
        return files[name].respond(request, _FOR_GOOD if asked == version else ASK_FIRST)

    return made
