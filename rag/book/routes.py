"""Where a page is published: (path, front matter, site) -> URL, as each generator does it.

    docusaurus   number prefixes go, `index`, `readme` and `<folder>/<folder>` are the folder, `slug` and `id` win
    mdbook       `a/b.html`, README is index, SUMMARY stands for the book's first page
    mkdocs       `a/b/`, index and README are the folder
    github       the file itself, `a/b.md`

Paths are relative to the content root with forward slashes; nothing here touches the disk.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit

Flavor = Literal["auto", "docusaurus", "mkdocs", "mdbook", "github"]
FrontMatter = Mapping[str, str]

_PATH_SAFE = "/-._~!$&'()*+,;=:@"  # RFC 3986, section 3.3
_NUMBERED = re.compile(r"[0-9]+\s*[-_.]+\s*(?P<rest>[^-_.\s].*)", re.DOTALL)
_DATE_OR_VERSION = re.compile(r"[0-9]+[-_.][0-9]")
EXTENSION = re.compile(r"\.(?:mdx?|markdown)$", re.IGNORECASE)
_HUGO_SECTION = "_index.md"  # the page of a folder there, and nobody's partial
_TRUE = {"true", "yes", "on"}


@dataclass(frozen=True, slots=True)
class Site:
    """The published site. `url` holds its base path too; without it URLs are site-relative.

    `route_base` and an unset `trailing_slash` are Docusaurus's own settings. MkDocs reads a `trailing_slash`
    of False as "no directory URLs"; mdBook and GitHub know neither.
    """

    url: str | None = None
    route_base: str = "docs"
    trailing_slash: bool | None = None
    flavor: Flavor = "auto"


def guess_flavor(paths: Iterable[str], url: str | None = None) -> Flavor:
    """The generator a tree was written for, by the names in it (and of the files beside it, as `../mkdocs.yml`)."""
    names = {path.rpartition("/")[2].lower() for path in paths}
    if "book.toml" in names or "summary.md" in names:
        return "mdbook"
    if names & {"mkdocs.yml", "mkdocs.yaml", ".nav.yml", ".pages"}:
        return "mkdocs"
    if url and (urlsplit(url).hostname or "").lower() in ("github.com", "www.github.com"):
        return "github"
    return "docusaurus"


def is_published(path: str, front_matter: FrontMatter, site: Site) -> bool:
    """False for drafts, and for what Docusaurus keeps as partials and tests. Unlisted pages are published."""
    if front_matter.get("draft", "").strip().lower() in _TRUE:
        return False
    if site.flavor not in ("auto", "docusaurus"):
        return True
    parts = path.split("/")
    hidden = parts[:-1] if parts[-1].lower() == _HUGO_SECTION else parts
    if any(part == "__tests__" or part.startswith("_") for part in hidden):
        return False
    return not re.search(r"\.test\.(?:mdx?|markdown)$", parts[-1])


def url_of(path: str, front_matter: FrontMatter, site: Site) -> str:
    """The page's URL without a fragment, percent-encoded."""
    if site.flavor == "mdbook":
        return _join(site, _mdbook_path(path))
    if site.flavor == "mkdocs":
        return _join(site, _mkdocs_path(path, site))
    if site.flavor == "github":
        return _join(site, path)
    route = _collapse(f"/{site.route_base}/{slug_of(path, front_matter)}")
    return _join(site, _with_slash(route, site.trailing_slash))


def slug_of(path: str, front_matter: FrontMatter) -> str:
    """Docusaurus's slug of a document: absolute, a trailing slash only where Docusaurus keeps one."""
    folder, _, name = path.rpartition("/")
    raw = EXTENSION.sub("", name)
    numbered = front_matter.get("parse_number_prefixes", "").strip().lower() not in ("false", "no", "off")
    base = f"/{strip_number_prefixes(folder) if numbered else folder}/" if folder else "/"
    slug = front_matter.get("slug", "").strip()
    if slug and _is_pathname(slug):
        return slug if slug.startswith("/") else _resolve(slug, base)
    if _is_folder_page(raw, folder):
        return base
    return _resolve(front_matter.get("id", "").strip() or (strip_number_prefix(raw) if numbered else raw), base)


def strip_number_prefix(name: str) -> str:
    """`01-intro` -> `intro`; dates, versions and bare numbers stay."""
    if _DATE_OR_VERSION.match(name):
        return name
    numbered = _NUMBERED.fullmatch(name)
    return numbered["rest"] if numbered else name


def strip_number_prefixes(path: str) -> str:
    return "/".join(map(strip_number_prefix, path.split("/")))


def _is_folder_page(raw: str, folder: str) -> bool:
    name = raw.lower()
    return name in ("index", "readme", "_index") or (bool(folder) and name == folder.rpartition("/")[2].lower())


def _is_pathname(slug: str) -> bool:
    return not re.search(r"[?#\\]|^//|\s$", slug)


def _resolve(relative: str, base: str) -> str:
    """A relative path against a folder that ends in a slash; `..` stops at the root."""
    if relative.startswith("/"):
        return relative
    parts: list[str] = []
    given = (base + relative).split("/")
    for part in given:
        if part == "..":
            if parts:
                parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    folder = given[-1] in ("", ".", "..")
    return "/" + "/".join(parts) + ("/" if folder and parts else "")


def _with_slash(route: str, trailing_slash: bool | None) -> str:
    if trailing_slash is None or route == "/":
        return route
    return route.rstrip("/") + ("/" if trailing_slash else "")


def _mdbook_path(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    stem = EXTENSION.sub("", name)
    if path.lower() == "summary.md":
        return ""
    return f"{folder}{slash}{'index' if stem.lower() == 'readme' else stem}.html"


def _mkdocs_path(path: str, site: Site) -> str:
    folder, slash, name = path.rpartition("/")
    stem = EXTENSION.sub("", name)
    is_index = stem.lower() in ("index", "readme")
    if site.trailing_slash is False:
        return f"{folder}{slash}{'index' if is_index else stem}.html"
    return f"{folder}{slash}" if is_index else f"{folder}{slash}{stem}/"


def _collapse(path: str) -> str:
    return re.sub(r"/{2,}", "/", path)


def _join(site: Site, route: str) -> str:
    """The site's URL and an unencoded route. A route of nothing but the root keeps the slash of the site."""
    base = (site.url or "").rstrip("/")
    return base + _encode(_collapse("/" + route))


def _encode(path: str) -> str:
    """Percent-encoded once: an escape that the author wrote stays."""
    parts = re.split(r"(%[0-9A-Fa-f]{2})", path.encode(errors="replace").decode())
    return "".join(part if at % 2 else quote(part, safe=_PATH_SAFE) for at, part in enumerate(parts))
