"""What two Markdown parsers, markdown-it-py and the widget's marked, find in an answer that a reader could follow."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

SCRIPT = Path(__file__).with_name("marked_reader.mjs")
MARKED = SCRIPT.parents[2] / "widget" / "node_modules" / "marked"

_parsers = (MarkdownIt("commonmark"), MarkdownIt("commonmark").enable(["table", "strikethrough"]))


@dataclass(frozen=True)
class Found:
    """`links` holds the targets of links and definitions."""

    links: set[str] = field(default_factory=set)
    images: list[str] = field(default_factory=list)
    html: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)


def by_markdown_it(text: str) -> list[Found]:
    """What CommonMark says, and CommonMark with tables."""
    return [_found(parser, text) for parser in _parsers]


def _found(parser: MarkdownIt, text: str) -> Found:
    environment: dict[str, Any] = {}
    found = Found()

    def walk(tokens: list[Token]) -> None:
        for token in tokens:
            if token.type == "link_open":
                found.links.add(str(token.attrs["href"]))
            elif token.type == "image":
                found.images.append(str(token.attrs["src"]))
            elif token.type in ("html_block", "html_inline"):
                found.html.append(token.content)
            elif token.type in ("fence", "code_block", "code_inline"):
                found.code.append(token.content.rstrip("\n"))
            walk(token.children or [])

    walk(parser.parse(text, environment))
    for name in ("references", "duplicate_refs"):
        entries = environment.get(name, {})
        found.links.update(entry["href"] for entry in (entries.values() if isinstance(entries, dict) else entries))
    return found


class Marked:
    """The widget's Markdown parser with its own defaults, in one long-lived node process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, text: str) -> Found:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(text) + "\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        return Found({*told["links"], *told["definitions"]}, told["images"], told["html"], told["code"])


@contextmanager
def marked_process() -> Iterator[Marked]:
    with subprocess.Popen(
        [shutil.which("node") or "node", str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Marked(process)
        finally:
            process.kill()
