"""Front matter: the YAML (or TOML) block a page may begin with, as raw strings.

Values are the scalars as the author wrote them (`010`, `no`), because slugs and ids are text whatever YAML makes of
them. A block that does not parse costs its page nothing: the simple `key: value` lines in it are read instead.
"""

import re
import tomllib
from typing import Any

import yaml

_OPEN = re.compile(r"(---|\+\+\+)[ \t]*+(?:\n|\Z)")
_SIMPLE = re.compile(r"([A-Za-z_][\w-]*+)[ \t]*+:(.*)")
_LARGEST = 65_536
_FURTHEST = 1_000_000  # characters in which the block must end; the search holds the interpreter lock
_MOST_BRACKETS = 500  # libyaml's time grows with the square of the depth of `[[[`
_MOST_DOTS = 100  # in a line: tomllib's time grows with the square of the parts of a key
_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class Plain(str):
    """A scalar that was written without quotes, and so may be a number to a generator."""

    __slots__ = ()


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
    closed = re.compile(rf"^(?:{mark}|\.\.\.)[ \t]*+$", re.MULTILINE).search(
        text, opened.end(), opened.end() + _FURTHEST
    )
    return (opened[1], opened.end(), closed.start()) if closed else None


def read_yaml(text: str) -> dict[str, str]:
    """The scalars at the top level of a YAML (or JSON) file, as raw strings."""
    return _values(text, toml=False)


def _values(block: str, *, toml: bool) -> dict[str, str]:
    """Only scalars of the top level; lists and mappings are nobody's title."""
    if len(block) > _LARGEST or block.count("[") + block.count("{") > _MOST_BRACKETS:
        return _simple(block)
    try:
        return _toml_scalars(block) if toml else _yaml_scalars(block)
    except (yaml.YAMLError, ValueError, RecursionError):
        return _simple(block)


def _yaml_scalars(block: str) -> dict[str, str]:
    """The scalars of the top mapping, read from the parser's events. Raises YAMLError.

    Nothing is composed: libyaml's composer calls itself once for each level, so 30,000 levels of `- - -` end the
    process, and it holds the interpreter lock for as long as the whole block takes.
    """
    values: dict[str, str] = {}
    anchors: dict[str, str] = {}
    key: str | None = None
    mapping, at_key, depth, documents = False, True, 0, 0
    for event in yaml.parse(block, Loader=_Loader):
        value = None
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            continue
        if isinstance(event, yaml.CollectionStartEvent):
            mapping = mapping if depth else isinstance(event, yaml.MappingStartEvent)
            depth += 1
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.ScalarEvent):
            value = str(event.value) if event.style else Plain(event.value)
            if event.anchor:
                anchors[event.anchor] = value
        elif isinstance(event, yaml.AliasEvent):
            value = anchors.get(event.anchor or "")
        else:
            continue
        if depth != 1 or not mapping:
            continue
        if not at_key and key is not None and value is not None:
            values[key] = value
        key, at_key = value if at_key else None, not at_key
    if documents > 1:
        raise yaml.YAMLError("a front matter is one document")
    return values


def _toml_scalars(block: str) -> dict[str, str]:
    """The scalars of the top table. Raises ValueError."""
    if any(line.count(".") > _MOST_DOTS for line in block.split("\n")):
        raise ValueError("a key of too many parts")
    scalars = (str, int, float, bool)
    return {key: _scalar(value) for key, value in tomllib.loads(block).items() if isinstance(value, scalars)}


def _scalar(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _simple(block: str) -> dict[str, str]:
    """The `key: value` lines. Each line is matched once from its beginning, whatever it holds."""
    found = (_SIMPLE.match(line) for line in block[:_LARGEST].split("\n"))
    pairs = [(line[1], line[2].strip(" \t")) for line in found if line]
    return {key: value[1:-1] if value[:1] == value[-1:] and value[:1] in ("'", '"') else value for key, value in pairs}
