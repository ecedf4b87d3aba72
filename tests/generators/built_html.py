"""The headings of a built page."""

import re
from html.parser import HTMLParser


class _Headings(HTMLParser):
    def __init__(self, within: str) -> None:
        super().__init__()
        self.found: list[tuple[int, str | None]] = []
        self._within = within
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == self._within:
            self._depth += 1
        elif self._depth and re.fullmatch("h[1-6]", tag):
            self.found.append((int(tag[1]), dict(attrs).get("id")))

    def handle_endtag(self, tag: str) -> None:
        if tag == self._within:
            self._depth -= 1


def anchors(html: str, within: str = "main") -> list[tuple[int, str | None]]:
    """The level and the id of every heading inside the elements of one kind, in order."""
    parser = _Headings(within)
    parser.feed(html)
    return parser.found
