"""Whatever a model writes, an answer holds no link, image, definition or HTML but the citations' own definitions."""

import shutil
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rag.chat.citations import CitationStream
from rag.events import Delta
from rag.types import Chunk, Passage
from tests.support.markdown_readers import MARKED, Found, Marked, by_markdown_it, marked_process

CITED = {f"/book#{number}" for number in (1, 2, 3)}
EVIL = "http://evil.example"

# The starts of every block and inline of CommonMark and GFM, markers, line ends, and what joins them.
STARTS = st.sampled_from(
    [
        *"[]()<>!`~*_#:\\|&\"'-+=.^",
        *[
            "\n",
            "\r",
            "\r\n",
            "\n\n",
            "\u2028",
            "\u2029",
            "\x0b",
            "\x0c",
            "\x85",
            "\0",
            "\t",
            " ",
            "  ",
            "    ",
            "\xa0",
        ],
        *["> ", "- ", "* ", "+ ", "1. ", "7) ", "12. ", "# ", "---\n", "- - -\n", "=\n", "    code\n", "-\n", "1.\n"],
        *["```", "~~~", "````", "```js\n", "~~~ x\n", "\n```\n", "\n~~~\n", "\n  ```\n", "\n   ```\n", "\n    ```\n"],
        *["\n  ", "\n   ", "\n    ", "\n> ", "\n- ", "\n1. ", "\n> ```\n", "\n- ```\n", "- a\n  - b\n", "1. a\n2. b\n"],
        *["[1]", "[2]", "[9]", "[1, 9]", "[^1]", "【9】", "［1］", "![1]", "[[9]1]", "[1](", "[9](", "]:", "](", "]["],
        *[
            "[a](http://evil.example)",
            "![a](http://evil.example)",
            "[a]: http://evil.example",
            "[1]: http://evil.example",
        ],
        *[
            "[a][b]",
            "[b]: <http://evil.example> 'x'",
            "<http://evil.example>",
            "<a@evil.example>",
            "http://evil.example",
        ],
        *["<b>", "</b>", "<!--", "-->", "<?", "<![CDATA[", "<script>", "<div\n", "<img src=x>", "&lt;b&gt;", "<x"],
        *["`a`", "``a`b``", "`[a](http://evil.example)`", "`a|b`", "``", "`` ` ``", "\\`", "\\[", "\\]", "\\\\", "\\<"],
        *["a|b\n", "|a|\n|-|\n", "\n|-|-|\n", "-|-\n", "\n:-\n", "| `", "$x$", "\\(x\\)", "\\[x\\]", "$$"],
        *[
            "www.evil.example",
            "mailto:a@evil.example",
            "ftp://evil.example",
            "word",
            "a",
            "é",
            "猫",
            "1",
            ": ",
            "[x] ",
            "[ ] ",
        ],
    ]
)
MARKDOWN = st.lists(STARTS, min_size=1, max_size=14).map("".join)


def passage(number: int) -> Passage:
    chunk = Chunk(f"id-{number}", "a.md", ("A",), f"/book#{number}", None, 0, (0, 1), (0, 4), "Text.", 10)
    return Passage(number, chunk, 0.5, "Text.", (chunk.id,))


PASSAGES = [passage(number) for number in (1, 2, 3)]


def answered(pieces: list[str]) -> str:
    """The whole answer; the Deltas are its text."""
    stream = CitationStream(PASSAGES)
    events = [event for piece in pieces for event in stream.feed(piece)] + stream.finish()
    assert "".join(event.text for event in events if isinstance(event, Delta)) == stream.text
    return stream.answer


@pytest.fixture(scope="module")
def marked() -> Iterator[Marked]:
    if shutil.which("node") is None or not MARKED.is_dir():
        pytest.skip("node or the widget's packages (npm ci in widget/) are missing: marked was not asked")
    with marked_process() as process:
        yield process


def check(answer: str, found: Found) -> None:
    assert found.links <= CITED, (found.links, answer)
    assert not found.images, (found.images, answer)
    assert not found.html, (found.html, answer)


LEGITIMATE = """Tune the gains [1]. Use `arr[1]`, `Array<string | null>` and `a[i](x)`:

1. Install it:
   ```bash
   npm i && echo "[x](y)" <in >out
   ```
   then go on [2].
2. Write

   ~~~python
   def f(a: list[int]) -> None:
       print(f"<b>{a[1]}</b>")  # [1]: no link
   ~~~

| option | type |
|---|---|
| `x[0]` | `Map<a, b>` |

> Quoted, with $a_1 < b$ and \\(e^{i\\pi}\\).

```html
<a href="http://localhost:3000">[1]</a>
```
- [ ] open
- [x] done
"""
CODE = [
    "arr[1]",
    "Array<string | null>",
    "a[i](x)",
    'npm i && echo "[x](y)" <in >out',
    'def f(a: list[int]) -> None:\n    print(f"<b>{a[1]}</b>")  # [1]: no link',
    "x[0]",
    "Map<a, b>",
    '<a href="http://localhost:3000">[1]</a>',
]


def test_legitimate_code_is_the_same_to_every_parser(marked: Marked) -> None:
    answer = answered(list(LEGITIMATE))
    assert "$a_1 < b$ and \\(e^{i\\pi}\\)" in answer
    for found in (by_markdown_it(answer)[1], marked(answer)):
        check(answer, found)
        assert sorted(found.code) == sorted(CODE)
        assert found.links == {"/book#1", "/book#2"}


@pytest.mark.parametrize(
    "unit", ["x ", "[", "](", "`x", "<a", "[1]", "![", "[a](", " ", "\n", "- a\n", "`` ` ", "[1, ", "\\"]
)
@pytest.mark.parametrize("split", [False, True], ids=["one delta", "deltas of a byte"])
def test_time_grows_with_the_text_alone(unit: str, split: bool) -> None:
    """Four times as much takes four times as long, not sixteen."""

    def seconds(length: int) -> float:
        text = unit * (length // len(unit))
        best = float("inf")
        for _ in range(3):
            began = time.thread_time()
            answered(list(text) if split else [text])
            best = min(best, time.thread_time() - began)
        return best

    assert seconds(40_000) < 10 * seconds(10_000) + 0.05


def cut(text: str, places: list[int]) -> list[str]:
    cuts = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)]


@settings(max_examples=1_000)
@given(MARKDOWN)
@example(f"a\r[x]: {EVIL}\r\r[x]")
@example(f"- `a\n- [x]({EVIL})`")
@example(f"| x `| [a]({EVIL}) ` |\n|---|---|\n")
@example(f"a ` b\nc `[x]({EVIL})` d")
@example(f"- a\n  ```\nb\n[x]({EVIL})\n  ```")
@example(f"[foo `]: {EVIL}\n` x\n\n[foo `]")
@example("< [9]/b>")
@example(f"【9】~~~\n~~~\n![a]({EVIL})\n~~~")
@example(f"`a|b`c`[a]({EVIL})`d\n|-|-|\n")
@example(f"|a|b|\n|-|-|\n|`a|b`c`[a]({EVIL})`d|")
@example(f"[``a`]({EVIL})``")
def test_markdown_it_finds_only_citations(text: str) -> None:
    answer = answered([text])
    for found in by_markdown_it(answer):
        check(answer, found)


@settings(max_examples=1_000)
@given(text=MARKDOWN)
@example(text=f"[``a`]({EVIL})``")
@example(text=f"**x [ `]({EVIL})** y`")
@example(text=f"```\na\n```~~~\n[x]({EVIL})")
def test_marked_finds_only_citations(marked: Marked, text: str) -> None:
    answer = answered([text])
    check(answer, marked(answer))


@settings(max_examples=1_000)
@given(MARKDOWN, st.lists(st.integers(0, 200), max_size=12))
def test_where_the_deltas_are_split_changes_nothing(text: str, places: list[int]) -> None:
    assert answered(cut(text, places)) == answered([text]) == answered(list(text))
