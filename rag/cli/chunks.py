"""`python -m rag chunks`: every chunk of the book as a JSON line; no model, no store."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rag.corpus.routes import Site
from rag.corpus.scan import Source, read, scan
from rag.errors import ContentError
from rag.markdown.chunking import split
from rag.types import Chunk


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--content", type=Path, metavar="DIR", help="the content folder, instead of CONTENT_DIR")


def run(content_dir: Path, site: Site, *, limit: int, overlap: int) -> int:
    """0 when something could be cut; a file that cannot be read is a line on stderr. Raises ContentError."""
    found = scan(content_dir, site)
    for _, note in found.notes:
        print(note, file=sys.stderr)
    for problem in found.problems:
        print(problem.message, file=sys.stderr)
    read_any = False
    for source in found.sources:
        if source.notice:
            print(source.notice, file=sys.stderr)
        read_any |= _print(source, limit, overlap)
    return 0 if read_any or not found.problems else 1


def _print(source: Source, limit: int, overlap: int) -> bool:
    try:
        document = read(source)
    except ContentError as error:
        print(error.message, file=sys.stderr)
        return False
    for chunk in split(document, limit=limit, overlap=overlap):
        print(json.dumps(record(chunk), ensure_ascii=False))
    return True


def record(chunk: Chunk) -> dict[str, Any]:
    """`url` is the deep link. Lines count from 1 and include the last; characters count from 0, half open, in the
    decoded file with its line ends folded and without a byte order mark.
    """
    return {
        "id": chunk.id,
        "path": chunk.path,
        "heading_path": list(chunk.heading_path),
        "url": chunk.link,
        "anchor": chunk.anchor,
        "ordinal": chunk.ordinal,
        "start_line": chunk.lines[0] + 1,
        "end_line": chunk.lines[1],
        "start_char": chunk.chars[0],
        "end_char": chunk.chars[1],
        "text": chunk.text,
        "embed_text": chunk.embed_text,
        "token_count": chunk.tokens,
    }
