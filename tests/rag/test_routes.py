"""Page URLs against what real Docusaurus builds published, and the rules of the other generators."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from rag.book.routes import (
    Site,
    guess_flavor,
    is_published,
    slug_of,
    strip_number_prefix,
    strip_number_prefixes,
    url_of,
)


@pytest.fixture(scope="module")
def tables(shared: Path) -> dict[str, list[dict[str, Any]]]:
    loaded: dict[str, list[dict[str, Any]]] = json.loads(
        (shared / "corpora" / "truth" / "docusaurus-tables.json").read_text(encoding="utf-8")
    )
    return loaded


def test_number_prefixes(tables: dict[str, list[dict[str, Any]]]) -> None:
    wrong = [c for c in tables["numberPrefix"] if strip_number_prefix(c["input"]) != c["filename"]]
    wrong += [c for c in tables["stripPath"] if strip_number_prefixes(c["input"]) != c["output"]]
    assert wrong == []


def test_slugs(tables: dict[str, list[dict[str, Any]]]) -> None:
    wrong = []
    for case in tables["getSlug"]:
        front_matter = {} if case["frontMatterSlug"] is None else {"slug": case["frontMatterSlug"]}
        got = slug_of(case["source"], front_matter)
        if isinstance(case["slug"], str) and got != case["slug"]:
            wrong.append((case, got))
    assert wrong == []


def test_a_slug_that_docusaurus_refuses_keeps_the_page() -> None:
    for slug in ("x?y", "x#y", "//x", "a\\b"):
        assert slug_of("a/doc.md", {"slug": slug}) == "/a/doc"


@pytest.mark.parametrize(
    ("path", "slash", "expected"),
    [
        ("a.md", None, "/docs/a"),
        ("a.md", True, "/docs/a/"),
        ("a.md", False, "/docs/a"),
        ("a/index.md", None, "/docs/a/"),
        ("a/index.md", True, "/docs/a/"),
        ("a/index.md", False, "/docs/a"),
        ("index.md", None, "/docs/"),
        ("index.md", False, "/docs"),
    ],
)
def test_trailing_slashes(path: str, slash: bool | None, expected: str) -> None:
    assert url_of(path, {}, Site(trailing_slash=slash)) == expected
    assert url_of(path, {}, Site(url="https://e.org/x/", trailing_slash=slash)) == "https://e.org/x" + expected


def test_the_root_of_a_site_keeps_its_slash() -> None:
    for slash in (None, True, False):
        assert (
            url_of("index.md", {}, Site(url="https://e.org", route_base="/", trailing_slash=slash)) == "https://e.org/"
        )
        assert url_of("index.md", {}, Site(url="https://e.org/b", route_base="", trailing_slash=slash)) == (
            "https://e.org/b/"
        )


def test_values_of_slug_and_id_keep_their_digits() -> None:
    assert url_of("01-a/02-b.md", {"slug": "010"}, Site()) == "/docs/a/010"
    assert url_of("01-a/02-b.md", {"id": "02-kept"}, Site()) == "/docs/a/02-kept"
    assert url_of("01-a/02-b.md", {"parse_number_prefixes": "false"}, Site()) == "/docs/01-a/02-b"


def test_links_are_percent_encoded_once() -> None:
    assert url_of("اردو باب.md", {}, Site()) == "/docs/%D8%A7%D8%B1%D8%AF%D9%88%20%D8%A8%D8%A7%D8%A8"
    assert url_of("a.md", {"slug": "/caf%C3%A9"}, Site()) == "/docs/caf%C3%A9"
    assert url_of('a"<b>.md', {}, Site()) == "/docs/a%22%3Cb%3E"
    assert url_of("bad\udcff.md", {}, Site()).startswith("/docs/bad")


@pytest.mark.parametrize(
    ("path", "mdbook", "mkdocs", "github"),
    [
        ("a/b.md", "a/b.html", "a/b/", "a/b.md"),
        ("a/README.md", "a/index.html", "a/", "a/README.md"),
        ("index.md", "index.html", "", "index.md"),
        ("01-x y.md", "01-x%20y.html", "01-x%20y/", "01-x%20y.md"),
    ],
)
def test_other_generators(path: str, mdbook: str, mkdocs: str, github: str) -> None:
    base = "https://e.org/book/"
    assert url_of(path, {}, Site(url=base, flavor="mdbook")) == base + mdbook
    assert url_of(path, {}, Site(url=base, flavor="mkdocs")) == base + mkdocs
    assert url_of(path, {}, Site(url=base, flavor="github")) == base + github


def test_mkdocs_without_directory_urls() -> None:
    site = Site(flavor="mkdocs", trailing_slash=False)
    assert [url_of(p, {}, site) for p in ("a/b.md", "a/README.md")] == ["/a/b.html", "/a/index.html"]


def test_drafts_and_partials_have_no_page() -> None:
    assert is_published("a/b.md", {"unlisted": "true"}, Site())
    for path in ("_x.md", "_dir/x.md", "a/__tests__/x.md", "a/x.test.md"):
        assert not is_published(path, {}, Site())
        assert is_published(path, {}, Site(flavor="mkdocs"))
    assert not is_published("a.md", {"draft": "true"}, Site(flavor="mdbook"))
    assert is_published("a.md", {"draft": "false"}, Site())


def test_the_section_pages_of_hugo_are_pages() -> None:
    assert is_published("a/_index.md", {}, Site())
    assert url_of("a/_index.md", {}, Site()) == "/docs/a/"


def test_the_flavor_is_guessed_from_names() -> None:
    assert guess_flavor(["SUMMARY.md", "a.md"]) == "mdbook"
    assert guess_flavor(["a.md", "../book.toml"]) == "mdbook"
    assert guess_flavor(["a.md", "../mkdocs.yml"]) == "mkdocs"
    assert guess_flavor(["a.md"], "https://github.com/o/r/blob/main/") == "github"
    assert guess_flavor(["01-a.md", "b/_category_.json"]) == "docusaurus"


@pytest.mark.parametrize("name", ["edge", "edge_slash", "edge_noslash", "redux"])
def test_every_published_page(shared: Path, name: str) -> None:
    from rag.book.frontmatter import split_front_matter

    corpora = shared / "corpora"
    rows = [json.loads(line) for line in (corpora / "truth" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    truth = rows[0]
    site = Site(
        truth["url"] + truth["baseUrl"], truth["docs"][0]["routeBasePath"], truth["trailingSlash"], "docusaurus"
    )
    root = corpora / ("redux" if name == "redux" else "docusaurus-edge")
    pages = {row["path"]: row["url"] for row in rows if row["kind"] == "page"}
    wrong, unpublished = [], []
    for file in sorted(root.rglob("docs/**/*.md*")):
        path = file.relative_to(root / "docs").as_posix()
        front_matter = split_front_matter(file.read_text(encoding="utf-8-sig"))[0]
        if not is_published(path, front_matter, site):
            unpublished.append(f"docs/{path}")
        elif unquote(url_of(path, front_matter, site)) != pages.get(f"docs/{path}"):
            wrong.append((path, url_of(path, front_matter, site), pages.get(f"docs/{path}")))
    assert wrong == []
    assert not set(unpublished) & set(pages)
