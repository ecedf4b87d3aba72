"""Pages made to hurt: thirty marks, each in four shapes. `HOSTILE_BYTES=2000000` is the whole form."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rag.corpus.routes import Site
from rag.corpus.scan import read, scan
from rag.markdown.chunking import split
from rag.markdown.parser import outline
from rag.text import tokens
from rag.types import Document

BYTES = int(os.environ.get("HOSTILE_BYTES", "60000"))
SECONDS = 3.0

MARKS = [
    *(
        "# h",
        "## a[^1]",
        "a\n-",
        "---",
        "- ",
        "1. ",
        "> ",
        "```",
        "~~~",
        "`",
        "*",
        "_",
        "[",
        "](",
        "![a](",
        "[a]: ",
        "[^1]: ",
    ),
    *("|", "|-|-|", "<", "<a ", "<!-- ", "{/* ", "<A b={", "</div>", ":::", "!!! a", "export a = {", "a. ", "\t"),
]
SHAPES: dict[str, Callable[[str], str]] = {
    "on one line": lambda mark: mark * (BYTES // len(mark)),
    "on lines": lambda mark: f"{mark}\n" * (BYTES // (len(mark) + 1)),
    "in paragraphs": lambda mark: f"{mark} word\n\n" * (BYTES // (len(mark) + 7)),
    "indented": lambda mark: "".join(f"{'  ' * (at % 40)}{mark}\n" for at in range(BYTES // (len(mark) + 41))),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mark", MARKS)
def test_a_hostile_page_is_cut_in_time(mark: str, shape: str) -> None:
    document = Document("a.md", "Title", SHAPES[shape](mark), "0", "/a")
    tokens.count("warm")
    start = time.process_time()
    chunks = split(document)
    outline(document)
    assert time.process_time() - start < SECONDS
    assert all(chunk.tokens <= 500 for chunk in chunks)


def test_a_folder_1500_deep_is_read(tmp_path: Path) -> None:
    start = os.open(tmp_path, os.O_RDONLY)
    here = start
    for _ in range(1_500):  # step by step: the whole path is longer than a call may take
        os.mkdir("a", dir_fd=here)
        below = os.open("a", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    page = os.open("page.md", os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(page, b"# Deep\n\ntext\n")
    os.close(page)
    os.close(here)
    found = scan(tmp_path, Site())
    titles = [read(source).title for source in found.sources]
    subprocess.run(["rm", "-rf", str(tmp_path / "a")], check=True)  # too deep for shutil
    assert [problem.path for problem in found.problems] == []
    assert titles == ["Deep"]
    assert len(found.sources[0].trail) == 1_500
