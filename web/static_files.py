"""The built widget: one script, cached for a year under the hash of its content and for five minutes under its name."""

import gzip
import hashlib
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from web.problems import not_found

WIDGET = Path(__file__).parent / "static" / "widget.js"
FOREVER = "public, max-age=31536000, immutable"
SHORT = "public, max-age=300, stale-while-revalidate=86400"


class WidgetFile:
    """The file in memory, plain and compressed, with the hash that names it."""

    def __init__(self, path: Path) -> None:
        self.plain = path.read_bytes() if path.is_file() else b""
        self.compressed = gzip.compress(self.plain, 9, mtime=0)
        self.hash = hashlib.sha256(self.plain).hexdigest()[:16]


def widget_routes() -> APIRouter:
    router = APIRouter(include_in_schema=False)
    file = WidgetFile(WIDGET)

    def answer(request: Request, cache: str) -> Response:
        etag = f'"{file.hash}"'
        headers = {
            "cache-control": cache,
            "etag": etag,
            "vary": "accept-encoding",
            "access-control-allow-origin": "*",
            "cross-origin-resource-policy": "cross-origin",
        }
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        body = file.plain
        if "gzip" in request.headers.get("accept-encoding", ""):
            body, headers["content-encoding"] = file.compressed, "gzip"
        return Response(body, media_type="text/javascript; charset=utf-8", headers=headers)

    @router.api_route("/widget.js", methods=["GET", "HEAD"])
    async def widget(request: Request, v: str | None = None) -> Response:
        if not file.plain:
            raise not_found()
        return answer(request, FOREVER if v == file.hash else SHORT)

    @router.api_route("/widget-{name}.js", methods=["GET", "HEAD"])
    async def hashed(request: Request, name: str) -> Response:
        if not file.plain or name != file.hash:
            raise not_found()
        return answer(request, FOREVER)

    return router
