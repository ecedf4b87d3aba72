"""A published book on an origin of its own, under a content security policy without any `unsafe-inline`."""

import html
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.widget.loopback import LoopbackServer

PAGES = Path(__file__).resolve().parent / "site"
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript"}


class StaticSite(LoopbackServer):
    """Every page carries the widget's script tag; a test sets its attributes before it opens a page."""

    def __init__(self) -> None:
        self.chat_url = ""
        self.attributes: dict[str, str] = {}
        super().__init__(Starlette(routes=[Route("/{path:path}", self._page)]))

    @property
    def policy(self) -> str:
        return "; ".join(
            [
                "default-src 'none'",
                f"script-src 'self' {self.chat_url}",
                "style-src 'self'",
                f"connect-src {self.chat_url}",
                "img-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
                "require-trusted-types-for 'script'",
                "trusted-types 'none'",
            ]
        )

    async def _page(self, request: Request) -> Response:
        path = (PAGES / (request.path_params["path"] or "index.html")).resolve()
        if not path.is_relative_to(PAGES) or not path.is_file():
            return Response("not found", 404, media_type="text/plain")
        content = path.read_text(encoding="utf-8").replace("<!-- widget -->", self._script_tag())
        return Response(content, media_type=TYPES[path.suffix], headers={"content-security-policy": self.policy})

    def _script_tag(self) -> str:
        attributes = "".join(f' {name}="{html.escape(value)}"' for name, value in self.attributes.items())
        return f'<script src="{self.chat_url}/widget.js"{attributes} defer></script>'
