"""The table of contents of an mdBook, `SUMMARY.md`: it names the chapters and is no page itself."""

from collections.abc import Iterator
from posixpath import normpath
from urllib.parse import unquote

from rag.book.anchors import Generator

NAME = "summary.md"


def is_summary(path: str, flavor: Generator) -> bool:
    return flavor == "mdbook" and path.lower() == NAME


def chapter_titles(text: str) -> dict[str, str]:
    """Path -> title of the chapters that are linked, as plain text; the first link to a file names it."""
    titles: dict[str, str] = {}
    for path, title in _links(text):
        titles.setdefault(path, title)
    return titles


def _links(text: str) -> Iterator[tuple[str, str]]:
    from markdown_it import MarkdownIt  # not needed for other books, which are told apart in milliseconds

    parser = MarkdownIt("commonmark")
    for line in text.split("\n"):
        if "](" not in line:
            continue
        target, parts = "", list[str]()
        for token in parser.parseInline(line)[0].children or ():
            if token.type == "link_open":
                target, parts = str(token.attrs["href"]), []
            elif token.type == "link_close":
                title = " ".join("".join(parts).split())
                if title and target:
                    yield normpath(unquote(target.partition("#")[0])), title
            else:
                parts.append(token.content)
