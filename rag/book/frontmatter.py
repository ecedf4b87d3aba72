"""Front matter: the YAML (or TOML) block a page may begin with, as raw strings.

Values are the scalars as the author wrote them (`010`, `no`), because slugs and ids are text whatever YAML makes of
them. A block that does not parse costs its page nothing: the simple `key: value` lines in it are read instead.
"""

import re
import tomllib
from typing import Any

import yaml

_OPEN = re.compile(r"(---|\+\+\+)[ \t]*(?:\n|$)")
_SIMPLE = re.compile(r"^([A-Za-z_][\w-]*)[ \t]*:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_LARGEST = 65_536
_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def split_front_matter(text: str) -> tuple[dict[str, str], int]:
    """The values of the block and the number of lines it takes, its fences included; ({}, 0) without one.

    `text` has line ends folded to newlines and no byte order mark.
    """
    found = _block(text)
    if found is None:
        return {}, 0
    mark, start, end = found
    return _values(text[start:end], toml=mark == "+++"), text.count("\n", 0, end) + 1


def front_matter_lines(text: str) -> int:
    """The number of lines the block takes, without reading it."""
    found = _block(text)
    return 0 if found is None else text.count("\n", 0, found[2]) + 1


def _block(text: str) -> tuple[str, int, int] | None:
    """The mark, and where what stands between the two begins and ends."""
    opened = _OPEN.match(text)
    if not opened:
        return None
    mark = re.escape(opened[1])
    closed = re.compile(rf"^(?:{mark}|\.\.\.)[ \t]*$", re.MULTILINE).search(text, opened.end())
    return (opened[1], opened.end(), closed.start()) if closed else None


def read_yaml(text: str) -> dict[str, str]:
    """The scalars at the top level of a YAML (or JSON) file, as raw strings."""
    return _values(text, toml=False)


def _values(block: str, *, toml: bool) -> dict[str, str]:
    """Only scalars of the top level; lists and mappings are nobody's title."""
    if len(block) > _LARGEST or block.count("[") + block.count("{") > 500:
        return _simple(block)
    try:
        parsed = tomllib.loads(block) if toml else yaml.load(block, Loader=_Loader)  # noqa: S506 - scalars only
    except (yaml.YAMLError, tomllib.TOMLDecodeError, ValueError, RecursionError):
        return _simple(block)
    if not isinstance(parsed, dict):
        return {}
    return {str(key): _scalar(value) for key, value in parsed.items() if isinstance(value, str | int | float | bool)}


def _scalar(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _simple(block: str) -> dict[str, str]:
    pairs = _SIMPLE.findall(block[:_LARGEST])
    return {key: value[1:-1] if value[:1] == value[-1:] and value[:1] in ("'", '"') else value for key, value in pairs}
