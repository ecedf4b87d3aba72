"""Anchors and routes of Sphinx, VitePress and Starlight against what their builds published."""

import json
from pathlib import Path

import pytest

from rag.corpus.generators import generator_for
from rag.corpus.routes import Site
from rag.markdown.parser import page_of
from rag.types import Document, GeneratorName
from tests.generators.compare import carried

PUBLISHED = Path(__file__).parent / "published"


@pytest.mark.parametrize("generator", ["sphinx", "vitepress", "starlight"])
def test_headings_of_all_kinds(generator: GeneratorName) -> None:
    rows = json.loads((PUBLISHED / "anchors.json").read_text(encoding="utf-8"))[generator]
    text = (PUBLISHED / "kinds.md").read_text(encoding="utf-8")
    found = page_of(Document("kinds.md", "T", text, "0", "/kinds", flavor=generator)).headings
    ours = [(h.level, h.anchor) for h in found if generator != "sphinx" or h.text not in ("in quote", "in list")]
    assert len(rows) > 40
    assert ours == carried([(level, anchor) for level, anchor in rows])


@pytest.mark.parametrize(
    ("generator", "routes"),
    [
        (
            "vitepress",
            {"index.md": "/", "sub dir/index.md": "/sub%20dir/", "sub dir/README.md": "/sub%20dir/README.html"},
        ),
        ("vitepress", {"sub dir/A b.md": "/sub%20dir/A%20b.html"}),
        ("starlight", {"Probe_File.md": "/probe_file/", "Sub Dir/index.md": "/sub-dir/", "01-num.md": "/01-num/"}),
        ("starlight", {"Sub Dir/A b.c.md": "/sub-dir/a-bc/", "Sub Dir/README.md": "/sub-dir/readme/", "index.md": "/"}),
        ("sphinx", {"index.md": "/index.html", "a/probe.md": "/a/probe.html"}),
        ("hugo", {"_index.md": "/", "A b/_index.md": "/a-b/", "a/C.md": "/a/c/", "a/b/index.md": "/a/b/"}),
    ],
)
def test_routes(generator: GeneratorName, routes: dict[str, str]) -> None:
    site = Site(flavor=generator)
    assert {path: generator_for(generator).url(path, {}, site) for path in routes} == routes


def test_what_has_no_page() -> None:
    starlight, vitepress = generator_for("starlight"), generator_for("vitepress")
    assert not starlight.is_published("_part.md", {}, Site())
    assert starlight.is_published("_hid/x.md", {}, Site())
    assert not starlight.is_published("a.md", {"draft": "true"}, Site())
    assert not vitepress.is_published("a.mdx", {}, Site())


def test_a_written_slug_wins() -> None:
    assert generator_for("starlight").url("a.md", {"slug": "my/Slug X"}, Site()) == "/my/Slug%20X/"
    assert generator_for("hugo").url("a/b.md", {"slug": "c"}, Site()) == "/a/c/"
    assert generator_for("hugo").url("a/b.md", {"url": "/z/"}, Site()) == "/z/"


def test_labels_of_myst_are_anchors() -> None:
    text = "(label-x)=\n## Labelled\n\n(label-y)=\n### deeper `x`\n\n## Labelled\n"
    found = page_of(Document("a.md", "T", text, "0", "/a", flavor="sphinx")).headings
    assert [heading.anchor for heading in found] == ["label-x", "label-y", "id1"]


def test_headings_written_as_html_count_on_github() -> None:
    text = '<h1 align="center">The <em>Tool</em></h1>\n\n## Use\n\n<h2>Use</h2>\n'
    found = page_of(Document("a.md", "T", text, "0", "/a", flavor="github")).headings
    assert [heading.anchor for heading in found] == ["the-tool", "use", "use-1"]
