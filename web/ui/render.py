"""An answer as the chat shows it: citations are links, maths is set, code is code, and everything else is plain text.

Model output and book text are data. Outside code every `<` is escaped, no other link survives (not even a bare URL),
and code is put into forms that cannot be read in two ways: inline code and nested blocks with markup in them become
escaped HTML of our own, a fence at the start of a line gets a run that its content does not hold.
"""

import html
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

DELIMITERS: list[dict[str, str | bool]] = [
    {"left": "\\(", "right": "\\)", "display": False},
    {"left": "\\[", "right": "\\]", "display": True},
]

_FENCE = re.compile(r"^(?P<head>(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t])*)(?P<run>`{3,}|~{3,})(?P<info>[^`\n]*)$")
_CODE_SPAN = re.compile(r"(?<![\\`])(`+)(?!`)((?:(?!\n[ \t]*\n).){1,2000}?)(?<!`)\1(?!`)", re.DOTALL)
_MATHS = re.compile(
    r"(?<!\\)\$\$(?P<block>[^$]{1,2000}?)\$\$"
    r"|\\\[(?P<square>.{1,1000}?)\\\]"
    r"|\\\((?P<round>.{1,500}?)\\\)"
    r"|(?<![\\$\w])\$(?![\s$])(?P<inline>[^$\n]{0,500}?[^\s\\$])\$(?![\d$])",
    re.DOTALL,
)
_MARKER = re.compile(r"\[(\d{1,3})\](?![\[(])")
_ENTITY = re.compile(r"[!-/:-@\[-`{-~\n]")
_ESCAPED = re.compile(r"\\([\\<@`])")
_LANGUAGE = re.compile(r"[A-Za-z0-9_+#.-]{1,20}")


@dataclass(frozen=True, slots=True)
class Link:
    """Where a marker leads; `title` names it."""

    url: str
    title: str


def shown(text: str, links: Mapping[int, Link]) -> str:
    """The Markdown that the chat's renderer is given for an answer, or for the beginning of one."""
    body = "".join(_prose(piece, links) if kind == "prose" else piece for kind, piece in _pieces(text))
    return f'<div dir="rtl">\n\n{body}\n\n</div>' if right_to_left(text) else body


def plain(text: str) -> str:
    """Text as Markdown that shows exactly this text on one line."""
    return _entities(" ".join(text.split()))


def right_to_left(text: str) -> bool:
    """True when the first letter that has a direction reads from the right."""
    for character in text[:400]:
        match unicodedata.bidirectional(character):
            case "R" | "AL":
                return True
            case "L":
                return False
    return False


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """The text as prose and as code blocks that are ready to be shown."""
    prose: list[str] = []
    lines = iter(text.split("\n"))
    for line in lines:
        opening = _FENCE.match(line)
        if opening is None:
            prose.append(line)
            continue
        yield "prose", "".join(f"{kept}\n" for kept in prose)
        prose = []
        yield "code", _block(opening, _until_closed(lines, opening))
    yield "prose", "\n".join(prose)


def _until_closed(lines: Iterator[str], opening: re.Match[str]) -> list[str]:
    """The block's lines, without what closes it; what is still open runs to the end."""
    mark, length = opening["run"][0], len(opening["run"])
    closing = re.compile(rf"[ \t>]*{re.escape(mark)}{{{length},}}[ \t]*")
    taken: list[str] = []
    for line in lines:
        if closing.fullmatch(line):
            break
        taken.append(line)
    return taken


def _block(opening: re.Match[str], lines: list[str]) -> str:
    head, info = opening["head"], opening["info"].strip()
    language = info if _LANGUAGE.fullmatch(info) else ""
    if not head:
        longest = max((len(run) for run in re.findall(r"`+|~+", "\n".join(lines))), default=0)
        fence = "`" * max(3, longest + 1)
        return "\n".join([f"{fence}{language}", *lines, fence, ""])
    if "<" not in "".join(lines):
        close = re.sub(r"[^ \t>]", " ", head) + opening["run"]
        return "\n".join([f"{head}{opening['run']}{language}", *lines, close, ""])
    width = len(head)
    content = "\n".join(line[width:] if not line[:width].strip(" \t>") else line for line in lines)
    return f"{head}<pre><code>{_entities(content)}</code></pre>\n"


def _prose(text: str, links: Mapping[int, Link]) -> str:
    shown, place = "", 0
    for code in _CODE_SPAN.finditer(text):
        content = code[2].replace("\n", " ")
        shown += _sentences(text[place : code.start()], links) + f"<code>{_entities(content.strip() or content)}</code>"
        place = code.end()
    return shown + _sentences(text[place:], links)


def _sentences(text: str, links: Mapping[int, Link]) -> str:
    shown, place = "", 0
    for maths in _MATHS.finditer(text):
        shown += _words(text[place : maths.start()], links) + _formula(maths)
        place = maths.end()
    return shown + _words(text[place:], links)


def _formula(maths: re.Match[str]) -> str:
    content = maths["block"] or maths["square"] or maths["round"] or maths["inline"]
    content = _unescaped(content).strip().replace("<", "\\lt ").replace("\n", " ")
    if maths["block"] or maths["square"]:
        return f"\\[{{}}{content}{{}}\\]"
    return f"\\({{}}{content}{{}}\\)"


def _words(text: str, links: Mapping[int, Link]) -> str:
    text = _unescaped(text).replace("<", "&lt;").replace("`", "&#96;").replace("://", ":&#47;&#47;")
    text = re.sub(r"(?i)\bwww\.", "www&#46;", text).replace("@", "&#64;")
    return _MARKER.sub(lambda marker: _citation(marker, links), text)


def _unescaped(text: str) -> str:
    """Without the backslashes before signs that become entities here: an entity behind one is not read as such."""
    return _ESCAPED.sub(lambda pair: pair[0] if pair[1] == "\\" else pair[1], text)


def _citation(marker: re.Match[str], links: Mapping[int, Link]) -> str:
    link = links.get(int(marker[1]))
    if link is None or not link.url:
        return marker[0]
    url, title = html.escape(link.url), _entities(" ".join(link.title.split()))
    return f'<a class="cite" href="{url}" title="{title}" target="_blank">{marker[1]}</a>'


def _entities(text: str) -> str:
    """Every ASCII sign as an entity: neither HTML nor Markdown finds anything in it."""
    return _ENTITY.sub(lambda sign: f"&#{ord(sign[0])};", text)
