"""README.md and docs/ as their readers use them: links, commands with the answers they show, code."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")] + sorted((ROOT / "docs").glob("*.md"))
PAGES = [page for page in PAGES if page.exists()]
README = (ROOT / "README.md").read_text(encoding="utf-8")
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_KEY = re.compile(r'"(\w+)":')


@dataclass(frozen=True, slots=True)
class Shown:
    """A command and what the README shows of its answer."""

    command: str
    answer: str

    @property
    def keys(self) -> set[str]:
        return keys(self.answer)


def keys(text: str) -> set[str]:
    """The names in JSON, shortened or not."""
    return set(_KEY.findall(text))


def blocks(text: str, language: str) -> list[str]:
    return [body for name, body in _FENCE.findall(text) if name == language]


def links() -> list[tuple[Path, str]]:
    """The links and images of every page, code left out: the page and the target."""
    found = []
    for page in PAGES:
        text = re.sub(r"`[^`\n]+`", "", _FENCE.sub("", page.read_text(encoding="utf-8")))
        found += [(page, link) for link in _LINK.findall(text)]
    return found


def sessions(text: str) -> list[Shown]:
    """Every `$ command` of the console blocks, its continued lines joined."""
    found: list[Shown] = []
    for block in blocks(text, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, answer = part.replace("\\\n", " ").partition("\n")
            found.append(Shown(" ".join(command.split()), answer))
    return found
