"""mdBook's rules: what its own tests and guide expect, the smallest texts of what was wrong, and includes."""

from pathlib import Path

import pytest

from rag.corpus.routes import Site
from rag.corpus.scan import read, scan
from rag.corpus.slugs import MdBookSlugger
from rag.markdown.chunking import split
from rag.markdown.parser import page_of
from rag.types import Document


def anchors(text: str, *options: str) -> list[str | None]:
    document = Document("a.md", "T", text, "0", "/a", flavor="mdbook", options=frozenset(options))
    return [heading.anchor for heading in page_of(document).headings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("## `--passes`: add more rustdoc passes", ["--passes-add-more-rustdoc-passes"]),
        ("## Method-call 🐙 expressions \U0001f47c", ["method-call--expressions-"]),
        ("## _-_12345", ["_-_12345"]),
        ("## 12345", ["12345"]),
        ("## 中文", ["中文"]),
        ("## にほんご", ["にほんご"]),
        ("## 한국어", ["한국어"]),
        ("## हिन्दी", ["हिनदी"]),
        ("## شُكْرًا", ["شُكْرًا"]),
        ("## Über", ["über"]),
        ("## ::\n\n##\n\n## Section", ["section", "section-1", "section-2"]),
        ("## a -- b --- c", ["a--b--c"]),
        ('## "quoted" it\'s', ["quoted-its"]),
        ("## A ![alt](i.png)", ["a"]),
        ("## A[^1] and[^2]\n\n[^2]: y\n\n[^1]: x\n", ["a1-and2"]),
        ("## A {#a}\n\n## A", ["a", "a"]),
        ("## A {#x .y #z}", ["z"]),
        ("## A {id=x}", ["x"]),
        ("Term\n: what it is\n\n## Term", ["term-1"]),
        ("<div>\n## A\n</div>\n\n## A", ["a"]),
    ],
)
def test_the_id_of_a_heading(text: str, expected: list[str]) -> None:
    assert anchors(text) == expected


def test_options_of_the_book() -> None:
    assert anchors("## a -- b", "plain") == ["a----b"]


def test_a_taken_id_is_numbered() -> None:
    slugger = MdBookSlugger()
    assert [slugger.slug(text) for text in ("", "Foo", "foo", "foo-1", "Foo")] == [
        "section", "foo", "foo-1", "foo-1-1", "foo-2",
    ]  # fmt: skip


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root / "src"


def texts(content: Path) -> dict[str, str]:
    return {source.path: read(source).text for source in scan(content, Site()).sources}


def test_only_what_the_summary_names_has_a_page(tmp_path: Path) -> None:
    files = {"book.toml": "", "src/SUMMARY.md": "- [A](a.md)\n", "src/a.md": "# A", "src/free.md": "# F"}
    found = scan(write(tmp_path, files), Site())
    assert [source.path for source in found.sources] == ["SUMMARY.md", "a.md"]
    assert [code for code, _ in found.notes] == ["unlisted"]


CODE = "use a;\n// ANCHOR: main\nfn main() {\n    # hidden();\n    shown();\n}\n// ANCHOR_END: main\nend();\n"


@pytest.mark.parametrize(
    ("directive", "expected"),
    [
        ("{{#include ../x.rs:1}}", "use a;"),
        ("{{#include ../x.rs:6:}}", "}\n// ANCHOR_END: main\nend();"),
        ("{{#include ../x.rs::1}}", "use a;"),
        ("{{#include ../x.rs:5:6}}", "    shown();\n}"),
        ("{{#include ../x.rs:main}}", "fn main() {\n    shown();\n}"),
        ("{{#rustdoc_include ../x.rs:5}}", "    shown();"),
        ("{{#playground ../x.rs editable}}", None),
        ("\\{{#include ../x.rs}}", "{{#include ../x.rs}}"),
        ("{{#include ../none.rs}}", "{{#include ../none.rs}}"),
        ("{{#include ../../outside.rs}}", "{{#include ../../outside.rs}}"),
        ("{{#include /etc/hostname}}", "{{#include /etc/hostname}}"),
        ("{{#title Other}}", ""),
    ],
)
def test_what_is_included(tmp_path: Path, directive: str, expected: str | None) -> None:
    (tmp_path / "outside.rs").write_text("secret")
    book = tmp_path / "book"
    files = {
        "book.toml": "",
        "src/SUMMARY.md": "[A](a.md)",
        "src/a.md": f"Before\n\n{directive}\n\nAfter",
        "x.rs": CODE,
    }
    text = texts(write(book, files))["a.md"]
    if expected is None:
        assert text.startswith("Before\n\n```rust,editable\nuse a;")
    else:
        assert text == f"Before\n\n{expected}\n\nAfter"


def test_no_link_leaves_the_book(tmp_path: Path) -> None:
    (tmp_path / "outside.md").write_text("secret")
    src = write(tmp_path / "book", {"book.toml": "", "src/SUMMARY.md": "[A](a.md)", "src/a.md": "{{#include b.md}}"})
    (src / "b.md").symlink_to(tmp_path / "outside.md")
    assert texts(src)["a.md"] == "{{#include b.md}}"


def test_a_cycle_and_a_flood_end(tmp_path: Path) -> None:
    again = "x\n" + "{{#include a.md}}\n" * 9
    src = write(tmp_path, {"book.toml": "", "src/SUMMARY.md": "[A](a.md)", "src/a.md": again})
    assert len(texts(src)["a.md"]) < 6_000_000


def test_an_edit_of_what_is_included_is_a_change(tmp_path: Path) -> None:
    files = {"book.toml": "", "src/SUMMARY.md": "[A](a.md)", "src/a.md": "# A\n\n{{#include ../x.rs}}", "x.rs": "one"}
    src = write(tmp_path, files)
    before = {source.path: source.sha256 for source in scan(src, Site()).sources}
    (tmp_path / "x.rs").write_text("two")
    after = {source.path: source.sha256 for source in scan(src, Site()).sources}
    assert [path for path in before if before[path] != after[path]] == ["a.md"]


def test_places_are_those_of_the_file(tmp_path: Path) -> None:
    file = "# A\n\n```rust\n{{#include ../x.rs}}\n```\n\n## Later\n\n" + "Some words. " * 120
    files = {"book.toml": "", "src/SUMMARY.md": "[A](a.md)", "src/a.md": file, "x.rs": "line();\n" * 30}
    source = next(s for s in scan(write(tmp_path, files), Site()).sources if s.path == "a.md")
    chunks = split(read(source), limit=300)
    later = next(chunk for chunk in chunks if chunk.anchor == "later")
    assert file[slice(*later.chars)].startswith(later.text[:20])
    assert later.text[:9] in file.split("\n")[later.lines[0]]
    assert all(0 <= chunk.chars[0] < chunk.chars[1] <= len(file) for chunk in chunks)
