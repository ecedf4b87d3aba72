"""Heading ids against the generators' own cases."""

import json
import time
from itertools import pairwise
from pathlib import Path

import pytest

from rag.corpus.generators import generator_for
from rag.corpus.slugs import GithubSlugger, MdBookSlugger, MkDocsSlugger, Slugger
from rag.types import GeneratorName


def slugs(slugger: Slugger, *texts: str) -> list[str]:
    return [slugger.slug(text) for text in texts]


def test_github_slugger_agrees_with_its_own_cases(shared: Path) -> None:
    cases = json.loads((shared / "corpora" / "truth" / "github-slugger-fixtures.json").read_text(encoding="utf-8"))
    slugger = GithubSlugger()
    wrong = [(c["name"], got, c["expected"]) for c in cases if (got := slugger.slug(c["input"])) != c["expected"]]
    assert len(cases) > 70
    assert wrong == []


def test_every_removed_code_point_is_removed(shared: Path) -> None:
    ranges = json.loads((shared / "corpora" / "truth" / "slugs_removed_ranges.json").read_text(encoding="utf-8"))["v2"]
    slugger = GithubSlugger()
    for start, end in ranges:
        for code in {start, (start + end) // 2, end}:
            if not 0xD800 <= code <= 0xDFFF:
                assert slugger.slug(f"a{code}{chr(code)}b") == f"a{code}b"
    between = {b + 1 for (_, b), (c, _) in pairwise(ranges) if b + 1 < c} - {ord(" ")}
    for code in between:
        lower = chr(code).lower()
        if len(lower) == 1:
            assert lower in slugger.slug(f"x{code}{chr(code)}"), hex(code)


def test_duplicates_skip_ids_that_are_taken() -> None:
    assert slugs(GithubSlugger(), "Foo", "foo", "foo-1", "foo") == ["foo", "foo-1", "foo-1-1", "foo-2"]
    assert slugs(MdBookSlugger(), "Foo", "foo", "foo-1", "foo") == ["foo", "foo-1", "foo-1-1", "foo-2"]
    assert slugs(MkDocsSlugger(), "Foo", "foo", "foo", "", "") == ["foo", "foo_1", "foo_2", "_1", "_2"]


@pytest.mark.parametrize(
    ("text", "github", "mdbook", "mkdocs"),
    [
        ("What's new?", "whats-new", "whats-new", "whats-new"),
        ("a - b", "a---b", "a---b", "a-b"),
        ("C++ & .NET", "c--net", "c--net", "c-net"),
        ("Ünïcödé", "ünïcödé", "ünïcödé", "unicode"),
        ("第一章：介绍", "第一章介绍", "第一章介绍", "_1"),
        ("🛠️ X", "️-x", "-x", "x"),
        ("snake_case", "snake_case", "snake_case", "snake_case"),
    ],
)
def test_each_generator_has_its_rule(text: str, github: str, mdbook: str, mkdocs: str) -> None:
    assert GithubSlugger().slug(text) == github
    assert MdBookSlugger().slug(text) == mdbook
    assert MkDocsSlugger().slug(text) == mkdocs


def test_written_ids_count_only_where_the_generator_counts_them() -> None:
    expected: dict[GeneratorName, str] = {
        "docusaurus": "a",
        "mdbook": "a",
        "mkdocs": "a_1",
        "vitepress": "a-1",
        "hugo": "a-1",
    }
    for generator, slug in expected.items():
        slugger = generator_for(generator).slugger(frozenset())
        slugger.register("a")
        assert slugger.slug("A") == slug


@pytest.mark.parametrize("generator", ["github", "mdbook", "mkdocs", "vitepress", "hugo", "sphinx"])
def test_many_equal_headings_stay_fast(generator: GeneratorName) -> None:
    slugger = generator_for(generator).slugger(frozenset())
    start = time.perf_counter()
    given = [slugger.slug("Example") for _ in range(50_000)]
    assert len(set(given)) == 50_000
    assert time.perf_counter() - start < 5


def test_a_huge_heading_is_slugged() -> None:
    assert len(GithubSlugger().slug("Word " * 200_000)) == 1_000_000


def test_numbered_headings_are_slugged_in_one_pass() -> None:
    began = time.process_time()
    found = slugs(MkDocsSlugger(), *(["a", "a_1", "a_2"] * 10_000))  # a quarter of a second; it took minutes
    assert time.process_time() - began < 5
    assert found[:9] == ["a", "a_1", "a_2", "a_3", "a_4", "a_5", "a_6", "a_7", "a_8"]
    assert len(set(found)) == 30_000
