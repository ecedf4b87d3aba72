"""The headings of a page as Python-Markdown finds them, with the extensions that Material for MkDocs switches on.

Its blocks are not those of CommonMark: they end at empty lines and nothing else, `##NoSpace` is a heading and an
indented `##` is none, four spaces belong to the list item, `!!!`, `???` or `===` above. This follows its block
processors in their order, as far as they decide what a heading is, and keeps the number of every line.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from rag.corpus.generators.base import RawHeading

Line = tuple[int, str]  # number and text
Kind = str  # of a node: what the lines below it may belong to

_TAB = " " * 4
_DEEPEST = 40  # levels of nesting; below them all is text
_CONTAINER = re.compile(
    r"!!! ?[\w\-]+(?: +[\w\-]+)*(?: +\"(?:.*?)\")? *$"
    r"|\?\?\?\+? ?(?:(?:[\w\-]+(?: +[\w\-]+)*?)?(?: +\".*?\")|[\w\-]+(?: +[\w\-]+)*?) *$"
    r"|===(?:\+!?|!\+?)? +\".*?\" *$"
)
_HASH = re.compile(r"(?P<level>#{1,6})(?P<text>(?:\\.|[^\\#]|#+(?=[^#]))*?)#*$")
_UNDERLINE = re.compile(r"(?:=+|-+) *$")
_RULE = re.compile(r" {0,3}(?:(?:- {0,2}){3,}|(?:_ {0,2}){3,}|(?:\* {0,2}){3,}) *$")
_ITEM = re.compile(r" {0,3}(?:\d+\.|[*+-]) +(?P<text>.*)")
_NESTED_ITEM = re.compile(r" {4,7}(?:\d+\.|[*+-]) +")
_QUOTE = re.compile(r" {0,3}> ?(?P<text>.*)")
_DEFINITION = re.compile(r" {0,3}: {1,3}(?P<text>.*)")
_FOOTNOTE = re.compile(r" {0,3}\[\^(?P<name>[^\]]*)\]: *(?P<text>.*)")
_FENCE = re.compile(r"(?P<indent>[ >]*)(?P<mark>~{3,}|`{3,})(?P<info>[^\n]*)$")
_TAG = re.compile(r" {0,3}<(?P<name>[a-zA-Z][\w-]*)(?P<attributes>(?:\s[^<>]*)?)>?")
_BLOCK_TAGS = re.compile(
    r"address|article|aside|blockquote|body|center|colgroup|dd|details|dialog|dir|div|dl|dt|fieldset|figcaption|figure"
    r"|footer|form|frameset|h[1-6]|head|header|hgroup|html|iframe|legend|li|main|map|menu|nav|noframes|noscript|object"
    r"|ol|p|pre|script|search|section|select|style|summary|table|tbody|td|textarea|tfoot|th|thead|title|tr|ul|video"
)


@dataclass(slots=True)
class _Node:
    kind: Kind
    children: list["_Node"] = field(default_factory=list)

    def last(self) -> "_Node | None":
        return self.children[-1] if self.children else None

    def add(self, kind: Kind) -> "_Node":
        self.children.append(_Node(kind))
        return self.children[-1]


def find_headings(source: Sequence[str], body: int) -> Iterator[RawHeading]:
    """The headings in order; those in footnotes come last, as they do on the page."""
    reader = _Reader()
    lines = [(number, source[number].expandtabs(4)) for number in range(body, len(source))]
    reader.blocks(_Node("root"), list(_without_html(_without_fences(lines))), 0)
    reader.footnotes()
    yield from reader.found


class _Reader:
    def __init__(self) -> None:
        self.found: list[RawHeading] = []
        self._notes: dict[str, list[Line]] = {}  # of two with one name the latter counts

    def footnotes(self) -> None:
        for note in self._notes.values():
            self.blocks(_Node("li"), note, 1)

    def blocks(self, parent: _Node, lines: list[Line], depth: int) -> None:
        """The blocks of lines, parted by empty ones, below a node."""
        block: list[Line] = []
        blocks: list[list[Line]] = []
        for line in [*lines, (0, "")]:
            if line[1].strip():
                block.append(line)
            elif block:
                blocks.append(block)
                block = []
        at = 0
        while at < len(blocks):
            note = _FOOTNOTE.match(blocks[at][0][1]) if parent.kind == "root" else None
            if note:
                at = self._footnote(blocks, at, note)
            else:
                self.block(parent, blocks[at], depth)
                at += 1

    def block(self, parent: _Node, lines: list[Line], depth: int, *, detabbed: bool = False) -> None:
        """One block: containers are looked for anywhere in it, before anything else."""
        if depth > _DEEPEST:
            parent.add("p")
            return
        starts = [at for at, line in enumerate(lines) if line[1][:3] in ("!!!", "???", "===") and _opens(line[1])]
        first = starts[0] if starts else len(lines)
        self._simple(parent, lines[:first], depth, detabbed=detabbed)
        for at, end in pairwise([*starts, len(lines)]):
            container = parent.add("container")
            content, rest = _detab(lines[at + 1 : end])
            if content:
                self.block(container, content, depth + 1)
            self._simple(parent, rest, depth)

    def _simple(self, parent: _Node, lines: list[Line], depth: int, *, detabbed: bool = False) -> None:
        hashes = [at for at, line in enumerate(lines) if line[1].startswith("#") and _HASH.match(line[1])]
        at = passed = 0
        while at < len(lines):
            if lines[at][1].startswith(_TAB):
                at = self._indented(parent, lines, at, depth, detabbed=detabbed)
                continue
            while passed < len(hashes) and hashes[passed] < at:
                passed += 1
            end = hashes[passed] if passed < len(hashes) else len(lines)
            if end > at:
                self._plain(parent, lines[at:end], depth)
            if end < len(lines):
                self._heading(parent, lines[end])
            at = end + 1

    def _indented(self, parent: _Node, lines: list[Line], at: int, depth: int, *, detabbed: bool) -> int:
        """Lines that begin with four spaces; returns where the rest goes on."""
        last = parent.last()
        if last is not None and last.kind == "container":
            content, _ = _detab(lines[at:])
            self.block(last, content, depth + 1)
            return at + len(content)
        if not detabbed and (parent.kind in ("li", "dd") or (last is not None and last.kind in ("list", "dl"))):
            self._continued(parent, lines[at:], depth)
            return len(lines)
        content, _ = _detab(lines[at:])
        parent.add("code")
        return at + len(content)

    def _continued(self, parent: _Node, lines: list[Line], depth: int) -> None:
        """What goes on in an item of a list: the innermost one that the indentation reaches."""
        indent = (len(lines[0][1]) - len(lines[0][1].lstrip(" "))) // 4
        level, node = (1, parent) if parent.kind in ("li", "dd") else (0, parent)
        while indent > level:
            child = node.last()
            if child is None or child.kind not in ("list", "li", "dl", "dd"):
                break
            level += child.kind in ("list", "dl")
            node = child
        content = [(number, _loosened(text, level)) for number, text in lines]
        if node.kind in ("list", "dl") and (item := node.last()) is not None:
            node = item
        elif node is parent and (child := node.last()) is not None and child.kind in ("list", "dl"):
            node = child
        self.block(node, content, depth + 1, detabbed=True)

    def _heading(self, parent: _Node, line: Line) -> None:
        found = _HASH.match(line[1])
        assert found
        parent.add("heading")
        nested = parent.kind != "root"
        self.found.append(RawHeading(line[0], len(found["level"]), found["text"].strip(), nested=nested))

    def _plain(self, parent: _Node, lines: list[Line], depth: int) -> None:
        """Lines without a container, a code block or a `#` heading at their beginning."""
        at = 0
        while at < len(lines):
            text = lines[at][1]
            if at + 1 < len(lines) and _UNDERLINE.match(lines[at + 1][1]):
                level = 1 if lines[at + 1][1].startswith("=") else 2
                parent.add("heading")
                self.found.append(RawHeading(lines[at][0], level, text.strip(), nested=parent.kind != "root"))
                at += 2
            elif text.startswith(_TAB):
                at = self._indented(parent, lines, at, depth, detabbed=False)
            else:
                rule = next((n for n in range(at, len(lines)) if _RULE.match(lines[n][1])), len(lines))
                if rule > at:
                    self._text(parent, lines[at:rule], depth)
                if rule < len(lines):
                    parent.add("rule")
                at = rule + 1

    def _text(self, parent: _Node, lines: list[Line], depth: int) -> None:
        if _ITEM.match(lines[0][1]):
            self._list(parent, lines, depth)
            return
        quote = next((at for at, line in enumerate(lines) if _QUOTE.match(line[1])), len(lines))
        term = next((at for at, line in enumerate(lines) if _DEFINITION.match(line[1])), len(lines))
        last = parent.last()
        if term < len(lines) and term <= quote and (term or (last is not None and last.kind in ("p", "dl"))):
            self._definitions(parent, lines[term:], depth)
        elif quote < len(lines):
            if quote:
                self.block(parent, lines[:quote], depth + 1)
            last = parent.last()
            node = last if last is not None and last.kind == "quote" else parent.add("quote")
            self.blocks(node, [(number, _unquoted(text)) for number, text in lines[quote:]], depth + 1)
        else:
            parent.add("p")

    def _list(self, parent: _Node, lines: list[Line], depth: int) -> None:
        items: list[list[Line]] = []
        for number, text in lines:
            item = _ITEM.match(text)
            if item:
                items.append([(number, item["text"])])
            elif _NESTED_ITEM.match(text) and not items[-1][0][1].startswith(_TAB):
                items.append([(number, text)])
            else:
                items[-1].append((number, text))
        last = parent.last()
        if last is not None and last.kind == "list":
            node = last
        else:
            node = parent if parent.kind == "list" else parent.add("list")
        for item_lines in items:
            below = node.last()
            if item_lines[0][1].startswith(_TAB) and below is not None:
                self.block(below, item_lines, depth + 1)
            else:
                self.block(node.add("li"), item_lines, depth + 1)

    def _definitions(self, parent: _Node, lines: list[Line], depth: int) -> None:
        last = parent.last()
        node = last if last is not None and last.kind == "dl" else parent.add("dl")
        content: list[Line] = []
        for number, text in [*lines, (0, ": ")]:
            found = _DEFINITION.match(text)
            if not found:
                content.append((number, text[4:] if text.startswith(_TAB) else text))
                continue
            if content:
                self.block(node.add("dd"), content, depth + 1)
            content = [(number, found["text"])] if found["text"] else []

    def _footnote(self, blocks: list[list[Line]], at: int, found: re.Match[str]) -> int:
        """Puts a footnote aside, with the indented blocks below it."""
        note = [(blocks[at][0][0], found["text"]), *((n, _loosened(text, 1)) for n, text in blocks[at][1:])]
        at += 1
        while at < len(blocks) and blocks[at][0][1].startswith(_TAB):
            note += [(0, ""), *((n, _loosened(text, 1)) for n, text in blocks[at])]
            at += 1
        self._notes[found["name"]] = note
        return at


def _opens(text: str) -> bool:
    return bool(_CONTAINER.match(text))


def _detab(lines: list[Line]) -> tuple[list[Line], list[Line]]:
    """The lines that begin with four spaces, without them, and what comes after."""
    end = next((at for at, line in enumerate(lines) if not line[1].startswith(_TAB)), len(lines))
    return [(number, text[4:]) for number, text in lines[:end]], lines[end:]


def _loosened(text: str, levels: int) -> str:
    width = 4 * levels
    return text[width:] if text.startswith(" " * width) else text


def _unquoted(text: str) -> str:
    found = _QUOTE.match(text)
    return found["text"] if found else text


def _without_fences(lines: Sequence[Line]) -> Iterator[Line]:
    """Each closed fence as one line of text, with its indentation."""
    ends = _closing_marks(lines)
    at = 0
    while at < len(lines):
        number, text = lines[at]
        found = _FENCE.match(text)
        end = -1
        if found and not (found["mark"][0] == "`" and "`" in found["info"]):
            marks = ends.get((found["indent"].rstrip(" "), found["mark"]), [])
            following = bisect_right(marks, at)
            end = marks[following] if following < len(marks) else -1
        if end > at and found:
            yield number, f"{found['indent']}\x02"
            at = end
        else:
            yield number, text
        at += 1


def _closing_marks(lines: Sequence[Line]) -> dict[tuple[str, str], list[int]]:
    """Where each mark stands alone on a line, by itself and by the marks of quotation before it."""
    found: dict[tuple[str, str], list[int]] = {}
    for at, (_, text) in enumerate(lines):
        closing = _FENCE.match(text)
        if closing and not closing["info"].strip():
            found.setdefault((closing["indent"].rstrip(" "), closing["mark"]), []).append(at)
    return found


def _without_html(lines: Iterator[Line]) -> Iterator[Line]:
    """Blocks of HTML as empty lines, from a tag to its end; what stands in one marked `markdown` stays."""
    closing, depth, comment = "", 0, False
    for number, text in lines:
        if comment:
            comment = "-->" not in text
            yield number, ""
        elif depth > 0:
            depth += _count(text, closing)
            yield number, ""
        elif text.lstrip(" ").startswith("<!--") and len(text) - len(text.lstrip(" ")) < 4:
            comment = "-->" not in text
            yield number, "" if comment else text.partition("-->")[2]
        else:
            found = _TAG.match(text)
            name = found["name"].lower() if found else ""
            if not found or not _BLOCK_TAGS.fullmatch(name):
                yield number, "" if re.match(r" {0,3}</[a-zA-Z][\w-]*>\s*$", text) else text
            elif re.search(r"\smarkdown\b(?!=[\"']?0)", found["attributes"]):
                yield number, ""
            else:
                closing, depth = name, _count(text, name)
                yield number, ""


def _count(text: str, name: str) -> int:
    """How many elements of this name a line leaves open; less than none where it closes more."""
    opened = len(re.findall(rf"<{name}\b[^>]*(?<!/)>?", text, re.IGNORECASE))
    return opened - len(re.findall(rf"</{name}\s*>", text, re.IGNORECASE))
