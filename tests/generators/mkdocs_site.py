"""A book built by the real MkDocs, with the theme Material and the extensions that its documentation recommends."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.generators.built_html import anchors

CONFIG = """\
site_name: Book
site_url: https://book.example/
theme:
  name: material
  font: false
plugins: []
markdown_extensions:
  - abbr
  - admonition
  - attr_list
  - def_list
  - footnotes
  - md_in_html
  - tables
  - toc:
      permalink: true
  - pymdownx.details
  - pymdownx.superfences
  - pymdownx.tilde
  - pymdownx.tabbed:
      alternate_style: true
  - pymdownx.emoji:
      emoji_index: !!python/name:material.extensions.emoji.twemoji
      emoji_generator: !!python/name:material.extensions.emoji.to_svg
"""
BUILD_SECONDS = 200


def missing() -> str | None:
    """What is not installed, if anything."""
    lacking = [name for name in ("mkdocs", "material", "pymdownx") if find_spec(name) is None]
    return f"not installed: {', '.join(lacking)}" if lacking else None


def build(root: Path, pages: dict[str, str], config: str = CONFIG) -> dict[str, list[tuple[int, str | None]]]:
    """Writes the book below `root`, builds it, and gives the headings of each page as published, by its URL path.

    Raises AssertionError with the end of what MkDocs said when it cannot build the book.
    """
    (root / "mkdocs.yml").write_text(config, encoding="utf-8")
    for path, text in pages.items():
        file = root / "docs" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(root / "site")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=BUILD_SECONDS)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    built = {}
    for file in sorted((root / "site").rglob("*.html")):
        if file.name != "404.html":
            route = re.sub(r"(^|/)index\.html$", r"\1", file.relative_to(root / "site").as_posix())
            built[route] = anchors(file.read_text(encoding="utf-8"), "article")
    return built
