"""The headings of a content folder as the application reads them."""

from pathlib import Path

from rag.corpus.routes import Site
from rag.corpus.scan import read, scan
from rag.markdown.parser import page_of

Anchors = list[tuple[int, str | None]]


def read_anchors(content: Path, site: Site | None = None) -> dict[str, Anchors]:
    """URL -> level and anchor of each heading of the page, in order."""
    found = {}
    for source in scan(content, site or Site()).sources:
        document = read(source)
        found[document.url] = [(heading.level, heading.anchor) for heading in page_of(document).headings]
    return found


def differences(ours: dict[str, Anchors], built: dict[str, Anchors]) -> list[str]:
    """A line for each page that is not published alike, with the first heading that differs."""
    wrong = [f"{url}: published by one of the two only" for url in sorted(set(ours) ^ set(built))]
    for url in sorted(set(ours) & set(built)):
        if ours[url] != built[url]:
            pairs = zip([*ours[url], None], [*built[url], None], strict=False)
            at, pair = next((at, pair) for at, pair in enumerate(pairs) if pair[0] != pair[1])
            wrong.append(f"{url}: heading {at} is read as {pair[0]} and published as {pair[1]}")
    return wrong


def carried(built: Anchors) -> Anchors:
    """A heading with an empty id cannot be linked to: the anchor above it stands for it."""
    found: Anchors = []
    latest: str | None = None
    for level, anchor in built:
        latest = latest if anchor == "" else anchor
        found.append((level, latest))
    return found
