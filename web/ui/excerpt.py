"""The beginning of a passage as running text, for a list of sources: no headings, fences or signs of Markdown."""

import re

LENGTH = 220

_LINES = re.compile(r"^[ \t]*(?:#{1,6} .*|`{3,}.*|~{3,}.*|:::.*|import .*|[-=*_|: \t]{3,})$", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)")
_SIGNS = re.compile(r"\*\*|__|`+|\{#[^}\n]*\}|^[ \t]*(?:>|[-*+]|\d{1,9}[.)])[ \t]+|<[^>\n]{1,200}>", re.MULTILINE)


def excerpt(text: str) -> str:
    """At most LENGTH characters, cut between words; of a passage that is all signs, its plain beginning."""
    bare = _SIGNS.sub("", _LINK.sub(r"\1", _LINES.sub("", text))).replace(" | ", " · ").replace("|", " ")
    flat = " ".join(bare.split()) or " ".join(text.split())
    if len(flat) <= LENGTH:
        return flat
    cut, space, _ = flat[: LENGTH - 1].rpartition(" ")
    return (cut if space and len(cut) > LENGTH // 2 else flat[: LENGTH - 1]).rstrip(" ,;:.") + "…"
