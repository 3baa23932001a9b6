"""Serves the pages and the document that one of them shows. The files are read when first asked for, then kept."""

import asyncio
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic_core import to_json

from service.access.side_port import main_routes
from service.errors import NotFound
from service.http import Request, Response, Route
from service.openapi.bento import SCHEMA
from service.settings import Settings

_STATIC = Path(__file__).resolve().parent / "static"
_NAME = re.compile(r"[a-z]+\.(css|js|svg)")
_TYPES = {"css": b"text/css", "js": b"text/javascript", "svg": b"image/svg+xml", "html": b"text/html"}
# nothing inline, nothing from elsewhere, in no other page's frame; blob: is for previews of picked files
CONTENT_SECURITY_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [(b"content-security-policy", CONTENT_SECURITY_POLICY), (b"referrer-policy", b"no-referrer")]


class Pages:
    """The handlers of the pages. *routes* gives the whole table, which is not yet made when this is."""

    def __init__(self, settings: Settings, routes: Callable[[], Sequence[Route]]) -> None:
        self._settings = settings
        self._all_routes = routes
        self._files: dict[str, bytes] = {}
        self._document = b""
        self.routes = (
            Route("/", {"GET": self.to_page}),
            Route("/ui", {"GET": self.page}),
            Route("/docs", {"GET": self.docs}),
            Route("/static/{file}", {"GET": self.static}),
            Route("/openapi.json", {"GET": self.document}),
            Route("/schema.json", {"GET": self.schema}),
        )

    async def to_page(self, request: Request) -> Response:
        """GET /: to the page, wherever a proxy has put it."""
        return Response(b"", 307, headers=[(b"location", b"ui")])

    async def page(self, request: Request) -> Response:
        """GET /ui: classify images."""
        return self._file("ui.html")

    async def docs(self, request: Request) -> Response:
        """GET /docs: the API, to read and to try."""
        return self._file("docs.html")

    async def static(self, request: Request) -> Response:
        """GET /static/{file}: what the pages are made of."""
        name = request.params["file"]
        if not _NAME.fullmatch(name) or not (_STATIC / name).is_file():
            raise NotFound("no such file")
        return self._file(name)

    async def document(self, request: Request) -> Response:
        """GET /openapi.json: the document, made once, in a thread as that takes a while."""
        if not self._document:
            from service.openapi import document  # noqa: PLC0415 (models of every answer, for who never asks)

            routes = main_routes(self._all_routes(), self._settings)
            made = await asyncio.to_thread(document.build, routes, self._settings)
            self._document = to_json(made)
        return Response(self._document)

    async def schema(self, request: Request) -> Response:
        """GET /schema.json: the endpoints as BentoML's Python client wants them."""
        return Response(to_json(SCHEMA))

    def _file(self, name: str) -> Response:
        if name not in self._files:
            self._files[name] = (_STATIC / name).read_bytes()
        kind = _TYPES[name.rpartition(".")[2]]
        return Response(self._files[name], content_type=kind + b"; charset=utf-8", headers=_HEADERS)
