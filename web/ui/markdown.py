"""An answer as the chat shows it: citations are links, maths is set, code is code, and everything else is plain text.

Model output and book text are data. Outside code every `<` is escaped, no other link survives (not even a bare URL),
and code is put into forms that cannot be read in two ways: inline code and nested blocks with markup in them become
escaped HTML of our own, a fence at the start of a line gets a run that its content does not hold.
"""

import html
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

DELIMITERS: list[dict[str, str | bool]] = [
    {"left": "\\(", "right": "\\)", "display": False},
    {"left": "\\[", "right": "\\]", "display": True},
]

MOST_CODE = 2000  # characters of inline code
MOST_BLOCK = 2000  # characters of a formula that stands alone
MOST_INLINE = 500

_FENCE = re.compile(r"^(?P<head>(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t])*)(?P<run>`{3,}|~{3,})(?P<info>[^`\n]*)$")
_TICKS = re.compile(r"`+")
_BLANK_LINE = re.compile(r"\n[ \t]*(?=\n)")
_FORMULA = re.compile(r"\\\[|\\\(|\$")
_BRACKET = re.compile(r"\[(?:(?P<number>\d{1,3})\](?![\[(]))?")
_IN_A_WORD = re.compile(r"[\\$\w]")
_ENTITY = re.compile(r"[!-/:-@\[-`{-~\n]")
_ESCAPED = re.compile(r"\\([\\<@`()\[\]])")
_ESCAPED_IN_MATHS = re.compile(r"\\([\\<@`])")
_PLACEHOLDER = "%%%"  # begins what Gradio's page puts in the place of a formula before it reads the Markdown
_DELIMITER = re.compile(r"(?<!\\)(\\++)([()\]])")
_LANGUAGE = re.compile(r"[A-Za-z0-9_+#.-]{1,20}")


@dataclass(frozen=True, slots=True)
class CitationLink:
    """Where a marker leads; `title` names it."""

    url: str
    title: str


def shown(text: str, links: Mapping[int, CitationLink]) -> str:
    """The Markdown that the chat's renderer is given for an answer, or for the beginning of one."""
    body = "".join(_prose(piece, links) if kind == "prose" else piece for kind, piece in _pieces(text))
    return f'<div dir="rtl">\n\n{body}\n\n</div>' if right_to_left(text) else body


def plain(text: str) -> str:
    """Text as Markdown that shows exactly this text on one line."""
    return _entities(" ".join(text.split()))


def typed(question: str) -> str:
    """A reader's own words as Markdown without image, link, code or maths. `html.unescape` gives them back."""
    text = html.escape(question, quote=False)
    return text.replace("\\", "&#92;").replace("[", "&#91;").replace("`", "&#96;")


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
    code = "\n".join(lines)
    if not head and not _torn_by_maths(code):
        longest = max((len(run) for run in re.findall(r"`+|~+", code)), default=0)
        fence = "`" * max(3, longest + 1)
        return "\n".join([f"{fence}{language}", *lines, fence, ""])
    if "<" not in code and head and not _torn_by_maths(code):
        close = re.sub(r"[^ \t>]", " ", head) + opening["run"]
        return "\n".join([f"{head}{opening['run']}{language}", *lines, close, ""])
    width = len(head)
    content = "\n".join(line[width:] if not line[:width].strip(" \t>") else line for line in lines)
    return f"{head}<pre><code>{_entities(content)}</code></pre>\n"


def _torn_by_maths(code: str) -> bool:
    """Whether the page would take a formula for begun in this code and go on with it behind its end, or fill it in.

    It takes what stands between two delimiters out of the Markdown wherever they stand, so that code which opens a
    formula and other code which closes it lose the fences between them.
    """
    if _PLACEHOLDER in code:
        return True
    outside = _outside(code, "\\(", "\\)")
    return outside is None or _outside(outside, "\\[", "\\]") is None


def _outside(code: str, opening: str, closing: str) -> str | None:
    """What stands outside of formulas, None when the last one is not closed. As the page looks for them, but linear."""
    kept: list[str] = []
    place = 0
    while (start := code.find(opening, place)) >= 0:
        end = code.find(closing, start + 3)  # a formula holds at least one character
        if end < 0:
            return None
        kept.append(code[place:start])
        place = end + 2
    return " ".join([*kept, code[place:]])


def _prose(text: str, links: Mapping[int, CitationLink]) -> str:
    shown: list[str] = []
    place = 0
    for start, end, content in _code_spans(text):
        content = content.replace("\n", " ")
        shown += [_sentences(text[place:start], links), f"<code>{_entities(content.strip() or content)}</code>"]
        place = end
    return "".join([*shown, _sentences(text[place:], links)])


def _code_spans(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and content of inline code: two runs of as many backticks, at most 2,000 characters and no blank
    line between them. Linear: every run is looked at once, and its partner found by its length.
    """
    runs = [(run.start(), run.end()) for run in _TICKS.finditer(text)]
    of_length: dict[int, list[int]] = {}
    for start, end in runs:
        of_length.setdefault(end - start, []).append(start)
    blank = [line.start() for line in _BLANK_LINE.finditer(text)]
    place = 0
    for start, end in runs:
        if start < place or text[start - 1 : start] == "\\":
            continue
        same = of_length[end - start]
        partner = bisect_right(same, start)
        if partner == len(same) or same[partner] - end > MOST_CODE:
            continue
        close = same[partner]
        gap = bisect_left(blank, end)
        if gap < len(blank) and blank[gap] < close:
            continue
        place = close + end - start
        yield start, place, text[end:close]


def _sentences(text: str, links: Mapping[int, CitationLink]) -> str:
    shown: list[str] = []
    place = 0
    for start, end, content, block in _formulas(text):
        shown += [_words(text[place:start], links), _formula(content, block=block)]
        place = end
    return "".join([*shown, _words(text[place:], links)])


def _formulas(text: str) -> Iterator[tuple[int, int, str, bool]]:
    """Start, end and content of mathematics, and whether it stands alone. Linear: each mark is looked for once."""
    square, round_, dollar, line = (_Next(text, mark) for mark in ("\\]", "\\)", "$", "\n"))
    place = 0
    while opening := _FORMULA.search(text, place):
        start, end = opening.span()
        place = start + 1
        match opening[0]:
            case "\\[" if 0 <= (close := square.after(end + 1)) - end <= MOST_BLOCK // 2:
                yield start, (place := close + 2), text[end:close], True
            case "\\(" if 0 <= (close := round_.after(end + 1)) - end <= MOST_INLINE:
                yield start, (place := close + 2), text[end:close], False
            case "$" if text.startswith("$$", start) and text[start - 1 : start] != "\\":
                close = dollar.after(end + 1)
                if 1 <= close - end - 1 <= MOST_BLOCK and text.startswith("$$", close):
                    yield start, (place := close + 2), text[end + 1 : close], True
            case "$" if not _IN_A_WORD.match(text[start - 1 : start]):
                close, broken = dollar.after(end), line.after(end)
                content = text[end:close]
                if 1 <= close - end <= MOST_INLINE + 1 and not 0 <= broken < close and _is_inline(content, text, close):
                    yield start, (place := close + 1), content, False


class _Next:
    """Where a mark comes next. Asked for ever later places it reads the text once."""

    def __init__(self, text: str, mark: str) -> None:
        self._text, self._mark, self._at = text, mark, 0
        self._at = text.find(mark)

    def after(self, place: int) -> int:
        """The first place from `place` on, or -1."""
        if 0 <= self._at < place:
            self._at = self._text.find(self._mark, place)
        return self._at


def _is_inline(content: str, text: str, close: int) -> bool:
    """Dollars are signs of maths only close to what they hold: "$5 and $6" is money."""
    following = text[close + 1 : close + 2]
    return (
        not content[0].isspace()
        and not content[-1].isspace()
        and content[-1] != "\\"
        and not following.isdigit()
        and following != "$"
    )


def _formula(content: str, *, block: bool) -> str:
    """The formula between delimiters of which the content holds none, or the page would let its rest out."""
    content = _ESCAPED_IN_MATHS.sub(lambda pair: pair[0] if pair[1] == "\\" else pair[1], content).strip()
    content = _DELIMITER.sub(_no_delimiter, content).replace("<", "\\lt ").replace("\n", " ")
    content = content.replace(_PLACEHOLDER, "%")
    return f"\\[{{}}{content}{{}}\\]" if block else f"\\({{}}{content}{{}}\\)"


def _no_delimiter(found: re.Match[str]) -> str:
    """Two backslashes are the end of a line; one makes a delimiter, which inside of `\\text` is as good as a dollar."""
    slashes, bracket = found[1], found[2]
    if len(slashes) % 2:
        slashes, bracket = slashes[1:], "]" if bracket == "]" else "$"
    return f"{slashes}{{}}{bracket}"


def _words(text: str, links: Mapping[int, CitationLink]) -> str:
    text = _unescaped(text).replace("<", "&lt;").replace("`", "&#96;").replace("://", ":&#47;&#47;")
    text = text.replace(_PLACEHOLDER, "&#37;&#37;&#37;")
    text = re.sub(r"(?i)\bwww\.", "www&#46;", text).replace("@", "&#64;")
    return _BRACKET.sub(lambda bracket: _citation(bracket, links), text)


def _unescaped(text: str) -> str:
    """Without the backslashes before signs that become entities here: an entity behind one is not read as such.

    No delimiter of a formula is left, and no bracket that was escaped is a marker's.
    """
    return _ESCAPED.sub(lambda pair: pair[1] if pair[1] in "<@`" else f"&#{ord(pair[1])};", text)


def _citation(bracket: re.Match[str], links: Mapping[int, CitationLink]) -> str:
    """A marker as its link. Every other bracket is a plain one: it begins no link, image or reference."""
    link = links.get(int(bracket["number"])) if bracket["number"] else None
    if link is None or not link.url:
        defines = bracket.string.startswith(":", bracket.end())
        return bracket[0] if bracket["number"] and not defines else "&#91;" + bracket[0][1:]
    url, title = html.escape(link.url).replace("\\", "%5C"), _entities(" ".join(link.title.split()))
    return f'<a class="cite" href="{url}" title="{title}" target="_blank">{bracket["number"]}</a>'


def _entities(text: str) -> str:
    """Every ASCII sign as an entity: neither HTML nor Markdown finds anything in it."""
    return _ENTITY.sub(lambda sign: f"&#{ord(sign[0])};", text)


LENGTH = 220

_LINES = re.compile(r"^[ \t]*(?:#{1,6} .*|`{3,}.*|~{3,}.*|:::.*|import .*|[-=*_|: \t]{3,})$", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)")
_SIGNS = re.compile(r"\*\*|__|`+|\{#[^}\n]*\}|^[ \t]*(?:>|[-*+]|\d{1,9}[.)])[ \t]+|<[^>\n]{1,200}>", re.MULTILINE)


def excerpt(text: str) -> str:
    """At most LENGTH characters, cut between words; of a passage that is all signs, its plain beginning."""
    bare = _SIGNS.sub("", _LINK.sub(r"\1", _LINES.sub("", text))).replace(" | ", " · ").replace("|", " ")
    flat = " ".join(bare.split()) or " ".join(text.split())
    if len(flat) <= LENGTH:
        return flat
    cut, space, _ = flat[: LENGTH - 1].rpartition(" ")
    return (cut if space and len(cut) > LENGTH // 2 else flat[: LENGTH - 1]).rstrip(" ,;:.") + "…"
