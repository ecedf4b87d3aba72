"""What real builds of Sphinx with MyST, VitePress and Starlight published for `published/kinds.md`, as JSON.

Put `kinds.md` as a page into a new site of each (Sphinx with `extensions = ["myst_parser"]`, VitePress and Starlight as
their starters make them; Starlight wants a title in front matter), build, and name the pages that came out:

    python -m tests.generators.make_published sphinx=probe.html vitepress=probe.html starlight=probe/index.html \\
        > tests/generators/published/anchors.json

Written by Sphinx 9.0.4 with myst-parser 5.2.0, VitePress 1.6.4, Astro 5 with Starlight 0.36.
"""

import json
import re
import sys
from pathlib import Path

from tests.generators.built_html import anchors

_SECTION = re.compile(r'<section id="([^"]*)">\s*(?:<span id="[^"]*"></span>\s*)*<h([1-6])')
_OURS = ("starlight__on-this-page", "_top", "footnote-label")


def published(generator: str, html: str) -> list[list[object]]:
    """[level, id] of each heading; Sphinx gives the id to the section around it."""
    if generator == "sphinx":
        return [[int(level), identifier] for identifier, level in _SECTION.findall(html)]
    found = anchors(html, "main")
    return [[level, identifier] for level, identifier in found if identifier is not None and identifier not in _OURS]


if __name__ == "__main__":
    built = (argument.partition("=") for argument in sys.argv[1:])
    rows = {name: published(name, Path(file).read_text(encoding="utf-8")) for name, _, file in built}
    sys.stdout.write(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
