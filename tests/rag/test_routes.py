"""Page URLs against what real Docusaurus builds published, and the rules of the other generators."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from rag.corpus.frontmatter import split_front_matter
from rag.corpus.generators import generator_for, recognise
from rag.corpus.generators.base import Generator, Tree
from rag.corpus.generators.docusaurus import slug_of
from rag.corpus.routes import FrontMatter, Site, strip_number_prefix, strip_number_prefixes
from rag.types import GeneratorName


def url_of(path: str, front_matter: FrontMatter, site: Site) -> str:
    return _generator(site).url(path, front_matter, site)


def is_published(path: str, front_matter: FrontMatter, site: Site) -> bool:
    return _generator(site).is_published(path, front_matter, site)


def _generator(site: Site) -> Generator:
    return generator_for("docusaurus" if site.flavor == "auto" else site.flavor)


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


def test_a_number_without_quotes_loses_its_zeros_and_nothing_else_does() -> None:
    for written, slug in (("010", "10"), ("'010'", "010"), ("no", "no"), ("0", "0"), ("1a", "1a")):
        front_matter, _ = split_front_matter(f"---\nslug: {written}\n---\n")
        assert url_of("a.md", front_matter, Site()) == f"/docs/{slug}"


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
    for path in ("_x.md", "_dir/x.md", "a/__tests__/x.md", "a/x.test.js"):
        assert not is_published(path, {}, Site())
    flavors: tuple[GeneratorName, ...] = ("docusaurus", "starlight", "hugo", "other")
    for flavor in flavors:
        assert not is_published("a.md", {"draft": "true"}, Site(flavor=flavor))
        assert is_published("a.md", {"draft": "false"}, Site(flavor=flavor))


@pytest.mark.parametrize(
    ("path", "published"),
    [("x.test.md", True), (".hidden.md", False), ("a/.b/c.md", False), ("UPPER.MD", False), ("z.markdown", False)],
)
def test_docusaurus_goes_by_the_name_as_it_is_written(path: str, published: bool) -> None:
    assert is_published(path, {}, Site(flavor="docusaurus")) is published


def test_mkdocs_publishes_drafts_and_mdbook_knows_none() -> None:
    assert is_published("a.md", {"draft": "true"}, Site(flavor="mkdocs"))
    assert is_published("_x.md", {}, Site(flavor="mkdocs"))
    assert is_published("a.md", {"draft": "true"}, Site(flavor="mdbook"))
    assert not is_published("a/.b.md", {}, Site(flavor="mkdocs"))


def test_the_section_pages_of_hugo_are_pages() -> None:
    assert is_published("a/_index.md", {}, Site())
    assert url_of("a/_index.md", {}, Site()) == "/docs/a/"


@pytest.mark.parametrize(
    ("names", "texts", "generator"),
    [
        (["SUMMARY.md", "a.md"], [], "mdbook"),
        (["a.md", ".pages"], [], "mkdocs"),
        (["01-a.md", "b/_category_.json"], [], "docusaurus"),
        (["a.md"], ["---\nsidebar_position: 3\n---\n"], "docusaurus"),
        (["a.mdx"], ["import Tabs from '@theme/Tabs';\n"], "docusaurus"),
        (["a.mdx"], ["import { Card } from '@astrojs/starlight/components';\n"], "starlight"),
        (["a.md", "b/_index.md"], [], "hugo"),
        (["a.md"], ["# Only text\n"], "other"),
    ],
)
def test_the_flavor_is_guessed_from_names(names: list[str], texts: list[str], generator: str) -> None:
    assert recognise(Tree(frozenset(names), beginnings=lambda: texts)) == (generator, frozenset())


def test_the_flavor_is_guessed_from_the_site() -> None:
    assert recognise(Tree(frozenset(["a.md"]), url="https://github.com/o/r/blob/main/"))[0] == "github"
    for site in (Site(route_base="/"), Site(trailing_slash=True)):
        assert recognise(Tree(frozenset(["a.md"]), site=site))[0] == "docusaurus"


@pytest.mark.parametrize(
    ("config", "text", "content", "generator", "options"),
    [
        ("docusaurus.config.ts", "", "docs", "docusaurus", set()),
        ("docusaurus.config.js", "", "i18n/fr/docusaurus-plugin-content-docs/current", "docusaurus", set()),
        ("mkdocs.yml", "site_name: x\n", "docs", "mkdocs", set()),
        ("mkdocs.yml", "theme:\n  name: material\nuse_directory_urls: false\n", "docs", "mkdocs", {"emoji", "html"}),
        ("book.toml", "[output.html]\nsmart-punctuation = false\n", "src", "mdbook", {"plain"}),
        ("docs/.vitepress/config.mts", "export default { cleanUrls: true }", "docs", "vitepress", {"clean"}),
        ("astro.config.mjs", "trailingSlash: 'never'", "src/content/docs", "starlight", {"no-slash"}),
        ("hugo.toml", "baseURL = 'https://e.org/'\nuglyURLs = true\n", "content", "hugo", {"html"}),
        ("config.toml", "languageCode = 'en'\n", "content/en", "hugo", set()),
        ("config.toml", "[tool]\n", "content", "other", set()),
        ("docs/conf.py", "extensions = ['myst_parser']\n", "docs", "sphinx", set()),
    ],
)
def test_the_flavor_is_told_by_the_configuration_above(
    tmp_path: Path, config: str, text: str, content: str, generator: str, options: set[str]
) -> None:
    (tmp_path / config).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / config).write_text(text)
    folder = tmp_path / content
    folder.mkdir(parents=True, exist_ok=True)
    above = [folder, *folder.parents][:5]
    found, switched_on = recognise(Tree(frozenset(["a.md"]), above))
    assert (str(found), set(switched_on)) == (generator, options)


def test_the_nearest_configuration_counts(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docusaurus.config.js").touch()
    (tmp_path / "docs" / "mkdocs.yml").touch()
    assert recognise(Tree(frozenset(["a.md"]), [tmp_path / "docs", tmp_path]))[0] == "mkdocs"


@pytest.mark.parametrize("name", ["edge", "edge_slash", "edge_noslash", "redux"])
def test_every_published_page(shared: Path, name: str) -> None:
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
