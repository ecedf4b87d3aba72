"""Texts of which words, fences or letters used to go missing, each as small as shows it."""

import re
from pathlib import Path

import pytest

from rag.corpus.decoding import decoded, is_binary
from rag.corpus.routes import Site
from rag.corpus.scan import read, scan
from rag.markdown.chunking import split
from rag.markdown.fences import left_open
from rag.text import tokens
from rag.types import Chunk, Document


def chunked(text: str) -> list[Chunk]:
    chunks = split(Document("a/b.md", "Title", text, "0", "/docs/a/b"))
    for chunk in chunks:
        assert chunk.tokens == tokens.count(chunk.text) <= 500
        assert left_open(chunk.text) is None
    return chunks


def numbered(text: str) -> list[str]:
    return re.findall(r"\b[a-z]+[0-9]+\b", text)


@pytest.mark.parametrize("hidden", ["<!-- note -->", "{/* note */}", "<Note />", "import X from 'x';", "[a]: /b"])
def test_the_tail_of_a_list_stays_before_a_heading_and_something_hidden(hidden: str) -> None:
    text = "".join(f"- item{at}\n" for at in range(300)) + f"\n### Next\n\n{hidden}\n\nBody."
    assert numbered(" ".join(chunk.text for chunk in chunked(text))) == [f"item{at}" for at in range(300)]


def test_headings_alone_stay_before_something_hidden() -> None:
    chunks = chunked("# one1\n\n<!-- note -->\n\n# two2\n")
    assert numbered(" ".join(chunk.text for chunk in chunks)) == ["one1", "two2"]


@pytest.mark.parametrize("before", ["", "short0\n\n"])
@pytest.mark.parametrize("size", [100, 400, 2_000])
def test_a_heading_longer_than_its_path_is_in_the_text(before: str, size: int) -> None:
    heading = " ".join(f"word{at}" for at in range(size))
    body = " ".join(f"body{at}" for at in range(150))
    chunks = chunked(f"{before}{heading}\n---\n\n{body}\n")
    assert numbered(" ".join(chunk.text for chunk in chunks)) == numbered(f"{before}{heading}\n{body}")


@pytest.mark.parametrize(
    ("opening", "indent"),
    [
        ("!!! note\n\n", "    "),
        ('=== "Tab"\n\n', "    "),
        ("<TabItem>\n\n", "    "),
        ("- item\n\n", "    "),
        ("> ", "> "),
    ],
)
@pytest.mark.parametrize("mark", ["```", "````", "~~~"])
def test_an_oversized_fence_is_opened_and_closed_in_every_piece(opening: str, indent: str, mark: str) -> None:
    code = "\n".join(f"{indent}x{at} = 1" for at in range(300))
    text = f"{opening.rstrip('> ')}{indent}{mark}py\n{code}\n{indent}{mark}\n{indent.rstrip(' ')}\n\nEnd.\n"
    chunks = chunked(text)
    assert len(chunks) > 2
    assert numbered(" ".join(chunk.text for chunk in chunks)) == [f"x{at}" for at in range(300)]
    for chunk in chunks:
        assert chunk.text.count(f"{mark}py\n") == 1
        assert len(re.findall(rf"^[ >]*{mark}[ ]*$", chunk.text, re.MULTILINE)) == 1


def test_pieces_on_either_side_of_hidden_lines_stay_within_the_limit() -> None:
    for size in range(100, 140):
        parts = (" ".join(f"w{at}" for at in range(size)), " ".join(f"v{at}" for at in range(size)))
        chunked(f"## A\n\n{parts[0]}\n\n<!-- x -->\n\n{parts[1]}\n\n```py\n{'y = 1; ' * 30}\n```\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<h3>Bad</h3>\n\nGood.\n", "**Bad**\n\nGood."),
        ("<summary>More</summary>\n\nWords of it.\n", "**More**\n\nWords of it."),
        ("Text that is longer than the six words\nwhich find it.</h1>\n", None),
        (
            "Seven words stand here before the heading.\n\n## Part <div className='x'>new</div>\n\nText.\n",
            "Seven words stand here before the heading.\n\n## Part new\n\nText.",
        ),
        ('<span style={{a: "b"}}># Input</span>\n', '<span style={{a: "b"}}># Input</span>'),
        ("Press <kbd>C</kbd> for a `<div>` or Vec<T>\n", "Press <kbd>C</kbd> for a `<div>` or Vec<T>"),
        ("Code:\n\n    <div>\n    </div>\n", "Code:\n\n    <div>\n    </div>"),
    ],
)
def test_block_level_tags_go_from_lines_with_words(text: str, shown: str | None) -> None:
    (chunk,) = chunked(text)
    assert chunk.text == shown if shown else "</h1>" not in chunk.text


RUSSIAN = "# Глава\n\nРобот ходит по дому и думает о жизни. Он видит стол, стул и окно.\n\n" * 3
GERMAN = "# Überblick\n\nDer Roboter läuft über die Straße und hört auf die Wünsche.\n\n" * 3
JAPANESE = "# 第一章\n\nロボットは歩く。机と椅子と窓を見る。彼は人生について考える。\n\n" * 3
LEGACY = [(RUSSIAN, "cp1251"), (RUSSIAN, "koi8_r"), (GERMAN, "cp1252"), (JAPANESE, "shift_jis"), (JAPANESE, "euc_jp")]
UNICODE = ("utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [*LEGACY, *((text, name) for text in (RUSSIAN, GERMAN, JAPANESE, "# One\n") for name in UNICODE)],
)
def test_an_encoding_is_told_by_its_bytes(text: str, encoding: str) -> None:
    data = text.encode(encoding)
    assert decoded(data).text == text
    assert decoded(data).replaced == 0
    assert not is_binary(data)


@pytest.mark.parametrize("text", [RUSSIAN, GERMAN, JAPANESE])
@pytest.mark.parametrize("at", [0, 41, -1])
def test_a_broken_byte_costs_itself_alone(text: str, at: int) -> None:
    data = bytearray(text.encode())
    data.insert(at, 0xFF)
    found = decoded(bytes(data))
    assert found.encoding == "utf-8"
    assert 1 <= found.replaced <= 4
    assert found.text.count("\ufffd") == found.replaced
    assert abs(len(found.text) - len(text)) <= 4


def test_a_doubtful_file_is_read_and_named(tmp_path: Path) -> None:
    (tmp_path / "broken.md").write_bytes("# Überblick\n\nÜber".encode() + b"\xff")
    (tmp_path / "old.md").write_bytes(RUSSIAN.encode("cp1251"))
    (tmp_path / "good.md").write_bytes("# Überblick".encode())
    sources = {source.path: source for source in scan(tmp_path, Site()).sources}
    assert read(sources["broken.md"]).text == "# Überblick\n\nÜber\ufffd"
    assert read(sources["old.md"]).text == RUSSIAN
    assert {path: source.notice for path, source in sources.items()} == {
        "broken.md": "The file broken.md has 1 invalid byte, shown as \ufffd; it was read as UTF-8.",
        "good.md": "",
        "old.md": "The file old.md is not UTF-8; it was read as cp1251, which may be wrong.",
    }
