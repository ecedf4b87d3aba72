"""Chunking against its floor: one block parse and one encoding of the same text, measured side by side.

    python benchmarks/bench_chunking.py [CONTENT_DIR] [--rounds 5]

Prints megabytes a second of both and their ratio. CPU time is taken, the best of the rounds of each.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from markdown_it import MarkdownIt

from rag import tokens
from rag.chunking import split
from rag.corpus import read, scan
from rag.markdown import page_of
from rag.routes import Site


def main() -> None:
    parser = argparse.ArgumentParser(description="Chunking against one block parse and one encoding.")
    parser.add_argument("content", nargs="?", type=Path, default=Path(__file__).resolve().parents[1] / "content")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    documents = [read(source) for source in scan(options.content, Site()).sources]
    size = sum(len(document.text.encode()) for document in documents) / 1e6
    block_parser = MarkdownIt("commonmark").enable("table")
    block_parser.core.ruler.disable(["inline"])

    def floor() -> None:
        for document in documents:
            block_parser.parse(document.text)
            tokens.offsets(document.text)

    def chunking() -> None:
        page_of.cache_clear()
        for document in documents:
            split(document)

    tokens.count("loads the table")
    lowest, taken = _best(floor, chunking, options.rounds)
    print(f"{len(documents)} files, {size:.2f} MB: floor {size / lowest:.2f} MB/s, chunking {size / taken:.2f} MB/s")
    print(f"ratio {taken / lowest:.2f}")


def _best(first: Callable[[], None], second: Callable[[], None], rounds: int) -> tuple[float, float]:
    """The shortest CPU seconds of each, taken in turns so that both meet the same machine."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for run, measured in zip((first, second), times, strict=True):
            start = time.process_time()
            run()
            measured.append(time.process_time() - start)
    return min(times[0]), min(times[1])


if __name__ == "__main__":
    main()
