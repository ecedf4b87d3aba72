"""The published site, and what the routes of several generators have in common.

Paths are relative to the content root with forward slashes; nothing here touches the disk. A generator's own rules are
in `rag.corpus.generators`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from rag.types import GeneratorName

Flavor = Literal["auto", GeneratorName]
FrontMatter = Mapping[str, str]

_PATH_SAFE = "/-._~!$&'()*+,;=:@"  # RFC 3986, section 3.3
_NUMBERED = re.compile(r"[0-9]+\s*[-_.]+\s*(?P<rest>[^-_.\s].*)", re.DOTALL)
_DATE_OR_VERSION = re.compile(r"[0-9]+[-_.][0-9]")
EXTENSION = re.compile(r"\.(?:mdx?|markdown)$", re.IGNORECASE)
TRUE = frozenset({"true", "yes", "on"})


@dataclass(frozen=True, slots=True)
class Site:
    """The published site. `url` holds its base path too; without it URLs are site-relative.

    `route_base` and an unset `trailing_slash` are Docusaurus's own settings. The others read a `trailing_slash` as
    their own switch between `/a/`, `/a` and `/a.html`, where they have one; mdBook and GitHub have none. `options` is
    what the generator's configuration file switches on, as the generator's module names it.
    """

    url: str | None = None
    route_base: str = "docs"
    trailing_slash: bool | None = None
    flavor: Flavor = "auto"
    options: frozenset[str] = frozenset()


def strip_number_prefix(name: str) -> str:
    """`01-intro` -> `intro`; dates, versions and bare numbers stay."""
    if _DATE_OR_VERSION.match(name):
        return name
    numbered = _NUMBERED.fullmatch(name)
    return numbered["rest"] if numbered else name


def strip_number_prefixes(path: str) -> str:
    return "/".join(map(strip_number_prefix, path.split("/")))


def split_path(path: str) -> tuple[str, str]:
    """The folder with its slash, and the file's name without its extension."""
    folder, slash, name = path.rpartition("/")
    return folder + slash, EXTENSION.sub("", name)


def is_draft(front_matter: FrontMatter) -> bool:
    return front_matter.get("draft", "").strip().lower() in TRUE


def collapse(path: str) -> str:
    return re.sub(r"/{2,}", "/", path)


def absolute(site: Site, route: str) -> str:
    """The site's URL and an unencoded route. A route of nothing but the root keeps the slash of the site."""
    base = (site.url or "").rstrip("/")
    return base + encode(collapse("/" + route))


def encode(path: str) -> str:
    """Percent-encoded once: an escape that the author wrote stays."""
    parts = re.split(r"(%[0-9A-Fa-f]{2})", path.encode(errors="replace").decode())
    return "".join(part if at % 2 else quote(part, safe=_PATH_SAFE) for at, part in enumerate(parts))
