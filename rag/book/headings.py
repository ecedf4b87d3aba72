"""The source of a heading -> its text and its anchor, by the rules of one generator.

docusaurus   `{#id}` or `{/* #id */}`; no h1 has an id, but it uses up its slug
mdbook       `{#id .class}`
mkdocs       the same, also `{: #id }`
github       nothing can be written out
"""

import re
from collections.abc import Callable

from rag.book.anchors import Generator, slugger_for

_LONGEST_ANCHOR = 1_000
_MARKED = re.compile(r"[\\`*_\[\]<>&!~{^]")
# None of these begins with `\s*`, and every run is possessive or ends at the next opener: 50,000 spaces or openers in a
# heading are read once.
_DOCUSAURUS_ID = re.compile(r"\{#((?:.(?!\{#|\}))*.)\}$", re.DOTALL)
_MDX_ID = re.compile(r"\{/\*\s*+#([^\s*]++)[^*]*+\*/\}\s*$")
_ATTRIBUTES = re.compile(r"\{:?([^{}]*+)\}$")
_FOOTNOTE = re.compile(r"\[\^[^\]\s]{1,100}+\]")
_DEFINED = re.compile(rf"({_FOOTNOTE.pattern}):")
_LONGEST_RENDERED = 5_000  # characters; the inline parser's time grows with the square of unclosed brackets


class HeadingReader:
    """Heading source -> its text and its anchor, by the rules of one generator, for one page."""

    def __init__(self, flavor: Generator, source: str, render: Callable[[str], str]) -> None:
        self._flavor = flavor
        self._slugger = slugger_for(flavor)
        self._source = source
        self._footnotes: frozenset[str] | None = None
        self._rendered = render

    def read(self, content: str, level: int) -> tuple[str, str | None]:
        """An empty anchor where the heading has nothing to be named by. Docusaurus gives no h1 an id."""
        text, identifier = self.text_and_id(content)
        if identifier is None:
            identifier = self._slugger.slug(text)
        else:
            self._slugger.register(identifier)
        if self._flavor == "docusaurus" and level == 1:
            return text, None
        return text, identifier if len(identifier) <= _LONGEST_ANCHOR else None

    def text_and_id(self, content: str) -> tuple[str, str | None]:
        """The rendered text, and the id if the author wrote one out."""
        if not _MARKED.search(content):
            return content, None
        if self._flavor != "docusaurus":
            return self._with_attributes(content)
        mdx = _MDX_ID.search(content)
        if mdx:
            return self._render(content[: mdx.start()]), mdx[1]
        written = _DOCUSAURUS_ID.search(content)
        if written and written[1].strip() and content.endswith(written[0]):
            return self._render(content[: written.start()]), written[1].strip()
        text = self._render(content)
        written = written or _DOCUSAURUS_ID.search(text)
        if not written or not written[1].strip():
            return text, None
        return text[: written.start()].rstrip(), written[1].strip()

    def _with_attributes(self, content: str) -> tuple[str, str | None]:
        """`{#id .class}` of mdBook and, with or without a colon, of MkDocs; GitHub has none."""
        found = _ATTRIBUTES.search(content) if self._flavor != "github" else None
        if not found:
            return self._render(content), None
        identifier = next((part[1:] for part in found[1].split() if part.startswith("#") and len(part) > 1), None)
        return self._render(content[: found.start()]), identifier

    def _render(self, content: str) -> str:
        content = content.strip()
        if len(content) > _LONGEST_RENDERED or not _MARKED.search(content):
            return content
        if "[^" in content:
            content = _FOOTNOTE.sub(self._footnote, content)
        return self._rendered(content)

    def _footnote(self, found: re.Match[str]) -> str:
        if self._footnotes is None:
            self._footnotes = frozenset(_DEFINED.findall(self._source))
        return "" if found[0] in self._footnotes else found[0]
