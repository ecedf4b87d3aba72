"""The built widget: one script, kept for a year under the hash of its content and looked at again under its name."""

import gzip
import hashlib
import re
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from web.problems import not_found

WIDGET = Path(__file__).parent / "static" / "widget.js"
FOREVER = "public, max-age=31536000, immutable"
SHORT = "public, max-age=300, stale-while-revalidate=86400"


class WidgetScript:
    """The file in memory, plain and compressed, with the hash that names it."""

    def __init__(self, path: Path) -> None:
        self.plain = path.read_bytes() if path.is_file() else b""
        self.compressed = gzip.compress(self.plain, 9, mtime=0)
        self.hash = hashlib.sha256(self.plain).hexdigest()[:16]
        self.etag = f'W/"{self.hash}"'  # weak: one for both encodings

    def answer(self, request: Request, cache: str) -> Response:
        """`Content-Location` names the address under which this very content stays."""
        headers = {
            "cache-control": cache,
            "etag": self.etag,
            "content-location": f"/widget-{self.hash}.js",
            "vary": "accept-encoding",
            "access-control-allow-origin": "*",
            "cross-origin-resource-policy": "cross-origin",
        }
        if self._is_known(request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers=headers)
        body = self.plain
        if _takes_gzip(request.headers.get("accept-encoding", "")):
            body, headers["content-encoding"] = self.compressed, "gzip"
        return Response(body, media_type="text/javascript; charset=utf-8", headers=headers)

    def _is_known(self, if_none_match: str) -> bool:
        tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
        return bool(tags & {"*", f'"{self.hash}"'})


def widget_routes() -> APIRouter:
    router = APIRouter(include_in_schema=False)
    file = WidgetScript(WIDGET)

    @router.api_route("/widget.js", methods=["GET", "HEAD"])
    async def widget(request: Request, v: str | None = None) -> Response:
        if not file.plain:
            raise not_found()
        return file.answer(request, FOREVER if v == file.hash else SHORT)

    @router.api_route("/widget-{name}.js", methods=["GET", "HEAD"])
    async def hashed(request: Request, name: str) -> Response:
        if not file.plain or name != file.hash:
            raise not_found()
        return file.answer(request, FOREVER)

    return router


def _takes_gzip(accept_encoding: str) -> bool:
    """Named, and not with a weight of nothing (RFC 9110, section 12.5.3)."""
    for offer in accept_encoding.lower().split(","):
        name, _, weight = offer.partition(";")
        if name.strip() == "gzip":
            return not re.fullmatch(r"\s*q=0(\.0*)?\s*", weight)
    return False
