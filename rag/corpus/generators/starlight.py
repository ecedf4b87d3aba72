"""Starlight, the documentation theme of Astro: `a/b/`, every part of the path a slug of GitHub's kind.

`slug` in the front matter wins. `.mdx` is MDX, `.md` is not. Ids are GitHub's, after smart quotes and dashes. The title
of a page, which stands above its text, is `_top`; an h1 within the text has an id like any other.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rag.corpus.generators.base import Generator, HeadingText, Tree
from rag.corpus.routes import FrontMatter, Site, is_draft, split_path
from rag.corpus.slugs import GithubSlugger

if TYPE_CHECKING:
    from markdown_it.token import Token

_ELLIPSIS = re.compile(r"\.{3}")


class Starlight(Generator):
    name = "starlight"
    configs = tuple(f"astro.config.{ending}" for ending in ("mjs", "ts", "js", "mts", "cjs"))

    def recognises(self, tree: Tree) -> bool:
        return any("@astrojs/starlight" in text for text in tree.beginnings())

    def options(self, config: str) -> frozenset[str]:
        found = set[str]()
        if re.search(r"\btrailingSlash\s*:\s*['\"]never", config):
            found.add("no-slash")
        if re.search(r"\bformat\s*:\s*['\"]file", config):
            found.add("html")
        return frozenset(found)

    def is_published(self, path: str, front_matter: FrontMatter, site: Site) -> bool:
        """A name that begins with `_` is a partial's; folders may be called so."""
        name = path.rpartition("/")[2]
        return not is_draft(front_matter) and not name.startswith(("_", "."))

    def route(self, path: str, front_matter: FrontMatter, site: Site) -> str:
        folder, stem = split_path(path)
        slug = front_matter.get("slug", "").strip()
        if not slug:
            slug = "/".join(GithubSlugger().slug(part) for part in f"{folder}{stem}".split("/"))
        slug = re.sub(r"(?:^|/)index$", "", slug.strip("/"))
        if not slug:
            return ""
        if "html" in site.options:
            return f"{slug}.html"
        return slug if site.trailing_slash is False or "no-slash" in site.options else f"{slug}/"

    def prepare(self, source: str, options: frozenset[str]) -> HeadingText:
        return _StarlightText(options)


class _StarlightText(HeadingText):
    marked = re.compile(r"[\\`*_\[\]<>&!~{^\"']|--|\.\.")
    images = False

    def split_id(self, content: str) -> tuple[str, str | None]:
        return content, None

    def plain(self, tokens: "Sequence[Token]") -> str:
        parts = list[str]()
        for token in tokens:
            text = super().plain([token])
            parts.append(_smart(text) if token.type == "text" else text)
        return "".join(parts)


def _smart(text: str) -> str:
    """As retext-smartypants makes them: two hyphens are a dash, three stay."""
    text = re.sub(r"(?<!-)-{2}(?!-)", "—", text)
    return _ELLIPSIS.sub("…", text)
