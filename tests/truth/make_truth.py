"""What a real Docusaurus published for a book: its pages, headings and anchors, as JSON lines.

    cp -r tests/truth/site "$SITE" && cp -r content "$SITE/book" && cd "$SITE"
    npm install && BOOK_CONTENT=book npx docusaurus build && cd -
    python tests/truth/make_truth.py "$SITE" > tests/truth/sample_book.jsonl

`site/package.json` pins Docusaurus 3.10.2 with its mermaid theme, remark-math and rehype-katex, and holds @docsearch/*
at 4.7.0; `site/docusaurus.config.js` publishes the book below `/physical-ai-book/docs` and fails on a broken link or
anchor. What the build knew of itself is read back from it, never assumed here.

Rows: one `site`; for each page a `page` (what Docusaurus recorded of it in .docusaurus) followed by its `heading`s
(what stands in the built HTML, beside the source line each was written on). A title that Docusaurus put above a page
without an h1 is counted in `n_html_headings` and has no row. `anchor` is null for every h1: Docusaurus gives it no id.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import Any

from markdown_it import MarkdownIt

PREFIX = "content"
"""Paths in the rows are those of the project: the book's folder, then the file."""
_NOT_IN_SLUGS = re.compile(r"[^\w\- ]")


@dataclass
class Heading:
    level: int
    anchor: str | None
    text: str = ""


class ArticleHeadings(HTMLParser):
    """The headings inside `<article>`, in order, without the link to themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Heading] = []
        self._inside = self._in_heading = self._in_link = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "article":
            self._inside = True
        elif self._inside and re.fullmatch("h[1-6]", tag):
            self.found.append(Heading(int(tag[1]), values.get("id")))
            self._in_heading = True
        elif tag == "a" and "hash-link" in (values.get("class") or ""):
            self._in_link = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "article":
            self._inside = False
        elif re.fullmatch("h[1-6]", tag):
            self._in_heading = False
        elif tag == "a":
            self._in_link = False

    def handle_data(self, data: str) -> None:
        if self._in_heading and not self._in_link:
            self.found[-1].text += data


def source_headings(text: str) -> list[tuple[int, int]]:
    """(line, level) of each heading, lines from 1, front matter left out but counted."""
    front_matter = re.match(r"---\n.*?\n---\n", text, re.DOTALL)
    if front_matter:
        text = "\n" * front_matter[0].count("\n") + text[front_matter.end() :]
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    return [(token.map[0] + 1, int(token.tag[1])) for token in tokens if token.type == "heading_open" and token.map]


def heading_rows(page: dict[str, Any], text: str, built: list[Heading]) -> Iterator[dict[str, Any]]:
    """Raises ValueError when the built headings are not those of the source."""
    written = source_headings(text)
    if len(built) == len(written) + 1 and built[0].level == 1:
        built = built[1:]  # the title, put there by Docusaurus
    if [heading.level for heading in built] != [level for _, level in written]:
        raise ValueError(f"{page['path']}: the built headings are not those of the source")
    for (line, level), heading in zip(written, built, strict=True):
        yield {
            "kind": "heading",
            "path": page["path"],
            "src": page["path"],
            "line": line,
            "level": level,
            "text": heading.text,
            "slug": heading.anchor or _NOT_IN_SLUGS.sub("", heading.text.lower()).replace(" ", "-"),
            "url": page["url"],
            "anchor": heading.anchor,
            "in_html": True if heading.anchor else None,
            "parent": "root" if level > 1 else "mdxJsxFlowElement",
            "line_raw": line,
        }


def site_row(site: Path) -> tuple[dict[str, Any], Path]:
    """The site as its build knew it, and the folder it took the book from."""
    config = json.loads(_exported(site / ".docusaurus" / "docusaurus.config.mjs"))
    docs = config["presets"][0][1]["docs"]
    row = {
        "kind": "site",
        "name": "sample_book",
        "locale": config["i18n"]["defaultLocale"],
        "url": config["url"],
        "baseUrl": config["baseUrl"],
        "trailingSlash": config.get("trailingSlash"),
        "docs": [{"path": PREFIX, "routeBasePath": docs["routeBasePath"], "from": PREFIX, "opts": None}],
        "format": config["markdown"]["format"],
        "excluded": [],
        "docusaurus": json.loads(_exported(site / ".docusaurus" / "site-metadata.json"))["docusaurusVersion"],
    }
    return row, site / docs["path"]


def _exported(file: Path) -> str:
    """The object in a file of the build: plain JSON, or a module whose default export is JSON."""
    text = file.read_text(encoding="utf-8")
    return text[text.index("{") : text.rindex("}") + 1]


def page_row(meta: dict[str, Any], site: dict[str, Any]) -> dict[str, Any]:
    path = PurePosixPath(PREFIX, meta["sourceDirName"], PurePosixPath(meta["source"]).name)
    html = meta["permalink"].removeprefix(site["baseUrl"]).strip("/")
    return {
        "kind": "page",
        "path": str(path),
        "permalink": meta["permalink"],
        "title": meta["title"],
        "slug": meta["slug"],
        "id": meta["id"],
        "unlisted": meta["unlisted"],
        "draft": meta["draft"],
        "html": f"{html}/index.html",
        "url": site["url"] + meta["permalink"],
    }


def rows(site_folder: Path) -> Iterator[dict[str, Any]]:
    site, book = site_row(site_folder)
    yield site
    records = (site_folder / ".docusaurus" / "docusaurus-plugin-content-docs" / "default").glob("site-*.json")
    pages = [page_row(json.loads(record.read_text(encoding="utf-8")), site) for record in records]
    for page in sorted(pages, key=lambda page: page["path"]):
        parser = ArticleHeadings()
        parser.feed((site_folder / "build" / page["html"]).read_text(encoding="utf-8"))
        text = (book / PurePosixPath(page["path"]).relative_to(PREFIX)).read_text(encoding="utf-8")
        yield page | {"n_html_headings": len(parser.found)}
        yield from heading_rows(page, text, parser.found)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the routes and anchors of a built Docusaurus book.")
    parser.add_argument("site", type=Path, help="the built site: holds build/ and .docusaurus/")
    for row in rows(parser.parse_args().site):
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
