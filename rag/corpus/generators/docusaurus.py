"""Docusaurus 3: every `.md` and `.mdx` is MDX, routes come from the path, `slug` and `id`.

Number prefixes go; `index`, `readme` and `<folder>/<folder>` are the folder. No h1 has an id, but it uses up its slug;
`{#id}` and `{/* #id */}` are written ids, which are not counted as taken. A `:name` within a heading is a text
directive and has no text. With the option `detect` (`markdown.format`) a `.md` is CommonMark.
"""

import re
from collections.abc import Iterator

from rag.corpus.frontmatter import Plain
from rag.corpus.generators.base import (
    Generator,
    HeadingText,
    Inline,
    Lines,
    RawHeading,
    Tree,
    block_parser,
    commonmark_headings,
)
from rag.corpus.routes import (
    EXTENSION,
    FrontMatter,
    Site,
    collapse,
    is_draft,
    strip_number_prefix,
    strip_number_prefixes,
)

_KEYS = (
    "sidebar_position sidebar_label sidebar_class_name sidebar_custom_props displayed_sidebar hide_title"
    " hide_table_of_contents pagination_label pagination_next pagination_prev custom_edit_url parse_number_prefixes"
)
_SIGNS = re.compile(
    rf"^(?:{'|'.join(_KEYS.split())})[ \t]*:|^import\b[^\n]*\bfrom\s+['\"](?:@theme|@site|@docusaurus)\b", re.MULTILINE
)
_CATEGORIES = ("_category_.json", "_category_.yml", "_category_.yaml")
_TEST = re.compile(r"\.test\.(?:jsx?|tsx?)$")
_PUBLISHED = (".md", ".mdx")

_ID = re.compile(r"\{#((?:.(?!\{#|\}))*.)\}$", re.DOTALL)
_COMMENT_ID = re.compile(r"\{/\*\s*+#([^\s*]++)[^*]*+\*/\}\s*$")
_FOOTNOTE = re.compile(r"\[\^[^\]\s]{1,100}+\]")
_DEFINED = re.compile(rf"({_FOOTNOTE.pattern}):")
_FOOTNOTE_BODY = re.compile(r"( {0,3})\[\^[^\]\s]+\]:")
_DIRECTIVE = re.compile(
    r"(?P<skip>\\.|(?P<ticks>`++)[^`]++(?P=ticks)(?!`)|<[^<>\n]*+>|\]\([^()\n]*+\))"
    r"|(?<!:):(?P<name>[A-Za-z](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)(?![A-Za-z0-9_:-])"
    r"(?P<label>\[(?:[^\[\]\\]|\\.)*\])?(?P<attributes>\{[^{}\n]*\})?",
    re.DOTALL,
)
_CODE_BLOCK = re.compile(r"[ \t]*(`{3,}|~{3,})mdx-code-block[ \t]*$")
_INDENTED = re.compile(r"^[ \t]*#{1,6}(?:[ \t]|$)|^[ \t]*(?:=+|-+)[ \t]*$", re.MULTILINE)


class Docusaurus(Generator):
    name = "docusaurus"
    configs = tuple(f"docusaurus.config.{ending}" for ending in ("js", "ts", "mjs", "cjs", "mts", "cts"))
    h1_has_anchor = False
    html_is_raw = False
    named_by_h1 = True

    def recognises(self, tree: Tree) -> bool:
        if tree.site.trailing_slash is not None or tree.site.route_base != "docs":
            return True  # settings that no other generator needs
        if any(name.rpartition("/")[2] in _CATEGORIES for name in tree.names):
            return True
        return any(_SIGNS.search(text) for text in tree.beginnings())

    def options(self, config: str) -> frozenset[str]:
        found = re.search(r"\bformat\s*:\s*['\"](?:detect|md)['\"]", config)
        return frozenset({"detect"} if found else ())

    def is_published(self, path: str, front_matter: FrontMatter, site: Site) -> bool:
        """False for drafts, partials and tests; the endings count as they are written."""
        parts = path.split("/")
        if is_draft(front_matter) or _TEST.search(path) or any(part.startswith((".", "_")) for part in parts):
            return parts[-1] == "_index.md" and not any(part.startswith((".", "_")) for part in parts[:-1])
        return path.endswith(_PUBLISHED) and "__tests__" not in parts

    def route(self, path: str, front_matter: FrontMatter, site: Site) -> str:
        route = collapse(f"/{site.route_base}/{slug_of(path, front_matter)}")
        if site.trailing_slash is None or route == "/":
            return route
        return route.rstrip("/") + ("/" if site.trailing_slash else "")

    def headings(self, lines: Lines) -> Iterator[RawHeading]:
        """MDX has no indented code: what looks like it is read again, as are footnotes and `mdx-code-block`."""
        if "detect" in lines.options and not lines.path.endswith(".mdx"):
            yield from super().headings(lines)
            return
        source = list(lines.lean)
        changed = _unwrap(source) | _open_footnotes(source)
        if not changed and not any(t.type == "code_block" and _INDENTED.search(t.content) for t in lines.tokens):
            yield from commonmark_headings(lines.tokens)
            return
        yield from commonmark_headings(block_parser(mdx=True).parse("\n".join(source)))

    def prepare(self, source: str, options: frozenset[str]) -> HeadingText:
        return DocusaurusText(source)


class DocusaurusText(HeadingText):
    marked = re.compile(r"[\\`*_\[\]<>&!~{^:]")

    def __init__(self, source: str) -> None:
        super().__init__()
        self._source = source
        self._defined: frozenset[str] | None = None

    def read(self, content: str, inline: Inline) -> tuple[str, str | None, str]:
        content = content.strip()
        if not self.marked.search(content):
            return content, None, content
        comment = _COMMENT_ID.search(content)
        written = _ID.search(content) if not comment else None
        if comment:
            content, identifier = content[: comment.start()], comment[1]
        elif written and written[1].strip() and not content[: written.start()].endswith("\\"):
            content, identifier = content[: written.start()], written[1].strip()
        else:
            return self._without_id(content, inline)
        text = self.text(content, inline)
        return text, identifier, text

    def _without_id(self, content: str, inline: Inline) -> tuple[str, str | None, str]:
        """A heading of which only the rendered text may end in an id, because of an escape say."""
        text = self.text(content, inline)
        written = _ID.search(text)
        if written and written[1].strip():
            return text[: written.start()].rstrip(), written[1].strip(), text
        spoken = _DIRECTIVE.sub(_label, content) if ":" in content else content
        if spoken == content:
            return text, None, text
        return text, None, self.plain(inline(_FOOTNOTE.sub(self._footnote, spoken)))  # the space before it stays

    def text(self, content: str, inline: Inline) -> str:
        if "[^" in content:
            content = _FOOTNOTE.sub(self._footnote, content)
        return super().text(content, inline)

    def _footnote(self, found: re.Match[str]) -> str:
        if self._defined is None:
            self._defined = frozenset(_DEFINED.findall(self._source))
        return "" if found[0] in self._defined else found[0]


def _label(found: re.Match[str]) -> str:
    """What is left of a text directive: its label."""
    if found["skip"]:
        return found[0]
    return found["label"][1:-1] if found["label"] else ""


def _unwrap(lines: list[str]) -> bool:
    """Empties the marks of `mdx-code-block` fences, whose content is MDX like the rest."""
    changed, mark = False, ""
    for at, line in enumerate(lines):
        found = None if mark else _CODE_BLOCK.match(line)
        if found:
            mark, changed = found[1], True
            lines[at] = ""
        elif mark and line.strip() == mark:
            lines[at], mark = "", ""
    return changed


def _open_footnotes(lines: list[str]) -> bool:
    """Blanks the label of a footnote's body, where a heading stands in it or below it."""
    changed, within = False, False
    for at, line in enumerate(lines):
        found = _FOOTNOTE_BODY.match(line)
        within = bool(found) or (within and (not line.strip() or line.startswith(("    ", "\t"))))
        if found:
            rest = line[found.end() :]
            changed |= bool(re.match(r"[ \t]+#{1,6}[ \t]", rest))
            lines[at] = rest.lstrip() if re.match(r"[ \t]+#{1,6}[ \t]", rest) else line
    return changed


def slug_of(path: str, front_matter: FrontMatter) -> str:
    """The slug of a document: absolute, a trailing slash only where Docusaurus keeps one."""
    folder, _, name = path.rpartition("/")
    raw = EXTENSION.sub("", name)
    numbered = front_matter.get("parse_number_prefixes", "").strip().lower() not in ("false", "no", "off")
    base = f"/{strip_number_prefixes(folder) if numbered else folder}/" if folder else "/"
    slug = _text(front_matter.get("slug", ""))
    if slug and _is_pathname(slug):
        return slug if slug.startswith("/") else _resolve(slug, base)
    if _is_folder_page(raw, folder):
        return base
    return _resolve(_text(front_matter.get("id", "")) or (strip_number_prefix(raw) if numbered else raw), base)


def _text(value: str) -> str:
    """A scalar as text. One that was written without quotes may be a number, which loses its leading zeros."""
    if isinstance(value, Plain) and re.fullmatch("[0-9]+", value):
        return value.lstrip("0") or "0"
    return value.strip()


def _is_folder_page(raw: str, folder: str) -> bool:
    name = raw.lower()
    return name in ("index", "readme", "_index") or (bool(folder) and name == folder.rpartition("/")[2].lower())


def _is_pathname(slug: str) -> bool:
    return not re.search(r"[?#\\]|^//|\s$", slug)


def _resolve(relative: str, base: str) -> str:
    """A relative path against a folder that ends in a slash; `..` stops at the root."""
    if relative.startswith("/"):
        return relative
    parts: list[str] = []
    given = (base + relative).split("/")
    for part in given:
        if part == "..":
            if parts:
                parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    folder = given[-1] in ("", ".", "..")
    return "/" + "/".join(parts) + ("/" if folder and parts else "")
