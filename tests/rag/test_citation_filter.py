"""Markers out of running text: never split, never unknown, never a link to somewhere else, live while they stream."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from rag.chat.citation_filter import HOLD, CitationFilter, Token

KNOWN = (1, 2, 3)
EVIL = "http://evil.example"
BARE = "http:\\//evil.example"


def scan(pieces: list[str], known: tuple[int, ...] = KNOWN) -> list[Token]:
    scanner = CitationFilter(known)
    tokens = [token for piece in pieces for token in scanner.feed(piece)]
    return tokens + scanner.finish()


def joined(tokens: list[Token]) -> list[Token]:
    """The tokens with neighbouring texts made one."""
    result: list[Token] = []
    for token in tokens:
        if isinstance(token, str) and result and isinstance(result[-1], str):
            result[-1] += token
        else:
            result.append(token)
    return result


def shown(text: str) -> str:
    return "".join(token if isinstance(token, str) else f"«{token}»" for token in scan([text]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A claim [1].", "A claim «1»."),
        ("A claim[1][2].", "A claim«1» «2»."),
        ("A claim [1, 2].", "A claim «1» «2»."),
        ("A claim [1;2].", "A claim «1» «2»."),
        ("A claim [1-3].", "A claim «1» «2» «3»."),
        ("A claim [1–2, 3].", "A claim «1» «2» «3»."),
        ("A claim [2, 2].", "A claim «2»."),
        ("A claim [2-9].", "A claim «2» «3»."),
        ("A claim [^2] 【3】 ［1］.", "A claim «2» «3» «1»."),
        ("دعوى [١].", "دعوى «1»."),
        ("Unknown [9].", "Unknown."),
        ("Unknown [9] inside.", "Unknown inside."),
        ("Unknown [9]inside.", "Unknown inside."),
        ("Half [9][1] known.", "Half «1» known."),
        ("Half [1][9][2] known.", "Half «1» «2» known."),
        ("A year [2024] goes.", "A year goes."),
        ("Digits [0-9]+ stay.", "Digits [0-9]+ stay."),
        ("A task:\n- [ ] open\n- [x] done", "A task:\n- [ ] open\n- [x] done"),
        ("[1] opens the line", "«1» opens the line"),
        ("Cut off [1", "Cut off [1"),
        ("Wow![1]", "Wow! «1»"),
        ("\\[x\\] and \\[1\\]", "\\[x\\] and \\[1\\]"),
    ],
)
def test_markers_leave_one_by_one_and_only_when_known(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Use `arr[1]` and ``b`[9]`` here.",
        "```python\na[1] = b[9]\n[x](http://y)\n```\nafter",
        "~~~\na[9]\n~~~",
        "- item\n\n  ```py\n  a[9]\n  ```\n- next",
        "````md\n```\na[9]\n```\n````",
        "1. one\n2. two\n   ```sh\n   ls [9] | grep `x` >y\n   ```\n   and more\n3. three",
        "- a\n  - b\n    ~~~\n    [x](y): <b>\n    ~~~\n  - c `Array<string | null>`",
        "| a | b |\n|---|---|\n| `x[0]` | y |",
        "Maths: $a_1 < b$, \\(x\\), \\[y\\] and $$z$$ cost 5 < 6.",
    ],
)
def test_code_is_left_alone(text: str) -> None:
    assert shown(text) == text


def test_a_tick_that_does_not_close_on_its_line_is_no_code() -> None:
    assert shown("a ` tick [1] [9]\n\nnext [2]") == "a \\` tick «1»\n\nnext «2»"
    assert shown("an opening ` tick and\na closing ` one") == "an opening \\` tick and\na closing \\` one"


def test_a_code_block_in_a_quotation_leaves_it() -> None:
    assert shown("> Do this:\n> ```sh\n> ls [9]\n> ```\n> Then [1].") == "> Do this:\n```sh\nls [9]\n```\n> Then «1»."


def test_code_that_a_table_would_tear_apart_stands_in_none() -> None:
    assert shown(f"| x `| [a]({EVIL}) ` |\n|---|---|") == f"| x `| [a]({EVIL}) ` |\n\n|---|---|"
    assert shown(f"|a|b|\n|-|-|\n| `x|[a]({EVIL})` |").endswith("| `x\\|[a] (http: //evil.example)` |")


def test_line_ends_are_newlines_before_anything_is_looked_at() -> None:
    for end in ("\r", "\r\n", "\u2028"):
        assert shown(f"a{end}[foo]: {EVIL}{end}b") == "a\n[foo]\\: http:\\//evil.example\nb"


def test_a_code_block_ends_with_its_quote_or_list_item() -> None:
    assert shown("> ```\n> a[9]\n![1]") == "```\na[9]\n```\n! «1»"
    assert shown("- ```\n  a[9]\n\n  b[9]\nafter [9] [1]") == "- ```\n  a[9]\n\n  b[9]\n  ```\nafter «1»"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("```py\na[1]", "```py\na[1]\n```"),
        ("1. x\n\n   ~~~\n   a\n", "1. x\n\n   ~~~\n   a\n   ~~~"),
        ("> ```\n> a", "```\na\n```"),
    ],
)
def test_an_open_code_block_is_closed_at_the_end(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"[1]({EVIL})", "«1»"),
        (f"[text]({EVIL})", "text"),
        (f"see [text]({EVIL}) here", "see text here"),
        (f'[text](<{EVIL}> "a title")', "text"),
        (f"[text]({EVIL}/a_(b))", "text"),
        (f"![alt]({EVIL}/x.png)", "alt"),
        (f"a [![alt]({EVIL})]({EVIL})", f"a [alt] ({BARE})"),
        ("[text][1]", "[text] «1»"),
        ("[text][]", "text"),
        (f"so [see [1]]({EVIL})", f"so [see «1»] ({BARE})"),
        (f"[1]: {EVIL}", f"«1»\\: {BARE}"),
        (f"[foo]: {EVIL}", f"[foo]\\: {BARE}"),
        (f"> - [foo]: {EVIL}", f"> - [foo]\\: {BARE}"),
        (f"[9] [foo]: {EVIL}", f" [foo]\\: {BARE}"),
        (f"[foo\nbar]: {EVIL}", f"\\[foo\nbar]\\: {BARE}"),
        ("as in [1]: a loop", "as in «1»: a loop"),
        ("[1](see below)", "«1» (see below)"),
        ("[a](b c)", "[a] (b c)"),
        ("[[9]1]", "\\[1]"),
        ("x [[9]1]", "x [1\\]"),
        (f"-```[a]({EVIL})", "-\\`\\`\\`a"),
        (f"<{EVIL}> <b>x</b> <!-- y -->", f"\\<{BARE}> \\<b>x\\</b> \\<!-- y -->"),
        ("www.evil.example a@evil.example", "www\\.evil.example a\\@evil.example"),
        ("< [9]/b>", "\\</b>"),
        (f"[``a`]({EVIL})``", "\\[``a`] (http: //evil.example)``"),
    ],
)
def test_links_of_the_model_are_reduced_to_their_text(text: str, expected: str) -> None:
    assert shown(text) == expected


SNIPPETS = st.one_of(
    st.sampled_from(list("[[]]()!:`\n\\x 19-,^\"'<>【】é猫")),
    st.sampled_from(
        ["[1]", "[9]", "[1, 2]", "[text](u)", "[1]: u", "http://evil", "```", "~~~", "\n\n", "> ", "- ", "    ", "word"]
    ),
)
MARKDOWN = st.lists(SNIPPETS, max_size=60).map("".join)


@given(MARKDOWN, st.lists(st.integers(0, 200), max_size=12))
def test_where_the_pieces_are_split_changes_nothing(text: str, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(places)]
    assert joined(scan(pieces)) == joined(scan([text])) == joined(scan(list(text)))


@given(st.text(max_size=40), st.integers(HOLD - 30, HOLD + 30), MARKDOWN)
def test_not_even_at_the_edge_of_what_is_held_back(head: str, width: int, tail: str) -> None:
    text = f"{head}\n[{'a ' * (width // 2)}{tail}`{'b' * width}"
    assert joined(scan([text])) == joined(scan(list(text)))


@given(MARKDOWN)
def test_what_comes_out_links_to_nowhere_but_our_definitions(text: str) -> None:
    tokens = scan([text])
    rendered = "".join(token if isinstance(token, str) else f"[{token}]" for token in tokens)
    definitions = "\n\n" + "\n".join(f"[{number}]: /book#{number}" for number in KNOWN)
    parsed = MarkdownIt().parse(rendered + definitions)
    children = [child for token in parsed for child in token.children or []]
    links = [
        str(child.attrs.get("href", child.attrs.get("src")))
        for child in children
        if child.type in ("link_open", "image") and child.markup != "autolink"
    ]
    assert all(re.fullmatch(r"/book#[123]", link) for link in links), (rendered, links)
    assert not [child for child in children if child.type == "image"], rendered


@given(MARKDOWN)
def test_every_bare_marker_that_comes_out_was_checked(text: str) -> None:
    running = [
        token
        for token in joined(scan([text.replace("`", "").replace("~", "").replace("\\", "")]))
        if isinstance(token, str)
    ]
    assert not [found for token in running for found in re.findall(r"\[\^?\d+\]", token)]


@given(MARKDOWN, st.integers(1, 400))
def test_no_more_than_a_marker_s_length_is_held_back(text: str, width: int) -> None:
    """However unfinished the text is, `HOLD` characters later it is out."""
    scanner = CitationFilter(KNOWN)
    received = sum(len(token) if isinstance(token, str) else 3 for token in scanner.feed(text + "a" * width))
    later = sum(len(token) for token in scanner.feed("b" * HOLD) if isinstance(token, str))
    assert received + later >= width


def test_plain_text_is_not_held_back() -> None:
    assert CitationFilter(KNOWN).feed("streams at once") == ["streams at once"]
