"""GitHub, which shows the file itself, and `other`: a book that nothing says who publishes.

On GitHub nothing can be written out, and headings may be written as HTML. A book of an unknown generator has routes
without endings, as most have, anchors as GitHub's, and `{#id}` where its author wrote one.
"""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from rag.corpus.generators.base import (
    Generator,
    HeadingText,
    Lines,
    RawHeading,
    Tree,
    block_parser,
    html_headings,
)
from rag.corpus.generators.docusaurus import slug_of
from rag.corpus.routes import FrontMatter, Site, collapse, is_draft

_HTML_HEADING = re.compile(r"<h[1-6]\b", re.IGNORECASE)


class GitHub(Generator):
    name = "github"

    def recognises(self, tree: Tree) -> bool:
        return bool(tree.url) and (urlsplit(tree.url or "").hostname or "").lower() in ("github.com", "www.github.com")

    def headings(self, lines: Lines) -> Iterator[RawHeading]:
        found = list(super().headings(lines))
        if not _HTML_HEADING.search(lines.text):
            return iter(found)
        tokens = block_parser().parse(lines.text)
        for token in tokens:
            if token.type in ("html_block", "inline") and token.map and _HTML_HEADING.search(token.content):
                if token.type == "inline" and not token.content.lstrip().startswith("<"):
                    continue
                found += html_headings(token.content, token.map[0])
        return iter(sorted(found, key=lambda heading: heading.line))

    def prepare(self, source: str, options: frozenset[str]) -> HeadingText:
        return _GitHubText(options)


class _GitHubText(HeadingText):
    def split_id(self, content: str) -> tuple[str, str | None]:
        return content, None


class Other(Generator):
    name = "other"
    named_by_h1 = True

    def is_published(self, path: str, front_matter: FrontMatter, site: Site) -> bool:
        """False for drafts and for what begins with an underscore: a partial, except for the section of Hugo."""
        parts = path.split("/")
        hidden = parts[:-1] if parts[-1].lower() == "_index.md" else parts
        return not is_draft(front_matter) and not any(part == "__tests__" or part.startswith("_") for part in hidden)

    def route(self, path: str, front_matter: FrontMatter, site: Site) -> str:
        route = collapse(f"/{site.route_base}/{slug_of(path, front_matter)}")
        if site.trailing_slash is None or route == "/":
            return route
        return route.rstrip("/") + ("/" if site.trailing_slash else "")
