"""`python -m rag settings`: every setting with its default, as `.env.example` or as a page of the documentation."""

from collections.abc import Iterator

from rag.settings import GROUPS, Settings

_PAGE = """# Settings

Settings are read from the environment, or from a file `.env`. An empty value counts as unset; an invalid value stops
the start with one line that names it. This page is generated: `make docs`.
"""
_EXAMPLE = """# Every setting with its default. Copy this file to .env and change what you need; nothing is required.
# An empty value counts as unset. This file is generated: make docs
"""
_RULE = 104


def run(*, markdown: bool) -> int:
    print(page() if markdown else example(), end="")
    return 0


def default_of(name: str) -> str:
    """The default as it is written in an environment; empty if the setting is unset by default."""
    default = Settings.model_fields[name].get_default(call_default_factory=True)
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    return ",".join(default) if isinstance(default, list) else str(default)


def page() -> str:
    """Return docs/settings.md."""
    text = _PAGE
    for title, names in _groups():
        text += f"\n## {title}\n\n| setting | default | meaning |\n|---|---|---|\n"
        for name in names:
            default = f"`{default_of(name)}`" if default_of(name) else "unset"
            text += f"| `{name.upper()}` | {default} | {Settings.model_fields[name].description} |\n"
    return text


def example() -> str:
    """Return .env.example. Comments have lines of their own: simple readers take a whole line for the value."""
    text = _EXAMPLE
    for title, names in _groups():
        text += f"\n# --- {title} ".ljust(_RULE, "-") + "\n"
        for name in names:
            meaning = (Settings.model_fields[name].description or "").replace("`", "")
            text += f"# {meaning}\n{name.upper()}={default_of(name)}\n"
    return text


def _groups() -> Iterator[tuple[str, list[str]]]:
    names = list(Settings.model_fields)
    starts = [names.index(first) for first in GROUPS.values()]
    for title, start, end in zip(GROUPS, starts, [*starts[1:], len(names)], strict=True):
        yield title, names[start:end]
