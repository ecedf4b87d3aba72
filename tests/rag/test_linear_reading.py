"""Whatever a page holds, reading it takes time in proportion to its length, and ends no process."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from rag.corpus.frontmatter import split_front_matter
from rag.corpus.routes import Site
from rag.corpus.scan import read, scan
from rag.markdown import parser as markdown
from rag.types import GeneratorName

MANY = 60_000
SPACES = " " * MANY
SECONDS = 3.0  # of the processor: each took five to more than a hundred; half a second is usual now

HEADS = {
    "spaces in a value": f"---\ntitle: a{SPACES}b\n[\n---\nx",
    "spaces after an opening fence": f"---{SPACES}x\n---\n",
    "a key of 30,000 parts": f"+++\n{'a.' * (MANY // 2)}a=1\n+++\nx",
    "brackets": f"---\n{'[' * MANY}\n---\nx",
    "nothing closes it": "---\n" + "a\n" * 2_000_000,
}
BODIES = {
    "spaces in a heading": f"# a{SPACES}b",
    "spaces before a brace": f"# a{SPACES}{{b",
    "a comment that names an id": f"# {{/*#{'a' * MANY}",
    "spaces in attributes": f"# {{:{SPACES}b",
    "openers of ids": "# " + "{#" * MANY,
    "openers of footnotes": "# " + "[^" * MANY,
    "footnotes": "# " + "[^a] " * MANY,
    "openers of images": "# " + "![" * MANY,
}


def page(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "page.md").write_text(text)
    return folder


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_front_matter_is_read_once(tmp_path: Path, head: str) -> None:
    book = page(tmp_path / "book", head)
    began = time.process_time()
    assert len(scan(book, Site()).sources) == 1
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize("flavor", ["docusaurus", "mkdocs"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_heading_is_read_once(tmp_path: Path, body: str, flavor: GeneratorName) -> None:
    book = page(tmp_path / "book", body)
    began = time.process_time()
    document = read(scan(book, Site(flavor=flavor)).sources[0])
    assert document.title
    assert markdown.outline(document).headings
    assert time.process_time() - began < SECONDS


def test_headings_of_one_level_are_not_walked_for_each_chunk(tmp_path: Path) -> None:
    book = page(tmp_path / "book", "a\n-\n" * (MANY // 3))
    document = read(scan(book, Site()).sources[0])
    parsed = markdown.page_of(document)
    began = time.process_time()
    assert all(parsed.path_at(heading.line)[0] for heading in parsed.headings)
    assert time.process_time() - began < SECONDS


def test_a_front_matter_of_thirty_thousand_levels_ends_no_process() -> None:
    code = (
        "from rag.corpus.frontmatter import split_front_matter as s; print(s('---\\n' + '- ' * 30_000 + '\\n---\\n'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "({}, 3)")


@pytest.mark.parametrize(
    ("block", "values"),
    [
        ("title: 010\nlist: [a, b]\nmap:\n  title: inner\nlast: no", {"title": "010", "last": "no"}),
        ("a: &x one\nb: *x", {"a": "one", "b": "one"}),
        ("? [complex]\n: value\ntitle: kept", {"title": "kept"}),
        ("- title: of a list", {}),
        ("just text", {}),
        ("title: a: b", {"title": "a: b"}),
        ("title: 'quoted'\n  broken: [", {"title": "quoted"}),
        ('title: "one\n  two"\ntitle: again', {"title": "again"}),
    ],
)
def test_scalars_of_the_top_level_are_read(block: str, values: dict[str, str]) -> None:
    assert split_front_matter(f"---\n{block}\n---\nbody")[0] == values
