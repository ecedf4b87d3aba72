"""The small book of the tests as a site publishes it: on an origin of its own, every heading under its id."""

import re
from itertools import pairwise

from markdown_it import MarkdownIt
from starlette.requests import Request
from starlette.responses import Response

from tests.support.books import LIGHTHOUSE
from tests.widget.static_site import PAGES, StaticSite

PUBLISHED = {
    "docs/": "index.md",
    "docs/lamp/oil": "01-lamp/01-oil.md",
    "docs/lamp/lens": "01-lamp/02-lens.md",
    "docs/sea/fog": "02-sea/01-fog.md",
}
# Something a reader can select that no passage of the book holds.
NOTE = "The keepers of the north call a late wick the sleeping sister."


class LighthouseSite(StaticSite):
    async def _page(self, request: Request) -> Response:
        path = request.path_params["path"]
        if path == "book.css":
            return Response((PAGES / path).read_bytes(), media_type="text/css")
        if path not in PUBLISHED:
            return Response("not found", 404, media_type="text/plain")
        content = self._published(LIGHTHOUSE[PUBLISHED[path]])
        return Response(content, media_type="text/html", headers={"content-security-policy": self.policy})

    def _published(self, markdown: str) -> str:
        front_matter, body = re.fullmatch(r"(?:---\n(.*?)---\n)?(.*)", markdown, re.DOTALL).groups()  # type: ignore[union-attr]
        title = (front_matter or body).partition("\n")[0].removeprefix("title: ").removeprefix("# ")
        heading = f"<h1>{title}</h1>" if front_matter else ""
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f'<link rel="stylesheet" href="/book.css">{self._script_tag()}</head>'
            f'<body><main>{heading}<p id="note">{NOTE}</p>{_with_ids(body)}<div class="tall"></div></main></body>'
            "</html>"
        )


def _with_ids(markdown: str) -> str:
    """Every section is a screen away from the one before, so that only who followed a link to it sees it."""
    parser = MarkdownIt("commonmark").enable("table")
    tokens = parser.parse(markdown)
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", re.sub(r"[^a-z0-9]+", "-", inline.content.lower()))
    return str(parser.renderer.render(tokens, parser.options, {})).replace("<h2", '<div class="tall"></div><h2')
