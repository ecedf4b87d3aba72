"""Chunking against its floor: one block parse and one encoding of the same text, measured side by side.

CPU seconds, the best of the rounds of each: what a busy machine adds is in neither.
"""

import time
from collections.abc import Callable, Sequence

from markdown_it import MarkdownIt

from benchmarks.figures import ROOT, Figure
from rag.corpus.routes import Site
from rag.corpus.scan import read, scan
from rag.markdown.chunking import split
from rag.markdown.parser import page_of
from rag.text import tokens
from rag.types import Document

BAR = 1.5
SHARED = ROOT.parent / "shared" / "corpora"
BOOKS = {  # name of the figure -> title, folder; the real books lie beside the checkout, or are left out
    "chunking": ("the sample book", ROOT / "content"),
    "chunking_redux": ("the Redux documentation", SHARED / "redux" / "docs"),
    "chunking_rust": ("the Rust book", SHARED / "rust-book" / "src"),
}


def measure(*, quick: bool) -> list[Figure]:
    """Each book after the other, in one run."""
    figures = []
    for name, (title, folder) in BOOKS.items():
        if not folder.is_dir():
            continue
        documents = [read(source) for source in scan(folder, Site()).sources]
        size = sum(len(document.text.encode()) for document in documents) / 1e6
        lowest, taken = best(floor_of(documents), chunking_of(documents), 3 if quick else 9)
        sides = f"{title}: {size / lowest:.2f} MB/s at the floor, {size / taken:.2f} MB/s chunked"
        what = "Chunking ÷ one block parse and one encoding"
        figures.append(
            Figure(name, what if name == "chunking" else f"{what}, {title}", taken / lowest, BAR, sides=sides)
        )
    return figures


def floor_of(documents: Sequence[Document]) -> Callable[[], None]:
    block_parser = MarkdownIt("commonmark").enable("table")
    block_parser.core.ruler.disable(["inline"])

    def floor() -> None:
        for document in documents:
            block_parser.parse(document.text)
            tokens.offsets(document.text)

    return floor


def chunking_of(documents: Sequence[Document]) -> Callable[[], None]:
    def chunking() -> None:
        page_of.cache_clear()
        for document in documents:
            split(document)

    return chunking


def best(first: Callable[[], None], second: Callable[[], None], rounds: int) -> tuple[float, float]:
    """The shortest CPU seconds of each, taken in turns so that both meet the same machine."""
    tokens.count("loads the table")
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for run, measured in zip((first, second), times, strict=True):
            start = time.process_time()
            run()
            measured.append(time.process_time() - start)
    return min(times[0]), min(times[1])
