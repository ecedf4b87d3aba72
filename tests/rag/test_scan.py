"""What a content folder holds, what changed in it, and what is wrong with it, in sentences."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from rag.corpus.routes import Flavor, Site
from rag.corpus.scan import Scan, plan, read, scan
from rag.errors import ContentError
from rag.types import Document


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def only(root: Path, site: Site | None = None) -> Document:
    (source,) = scan(root, site or Site()).sources
    document = read(source)
    assert document.sha256 == source.sha256
    assert document.url == source.url
    return document


def manifest(found: Scan) -> dict[str, str]:
    return {source.path: source.sha256 for source in found.sources}


def test_markdown_files_in_order(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "b.md": "x",
        "a/z.mdx": "x",
        "a/b.markdown": "x",
        "a/pic.png": b"x",
        ".git/c.md": "x",
    }
    write(tmp_path, files | {"node_modules/d.md": "x", "_draft/x.md": "x"})
    assert [source.path for source in scan(tmp_path, Site()).sources] == ["a/b.markdown", "a/z.mdx", "b.md"]


def test_the_plan_is_what_differs(tmp_path: Path) -> None:
    write(tmp_path, {"same.md": "x", "edited.md": "x", "gone.md": "x", "broken.md": "x"})
    before = manifest(scan(tmp_path, Site()))
    (tmp_path / "gone.md").unlink()
    write(tmp_path, {"edited.md": "y", "new.md": "x", "broken.md": b"%PDF-1.7"})
    found = plan(scan(tmp_path, Site()), before)
    assert (found.added, found.changed, found.unchanged) == (("new.md",), ("edited.md",), ("same.md",))
    assert found.removed == ("gone.md",)


def test_the_hash_depends_on_everything_the_chunks_depend_on(tmp_path: Path) -> None:
    write(tmp_path, {"01-part/a.md": "Text."})
    plain = only(tmp_path).sha256
    assert only(tmp_path).sha256 == plain
    assert only(tmp_path, Site(url="https://e.org")).sha256 != plain
    write(tmp_path, {"01-part/_category_.json": '{"label": "Another"}'})
    assert only(tmp_path).sha256 != plain


def test_folders_have_labels(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "01-first/02-more-parts/a.md": "x",
            "01-first/_category_.json": '{"label": "Part One"}',
            "02-x/_category_.yml": "label: Part Two\nposition: 2\n",
            "02-x/b.md": "x",
            "03-y/_category_.json": "{broken",
            "03-y/c.md": "x",
        },
    )
    trails = {source.path: source.trail for source in scan(tmp_path, Site()).sources}
    assert list(trails.values()) == [("Part One", "More parts"), ("Part Two",), ("Y",)]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("---\ntitle: Written\n---\n# Other", "Written"),
        ("# `Code` and **bold** {#x}\n", "Code and bold"),
        ("Setext\n===\n", "Setext"),
        ("import X from 'x';\n\n# After\n", "After"),
        ("(label)=\n# Labelled\n", "Labelled"),
        ("Text\n\n# Late\n", "name"),
        ("## Only two\n", "name"),
        ("", "name"),
        ("---\ntitle: [broken\n---\n# Kept", "[broken"),
        ("---\ntitle: >-\n  Folded\n  title\n---\n", "Folded title"),
    ],
)
def test_titles(tmp_path: Path, text: str, title: str) -> None:
    assert only(write(tmp_path, {"01-name.md": text})).title == title


@pytest.mark.parametrize("flavor", ["mkdocs", "mdbook", "github"])
@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("---\ntitle: Written\n---\n## Other", "Written"),
        ("## What Is `Ownership`? ##\n\n### Later\n", "What Is Ownership?"),
        ("Setext\n---\n", "Setext"),
        ("- item\n---\n", "What is it"),
        ("Text\n\n# Late\n", "What is it"),
        ("", "What is it"),
    ],
)
def test_other_generators_take_any_heading_that_opens_the_page(
    tmp_path: Path, flavor: Flavor, text: str, title: str
) -> None:
    write(tmp_path, {"ch04-01-what-is-it.md": text})
    assert read(scan(tmp_path, Site(flavor=flavor)).sources[0]).title == title


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("ch04-01-what_is_it.md", "What is it"),
        ("chapter-3-balance.md", "Balance"),
        ("03_2_balance.md", "Balance"),
        ("charging.md", "Charging"),
        ("ch04.md", "Ch04"),
        ("2024-01-05-news.md", "2024 01 05 news"),
        ("title-page.md", "Title page"),
    ],
)
def test_names_are_made_readable(tmp_path: Path, name: str, title: str) -> None:
    write(tmp_path, {name: "Text."})
    assert read(scan(tmp_path, Site(flavor="mkdocs")).sources[0]).title == title


SUMMARY = """# Summary

[Preface](./README.md)

- [What is `it`?](ch01/what%20is.md)
  - [See \\[it\\] *again*](<ch01/sub page.md#anchor>)
- [Second name](ch01/sub%20page.md)
- [Draft]()
- [Elsewhere](https://example.org/a.md)
"""


def test_the_table_of_contents_of_an_mdbook_names_its_chapters(tmp_path: Path) -> None:
    files = {"README.md": "# Other", "ch01/what is.md": "## Own", "ch01/sub page.md": "x", "ch01/free.md": "## Free"}
    write(tmp_path, files | {"SUMMARY.md": SUMMARY})
    titles = {source.path: read(source).title for source in scan(tmp_path, Site()).sources}
    assert titles == {
        "README.md": "Preface",
        "SUMMARY.md": "Summary",
        "ch01/sub page.md": "See [it] again",
        "ch01/what is.md": "What is it?",
    }


def test_a_chapter_has_changed_when_the_table_of_contents_renames_it(tmp_path: Path) -> None:
    write(tmp_path, {"SUMMARY.md": SUMMARY, "README.md": "# One", "other.md": "# Two"})
    before = {source.path: source.sha256 for source in scan(tmp_path, Site()).sources}
    write(tmp_path, {"SUMMARY.md": SUMMARY.replace("Preface", "Foreword")})
    scanned = scan(tmp_path, Site())
    assert plan(scanned, before).changed == ("README.md", "SUMMARY.md")
    assert {read(source).path: read(source).sha256 for source in scanned.sources} == {
        source.path: source.sha256 for source in scanned.sources
    }


def test_a_summary_of_another_generator_names_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"SUMMARY.md": SUMMARY, "README.md": "# One"})
    for flavor in ("mkdocs", "github", "docusaurus"):
        assert read(scan(tmp_path, Site(flavor=flavor)).sources[0]).title == "One"


@pytest.mark.parametrize(
    "data",
    [
        "\ufeff---\r\nslug: x\r\n---\r\n# Ünï\r\n\r\ntext".encode(),
        "---\nslug: x\n---\n# Ünï\n\ntext".encode("utf-16"),
        "---\nslug: x\n---\n# Ünï\n\ntext".encode("utf-16-le"),
        "---\nslug: x\n---\n# Ünï\n\ntext".encode("cp1252"),
        "---\rslug: x\r---\r# Ünï\r\rtext".encode(),
    ],
    ids=["BOM and CRLF", "UTF-16", "UTF-16 without a mark", "Windows", "CR"],
)
def test_every_encoding_is_read(tmp_path: Path, data: bytes) -> None:
    document = only(write(tmp_path, {"a.md": data}))
    assert (document.title, document.url) == ("Ünï", "/docs/x")
    assert document.text == "---\nslug: x\n---\n# Ünï\n\ntext"


def test_a_number_is_one_and_a_word_stays(tmp_path: Path) -> None:
    write(tmp_path, {"a.md": "---\nslug: 010\n---\n", "b.md": "---\nid: no\n---\n", "c.md": "---\ncontent: 1\n---\n"})
    assert [source.url for source in scan(tmp_path, Site()).sources] == ["/docs/10", "/docs/no", "/docs/c"]


def test_drafts_and_partials_are_not_the_book(tmp_path: Path) -> None:
    files = {"a.md": "---\ndraft: true\n---\nx", "_b.md": "x", "c.md": "---\nunlisted: true\n---\nx"}
    assert only(write(tmp_path, files)).path == "c.md"


def test_links_that_leave_the_folder_are_refused(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", {"secret.md": "secret"})
    root = write(tmp_path / "book", {"a.md": "x"})
    (root / "link.md").symlink_to(outside / "secret.md")
    (root / "folder").symlink_to(outside)
    (root / "loop.md").symlink_to(root / "loop.md")
    (root / "inside.md").symlink_to(root / "a.md")
    found = scan(root, Site())
    assert [source.path for source in found.sources] == ["a.md", "inside.md"]
    assert [problem.path for problem in found.problems] == ["folder", "link.md", "loop.md"]
    for problem in found.problems:
        assert problem.message.endswith(".")
        assert "secret" not in problem.message
        assert problem.path in problem.message


def test_hostile_files_are_a_sentence_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.corpus.scan.LARGEST_FILE", 100)
    noise = bytes(range(1, 32)) * 3
    write(tmp_path, {"good.md": "x", "image.md": b"\xff\xd8\xff\xe0", "noise.md": noise, "z.md": "x" * 101})
    (tmp_path / "dir.md").mkdir()
    os.mkfifo(tmp_path / "pipe.md")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.md"))).write_text("x")
    found = scan(tmp_path, Site())
    assert [source.path for source in found.sources] == ["good.md"]
    assert sorted(p.path for p in found.problems) == ["bad?.md", "image.md", "noise.md", "pipe.md", "z.md"]
    assert all(problem.message.count("\n") == 0 and problem.message.endswith(".") for problem in found.problems)


def test_a_file_that_went_away_is_a_sentence(tmp_path: Path) -> None:
    (source,) = scan(write(tmp_path, {"a.md": "x"}), Site()).sources
    (tmp_path / "a.md").unlink()
    with pytest.raises(ContentError, match=r"a\.md is not a regular file\."):
        read(source)


def test_no_folder_no_book(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path, write(tmp_path / "x", {"a.txt": "x"}) / "a.txt"):
        with pytest.raises(ContentError) as caught:
            scan(folder, Site())
        assert str(folder) in caught.value.message


def test_the_flavor_is_part_of_the_document(tmp_path: Path) -> None:
    write(tmp_path, {"src/a.md": "x", "book.toml": ""})
    assert (only(tmp_path / "src").flavor, only(tmp_path / "src").url) == ("mdbook", "/a.html")


@pytest.mark.alone
def test_a_thousand_unchanged_files_are_planned_at_once(tmp_path: Path) -> None:
    for at in range(1_000):
        write(tmp_path, {f"{at % 20:02}-part/{at:04}-page.md": f"---\ntitle: Page {at}\n---\n" + "Some text. " * 800})
    before = manifest(scan(tmp_path, Site()))
    start = time.process_time()
    found = plan(scan(tmp_path, Site()), before)
    assert time.process_time() - start < 0.7
    assert (len(found.unchanged), found.added, found.changed, found.removed) == (1_000, (), (), ())
