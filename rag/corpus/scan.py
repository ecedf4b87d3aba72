"""The content folder: which Markdown files it holds, what each is published as, and which of them changed.

`scan` reads and hashes every file and parses nothing but front matter; `read` gives the text of one. So a book that
did not change costs its bytes and no more, and a book larger than memory passes through one document at a time.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rag.corpus.decoding import decode, decoded, is_binary
from rag.corpus.frontmatter import read_yaml, split_front_matter
from rag.corpus.generators import generator_for, options_of, recognise
from rag.corpus.generators.base import Generator, Tree
from rag.corpus.generators.mdbook import chapter_titles
from rag.corpus.includes import expand
from rag.corpus.routes import EXTENSION, Site, strip_number_prefix
from rag.errors import ContentError
from rag.events import FileProblem
from rag.types import Document, GeneratorName, Inclusion

EXTENSIONS = (".md", ".mdx", ".markdown")
LARGEST_FILE = 20_000_000  # bytes
MOST_FILES = 50_000
_SKIPPED = frozenset({"node_modules", "__pycache__", "site-packages"})
_LONGEST_TITLE = 300  # characters
_HASH_VERSION = "2"
_CHAPTER = re.compile(r"^(?:ch(?:ap(?:ter)?)?[-_. ]?)?\d{1,3}(?:[-_]\d{1,3})*[-_. ]+(?=[^\W\d])", re.IGNORECASE)
_CATEGORY_FILES = ("_category_.json", "_category_.yml", "_category_.yaml")
_HIGHEST = 5  # folders, from the content folder up, that may hold the generator's configuration
_BEGINNINGS = 100  # pages, and of each so many characters, by which a generator may be told
_BEGINNING = 2_000
_UNKNOWN = (
    "unknown_generator",
    "Nothing in the content folder says which generator publishes the book, and so its links are guessed: anchors as"
    " on GitHub, routes without endings. BOOK_FLAVOR names the generator.",
)


@dataclass(frozen=True, slots=True)
class Source:
    """A published Markdown file as the scan found it; `read` gives its Document."""

    path: str
    root: Path
    site: Site
    sha256: str
    url: str
    trail: tuple[str, ...]
    listed: str = ""  # the title that a table of contents gives it
    book: Path | None = None  # the folder whose files it may include, the root without one
    notice: str = ""  # a sentence, where its bytes are not those of clean UTF-8 or UTF-16


@dataclass(frozen=True, slots=True)
class Scan:
    """The book on disk, by path. Drafts and partials are in neither list: they have no page. `notes` are what its
    author should know, each a code and a sentence.
    """

    sources: list[Source]
    problems: list[FileProblem]
    notes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Paths by what an ingest has to do with them, each in the order of the scan."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]


def scan(content_dir: Path, site: Site) -> Scan:
    """Hashes every published file. Raises ContentError, naming the folder, when there is none to index."""
    root = _root(content_dir)
    names, problems = _walk(root)
    markdown = [name for name in names if name.lower().endswith(EXTENSIONS)]
    if not markdown and not problems:
        raise ContentError(f"There is no Markdown file (.md, .mdx) in the content folder {content_dir}.")
    if len(markdown) > MOST_FILES:
        raise ContentError(f"The content folder {content_dir} holds more than {MOST_FILES:,} Markdown files.")
    named = site.flavor != "auto"
    site = _with_generator(site, root, names, markdown)
    labels = _Labels(root, names)
    listed = _listed(root, site, markdown)
    notes = [_UNKNOWN] if site.flavor == "other" and not named else []
    if listed is not None:
        unlisted = [path for path in markdown if path not in listed and not _generator(site).is_contents(path)]
        markdown = [path for path in markdown if path not in unlisted]
        notes += [_unlisted(unlisted)] if unlisted else []
    book = _book(root, site)
    sources: list[Source] = []
    for path in markdown:
        try:
            source = _source(path, root, site, labels, (listed or {}).get(path, ""), book)
        except ContentError as error:
            problems.append(_problem(_printable(path), error.message))
        else:
            if source is not None:
                sources.append(source)
    return Scan(sources, sorted(problems, key=lambda problem: problem.path), tuple(notes))


def read(source: Source) -> Document:
    """The document as it is on disk now. Raises ContentError when it cannot be read."""
    data = _bytes(source.root, source.path)
    flavor = source.site.flavor
    assert flavor != "auto"
    text, inclusions = _expanded(decode(data), source.path, source.root, source.book)
    front_matter, _ = split_front_matter(text)
    url = generator_for(flavor).url(source.path, front_matter, source.site)
    included = text.encode() if inclusions else b""
    return Document(
        path=source.path,
        title=_title(source, text, front_matter, flavor),
        text=text,
        sha256=_hash(data + included, url, source.trail, source.listed, source.site),
        url=url,
        trail=source.trail,
        description=" ".join(front_matter.get("description", "").split()),
        flavor=flavor,
        options=source.site.options,
        inclusions=inclusions,
    )


def plan(scanned: Scan, manifest: Mapping[str, str]) -> Plan:
    """What differs from `manifest`, path to sha256. A file that cannot be read is not removed."""
    found = {source.path: source.sha256 for source in scanned.sources}
    failed = {problem.path for problem in scanned.problems}
    return Plan(
        added=tuple(path for path in found if path not in manifest),
        changed=tuple(path for path, sha in found.items() if manifest.get(path, sha) != sha),
        unchanged=tuple(path for path, sha in found.items() if manifest.get(path) == sha),
        removed=tuple(path for path in manifest if path not in found and path not in failed),
    )


def _root(content_dir: Path) -> Path:
    try:
        root = content_dir.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise ContentError(f"There is no content folder {content_dir}.") from None
    if not root.is_dir():
        raise ContentError(f"The content folder {content_dir} is not a folder.")
    if not os.access(root, os.R_OK | os.X_OK):
        raise ContentError(f"The content folder {content_dir} cannot be read.")
    return root


def _walk(root: Path) -> tuple[list[str], list[FileProblem]]:
    """Every file below the root, in order. Links to folders are not followed; what they hold is found in its place."""
    names: list[str] = []
    problems: list[FileProblem] = []

    def refused(error: OSError) -> None:
        path = _printable(os.path.relpath(error.filename or root, root).replace(os.sep, "/"))
        problems.append(_problem(path, f"The folder {path} cannot be read."))

    for folder, folders, files in _folders(root, refused):
        below = os.path.relpath(folder, root).replace(os.sep, "/")
        prefix = "" if below == "." else f"{below}/"
        for name in folders:
            if (Path(folder) / name).is_symlink() and not _stays(root, Path(folder) / name):
                path = _printable(f"{prefix}{name}")
                problems.append(_problem(path, f"The folder {path} is a link that leaves the content folder."))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        names += [f"{prefix}{name}" for name in files if not name.startswith("._")]
        if len(names) > 20 * MOST_FILES:
            raise ContentError(f"The content folder {root} holds too many files to be a book.")
    return sorted(names, key=lambda name: name.split("/")), problems


def _folders(root: Path, refused: Callable[[OSError], None]) -> Iterator[tuple[str, list[str], list[str]]]:
    """`os.walk` without its recursion, which ends at a thousand folders: (folder, its folders, its files). Folders that
    the caller takes out of the list are not entered.
    """
    waiting = [str(root)]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                found = [(entry.name, Path(entry).is_dir(), entry.is_symlink()) for entry in entries]
        except OSError as error:
            refused(error)
            continue
        folders = [name for name, is_folder, _ in found if is_folder]
        yield folder, folders, [name for name, is_folder, _ in found if not is_folder]
        links = {name for name, _, is_link in found if is_link}
        waiting += [f"{folder}/{name}" for name in reversed(folders) if name not in links]


def _stays(root: Path, path: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):
        return False


def _with_generator(site: Site, root: Path, names: list[str], markdown: list[str]) -> Site:
    """The site with its generator, which is recognised where it is not set, and the options of its configuration."""

    def beginnings() -> Iterator[str]:
        for path in markdown[:: max(1, len(markdown) // _BEGINNINGS)]:
            try:
                yield decode(_bytes(root, path))[:_BEGINNING]
            except ContentError:
                continue

    above = [root, *root.parents][:_HIGHEST]
    repository = next((at for at, folder in enumerate(above) if (folder / ".git").exists()), len(above))
    tree = Tree(frozenset(names), above[: repository + 1], beginnings, site.url, site)
    if site.flavor != "auto":
        return replace(site, options=options_of(site.flavor, tree))
    flavor, options = recognise(tree)
    return replace(site, flavor=flavor, options=options)


def _generator(site: Site) -> Generator:
    assert site.flavor != "auto"
    return generator_for(site.flavor)


def _source(path: str, root: Path, site: Site, labels: "_Labels", listed: str, book: Path | None) -> Source | None:
    """None for a file that has no page. Raises ContentError when it cannot be read."""
    if _printable(path) != path:
        raise ContentError(f"The name of the file {_printable(path)} is not UTF-8.")
    data = _bytes(root, path)
    front_matter = split_front_matter(decode(data))[0] if _may_have_front_matter(data) else {}
    generator = _generator(site)
    if not generator.is_published(path, front_matter, site):
        return None
    url = generator.url(path, front_matter, site)
    trail = labels.trail(path)
    included = b""
    if book is not None and b"{{" in data:
        text, inclusions = _expanded(decode(data), path, root, book)
        included = text.encode() if inclusions else b""
    return Source(
        path,
        root,
        site,
        _hash(data + included, url, trail, listed, site),
        url,
        trail,
        listed,
        book,
        _notice(path, data),
    )


def _notice(path: str, data: bytes) -> str:
    """What a reader of the plan has to know of how the bytes were read; empty for nearly every file."""
    if data.isascii() and b"\0" not in data:
        return ""
    found = decoded(data)
    if found.replaced:
        count = f"{found.replaced:,} invalid byte{'s' if found.replaced > 1 else ''}"
        return f"The file {path} has {count}, shown as \ufffd; it was read as {found.encoding.upper()}."
    if not found.encoding.startswith("utf-"):
        return f"The file {path} is not UTF-8; it was read as {found.encoding}, which may be wrong."
    return ""


def _listed(root: Path, site: Site, markdown: list[str]) -> dict[str, str] | None:
    """Path -> title, of a book whose chapters are named in its table of contents; None for one without."""
    contents = next((path for path in markdown if _generator(site).is_contents(path)), None)
    if contents is None:
        return None
    try:
        return chapter_titles(decode(_bytes(root, contents)))
    except ContentError:  # it is told when the file itself is read
        return None


def _unlisted(paths: list[str]) -> tuple[str, str]:
    some = ", ".join(paths[:3]) + (" and others" if len(paths) > 3 else "")
    return ("unlisted", f"{len(paths):,} files that SUMMARY.md does not name have no page and are left out: {some}.")


def _book(root: Path, site: Site) -> Path | None:
    """The folder whose files the pages may include; None for generators that include nothing."""
    if site.flavor != "mdbook":
        return None
    return next((folder for folder in (root, root.parent) if (folder / "book.toml").is_file()), root)


def _expanded(text: str, path: str, root: Path, book: Path | None) -> tuple[str, tuple[Inclusion, ...]]:
    if book is None or "{{" not in text:
        return text, ()
    found = expand(text, (root / path).relative_to(book).as_posix(), book)
    return found.text, found.inclusions


def _may_have_front_matter(data: bytes) -> bool:
    beginning = data[:16]
    return b"-" in beginning or b"+" in beginning


def _bytes(root: Path, path: str) -> bytes:
    """The content of a file that stays within the root. Raises ContentError with one sentence."""
    file = root / path
    try:
        if file.is_symlink() and not _stays(root, file):
            raise ContentError(f"The file {path} is a link that leaves the content folder.")
        if not file.is_file():
            raise ContentError(f"{path} is not a regular file.")
        if file.stat().st_size > LARGEST_FILE:
            raise ContentError(f"The file {path} is larger than {LARGEST_FILE // 1_000_000} MB.")
        data = file.read_bytes()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "it links to itself"
        raise ContentError(f"The file {path} cannot be read: {reason}.") from None
    if is_binary(data):
        raise ContentError(f"The file {path} is not text.")
    return data


def _title(source: Source, text: str, front_matter: Mapping[str, str], flavor: GeneratorName) -> str:
    """The front matter's title, else that in the table of contents, else the heading the page begins with, which for
    Docusaurus must be an h1, else the file's name.
    """
    from rag.markdown.parser import opening_title  # the parser is not needed for a book that did not change

    written = " ".join(front_matter.get("title", "").split())
    title = written or source.listed or opening_title(text, flavor) or _name(source.path, front_matter, flavor)
    return title if len(title) <= _LONGEST_TITLE else title[: _LONGEST_TITLE - 1].rstrip() + "…"


def _name(path: str, front_matter: Mapping[str, str], flavor: GeneratorName) -> str:
    """Docusaurus shows the id; elsewhere the file's name made readable, an index page's folder."""
    folder, _, name = path.rpartition("/")
    identifier = front_matter.get("id", "").strip() or strip_number_prefix(EXTENSION.sub("", name))
    if identifier.lower() in ("index", "readme", "_index") and folder:
        identifier = strip_number_prefix(folder.rpartition("/")[2])
    if generator_for(flavor).named_by_h1:
        return identifier
    return _readable(_CHAPTER.sub("", identifier))


def _hash(data: bytes, url: str, trail: tuple[str, ...], listed: str, site: Site) -> str:
    digest = hashlib.sha256(data)
    for part in (_HASH_VERSION, site.flavor, *sorted(site.options), url, *trail, *([listed] if listed else ())):
        digest.update(b"\0" + part.encode(errors="replace"))
    return digest.hexdigest()


def _problem(path: str, message: str) -> FileProblem:
    return FileProblem(path, ContentError.code, message)


def _readable(name: str) -> str:
    words = " ".join(name.replace("-", " ").replace("_", " ").split()) or name
    return words[:1].upper() + words[1:]


def _printable(path: str) -> str:
    return path.encode(errors="replace").decode()


class _Labels:
    """What the folders are called: the label in `_category_.json` or `.yml`, else the name made readable."""

    def __init__(self, root: Path, names: list[str]) -> None:
        self._root = root
        found = (name.rpartition("/") for name in names)
        self._files = {folder: f"{folder}/{name}" for folder, _, name in found if name in _CATEGORY_FILES}
        self._known: dict[str, tuple[str, ...]] = {"": ()}

    def trail(self, path: str) -> tuple[str, ...]:
        """The labels of the folders above a file, outermost first."""
        folder = path.rpartition("/")[0]
        unknown = []
        while folder not in self._known:
            unknown.append(folder)
            folder = folder.rpartition("/")[0]
        for below in reversed(unknown):
            self._known[below] = (*self._known[folder], self._label(below))
            folder = below
        return self._known[folder]

    def _label(self, folder: str) -> str:
        return self._written(folder) or _readable(strip_number_prefix(folder.rpartition("/")[2]))

    def _written(self, folder: str) -> str:
        if folder not in self._files:
            return ""
        try:
            text = decode(_bytes(self._root, self._files[folder]))
        except ContentError:
            return ""
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            return " ".join(read_yaml(text).get("label", "").split())
        label = parsed.get("label") if isinstance(parsed, dict) else None
        return " ".join(label.split()) if isinstance(label, str) else ""
