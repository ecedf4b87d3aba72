"""VitePress: `a/b.html`, or `a/b` with the option `clean` (`cleanUrls: true`).

Ids come from the heading's text and code, without images, emoji and tags; `{#id}` is a written id, which is counted.
"""

import re

from rag.corpus.generators.base import Generator, HeadingText
from rag.corpus.routes import FrontMatter, Site, split_path
from rag.corpus.slugs import Slugger, VitePressSlugger

_EMOJI = re.compile(r"(`+[^`]*`+)|:[a-z0-9_+-]+:")


class VitePress(Generator):
    name = "vitepress"
    dashes_are_tables = True
    configs = (
        *(f".vitepress/config.{ending}" for ending in ("ts", "mts", "js", "mjs", "cts", "cjs")),
        ".vitepress/config/index.ts",
        ".vitepress/config/index.mts",
        ".vitepress/config/index.js",
    )

    def options(self, config: str) -> frozenset[str]:
        return frozenset({"clean"} if re.search(r"\bcleanUrls\s*:\s*true\b", config) else ())

    def is_published(self, path: str, front_matter: FrontMatter, site: Site) -> bool:
        """There are no drafts; hidden files have no page, and files of other endings than `.md`."""
        return path.endswith(".md") and not any(part.startswith(".") for part in path.split("/"))

    def route(self, path: str, front_matter: FrontMatter, site: Site) -> str:
        folder, stem = split_path(path)
        if stem == "index":
            return folder
        return folder + stem + ("" if site.trailing_slash is False or "clean" in site.options else ".html")

    def slugger(self, options: frozenset[str]) -> Slugger:
        return VitePressSlugger()

    def prepare(self, source: str, options: frozenset[str]) -> HeadingText:
        return _VitePressText(options)


class _VitePressText(HeadingText):
    marked = re.compile(r"[\\`*_\[\]<>&!~{^:]")
    images = False

    def slug_text(self, text: str, content: str) -> str:
        """An entity stays as it is written, so that `&amp;` gives `amp`; `:tada:` is an emoji."""
        entities = re.findall(r"&#?\w+;", content)
        for entity in entities:
            text = text.replace({"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"'}.get(entity, "\0"), entity)
        return _EMOJI.sub(lambda found: found[1] or "", text)
