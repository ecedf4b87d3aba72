"""The sample book many times over: real pages, of real shape, in any number, none with a text like another's."""

import re
from pathlib import Path

from benchmarks.figures import ROOT

_TITLES = (re.compile(r'^title: "(.*)"$', re.MULTILINE), re.compile(r"^# (.*)$", re.MULTILINE))
_NUMBERED = (r'title: "\1, copy {}"', r"# \1, copy {}")


def write_copies(content: Path, count: int) -> None:
    """Every page carries its copy's number in its title; and so, in its heading path, does every text embedded."""
    for number in range(count):
        for page in (ROOT / "content").rglob("*.md"):
            text = page.read_text(encoding="utf-8")
            for title, numbered in zip(_TITLES, _NUMBERED, strict=True):
                text = title.sub(numbered.format(number), text, count=1)
            place = content / f"copy-{number:03}" / page.relative_to(ROOT / "content")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
