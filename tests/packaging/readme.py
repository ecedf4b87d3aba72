"""The README read as its readers use it: links, commands with what they show, code."""

import re
from dataclasses import dataclass

from tests.conftest import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
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


def blocks(language: str) -> list[str]:
    return [body for name, body in _FENCE.findall(TEXT) if name == language]


def links() -> list[str]:
    """Where the page's links and images lead, code left out."""
    return _LINK.findall(re.sub(r"`[^`\n]+`", "", _FENCE.sub("", TEXT)))


def sessions() -> list[Shown]:
    """Every `$ command` of the console blocks, its continued lines joined."""
    found: list[Shown] = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, answer = part.replace("\\\n", " ").partition("\n")
            found.append(Shown(" ".join(command.split()), answer))
    return found
