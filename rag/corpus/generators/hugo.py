"""Hugo: `section/page/`, drafts left out; ids from the source of the heading, not from its text.

The rules were read from Hugo's own source; no build proves them here. `url` and `slug` in the front matter win,
`_index` is its folder and so is `index`. The options: `html` is `uglyURLs`, `ascii` the other kind of id.
"""

import re

from rag.corpus.generators.base import Generator, HeadingText, Tree
from rag.corpus.routes import FrontMatter, Site, is_draft, split_path
from rag.corpus.slugs import HugoSlugger, Slugger

_CONFIG = re.compile(r"^\s*\"?(?:baseURL|languageCode|defaultContentLanguage|theme|module)\"?\s*[:=]", re.I | re.M)
_KEPT = re.compile(r"[^\w./ \-+~#%]")


class Hugo(Generator):
    name = "hugo"
    configs = (
        *(f"{name}.{ending}" for name in ("hugo", "config") for ending in ("toml", "yaml", "yml", "json")),
        "config/_default/hugo.toml",
        "config/_default/hugo.yaml",
        "config/_default/config.toml",
        "config/_default/config.yaml",
    )

    def owns(self, config: str) -> bool:
        """`config.toml` is the name of many things: Hugo's says where the site lies, or in which language."""
        return bool(_CONFIG.search(config))

    def recognises(self, tree: Tree) -> bool:
        return any(name.rpartition("/")[2] == "_index.md" for name in tree.names)

    def options(self, config: str) -> frozenset[str]:
        found = {"html"} if re.search(r"^\s*\"?uglyURLs\"?\s*[:=]\s*true", config, re.I | re.M) else set[str]()
        return frozenset(found | ({"ascii"} if "github-ascii" in config else set()))

    def is_published(self, path: str, front_matter: FrontMatter, site: Site) -> bool:
        if is_draft(front_matter):
            return False
        return not any(part.startswith(".") for part in path.split("/"))

    def route(self, path: str, front_matter: FrontMatter, site: Site) -> str:
        url = front_matter.get("url", "").strip()
        if url:
            return url
        folder, stem = split_path(path)
        folder = _path(folder)
        if stem in ("_index", "index"):
            slug = front_matter.get("slug", "").strip() if stem == "index" else ""
            above = folder.rstrip("/").rpartition("/")[0]
            return f"{above}/{_path(slug)}/" if slug and folder else folder
        name = _path(front_matter.get("slug", "").strip() or stem)
        return folder + (f"{name}.html" if "html" in site.options else f"{name}/")

    def slugger(self, options: frozenset[str]) -> Slugger:
        return HugoSlugger(ascii_only="ascii" in options)

    def prepare(self, source: str, options: frozenset[str]) -> HeadingText:
        return _HugoText(options)


class _HugoText(HeadingText):
    def slug_text(self, text: str, content: str) -> str:
        """The last line of the source, with its marks: they are no letters and fall out."""
        return content.strip().rpartition("\n")[2]


def _path(path: str) -> str:
    """In lower case, spaces as hyphens."""
    return _KEPT.sub("", path.lower().replace(" ", "-"))
