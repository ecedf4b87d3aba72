"""MkDocs: Python-Markdown with the extensions of Material for MkDocs, `a/b/` for `a/b.md`.

The ids are those of its `toc` extension: ASCII, `_1` for a duplicate, all written ids taken beforehand. The options:
`unicode`, `case` and `pymdown` are other functions for slugs, `emoji` takes `:icon:` out of headings.
"""

import re
from collections.abc import Iterator

from rag.corpus.generators.base import Generator, HeadingText, Inline, Lines, RawHeading, Tree
from rag.corpus.generators.python_markdown import find_headings
from rag.corpus.routes import FrontMatter, Site, split_path
from rag.corpus.slugs import MkDocsSlugger, Slugger

_ATTRIBUTES = re.compile(r"(?<= )\{:? *+([^}\n ][^\n]*)\}$")
_PART = re.compile(r"""[^ =}]+=".*?"|[^ =}]+='.*?'|[^ =}]+=[^ =}]+|[^ =}]+""")
_ICON = re.compile(r"(?P<code>(?P<mark>`++).+?(?<!`)(?P=mark)(?!`))|:[a-z0-9_+-]++:")
_FOOTNOTE = re.compile(r"(?<!!)\[\^[^\]\s]{1,100}+\]")
_INLINE_ATTRIBUTES = re.compile(r"(?P<code>(?P<mark>`++).+?(?<!`)(?P=mark)(?!`))|(?<=[`*_)\]>])\{:?[ ]*[.#][^{}\n]*\}")
_SLUGIFY = re.compile(r"slugify\s*:\s*(?P<call>[^\n#]*)(?P<rest>(?:\n\s+(?:kwds|case)\b[^\n]*){0,3})")


class MkDocs(Generator):
    name = "mkdocs"
    configs = ("mkdocs.yml", "mkdocs.yaml")
    ids_first = True

    def recognises(self, tree: Tree) -> bool:
        return any(name.rpartition("/")[2] in (".nav.yml", ".pages") for name in tree.names)

    def options(self, config: str) -> frozenset[str]:
        """Read from the text: the file may hold YAML tags that no safe loader takes."""
        found = {"emoji"} if re.search(r"\b(?:pymdownx\.emoji|material)\b", config) else set[str]()
        if re.search(r"^use_directory_urls\s*:\s*(?:false|no|off)\b", config, re.MULTILINE | re.IGNORECASE):
            found.add("html")
        slugify = _SLUGIFY.search(config)
        if slugify and "pymdownx.slugs" in slugify["call"]:
            call = slugify[0]
            found.add("pymdown")
            if not re.search(r"case\s*:\s*['\"]?(?:lower|fold)|lower", call) or "uslugify_cased" in call:
                found.add("case")
        elif slugify and "slugify_unicode" in slugify["call"]:
            found.add("unicode")
        return frozenset(found)

    def is_published(self, path: str, front_matter: FrontMatter, site: Site) -> bool:
        """Drafts have a page; only hidden files and the templates of a theme have none."""
        return not any(part.startswith(".") for part in path.split("/")) and not path.startswith("templates/")

    def route(self, path: str, front_matter: FrontMatter, site: Site) -> str:
        folder, stem = split_path(path)
        index = stem in ("index", "README")
        if site.trailing_slash is False or "html" in site.options:
            return f"{folder}{'index' if index else stem}.html"
        return folder if index else f"{folder}{stem}/"

    def slugger(self, options: frozenset[str]) -> Slugger:
        return MkDocsSlugger(unicode="unicode" in options, case="case" in options, pymdown="pymdown" in options)

    def headings(self, lines: Lines) -> Iterator[RawHeading]:
        yield from find_headings(lines.source, lines.body)

    def prepare(self, source: str, options: frozenset[str]) -> HeadingText:
        return MkDocsText(source, options)


class MkDocsText(HeadingText):
    marked = re.compile(r"[\\`*_\[\]<>&!~{^:=#]")
    images = False

    def __init__(self, source: str, options: frozenset[str]) -> None:
        super().__init__(options)
        self._source = source
        self._defined: frozenset[str] | None = None

    def split_id(self, content: str) -> tuple[str, str | None]:
        """`{#a}`, `{: #a }`, `{ id="a" }`; the last id counts. What is left may end in marks of the heading."""
        found = _ATTRIBUTES.search(content.rstrip(" "))
        if not found:
            return content, None
        end = found[1].find("}")
        if end >= 0 and "{" not in found[1][end:]:
            return content, None
        identifier: str | None = None
        inner = found[1].rpartition("{")[2].removeprefix(":") if "{" in found[1] else found[1]
        for part in _PART.findall(inner):
            key, equals, value = part.partition("=")
            if not equals and key.startswith("#"):
                identifier = key[1:]
            elif equals and key == "id":
                identifier = value.strip("\"'")
        start = found.start() if "{" not in found[1] else content.rindex("{")
        return content[:start].rstrip().rstrip("#").rstrip(), identifier or None

    def text(self, content: str, inline: Inline) -> str:
        content = content.strip()
        if "[^" in content:
            content = _FOOTNOTE.sub(self._footnote, content)
        if "emoji" in self.options and ":" in content:
            content = _ICON.sub(_code, content)
        if "{" in content:
            content = _INLINE_ATTRIBUTES.sub(_code, content)
        return super().text(content, inline)

    def _footnote(self, found: re.Match[str]) -> str:
        if self._defined is None:
            self._defined = frozenset(re.findall(r"^ {0,3}(\[\^[^\]\s]+\]):", self._source, re.MULTILINE))
        return "" if found[0] in self._defined else found[0]


def _code(found: re.Match[str]) -> str:
    """Code stays, what else was found goes."""
    return found["code"] or ""
