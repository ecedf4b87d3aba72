"""What is on disk, what the index holds, and which files an ingest must therefore cut anew."""

import asyncio
import contextlib
import logging
from asyncio.subprocess import Process
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from rag.corpus.routes import Site
from rag.corpus.scan import Plan, Scan, Source, plan, read, scan
from rag.errors import ContentError, IndexMismatch, StoreUnavailable
from rag.events import FileProblem, Finished, Planned
from rag.ingest.worker_process import events, log_complaints, start
from rag.markdown.fences import fenced_lines
from rag.store.base import IndexConfig, VectorStore
from rag.types import DocumentRecord

_log = logging.getLogger(__name__)
_SAMPLED_FILES = 40
_SAMPLED_CHARACTERS = 1_500  # of each


@dataclass(frozen=True, slots=True)
class PublishedIndex:
    """The published index as an ingest needs to know it. `hashes` are known of an index that is not opened as well; a
    `lost` one is there and cannot be used.
    """

    config: IndexConfig | None
    records: Mapping[str, DocumentRecord]
    hashes: Mapping[str, str]
    lost: bool = False


@dataclass(frozen=True, slots=True)
class ContentDiff:
    """`sources` and `problems` are of the whole book; the plan is for `scope`, a part of it perhaps."""

    sources: Mapping[str, Source]
    problems: Mapping[str, FileProblem]
    index: PublishedIndex
    scope: str | None
    plan: Plan
    notes: tuple[tuple[str, str], ...] = ()

    def within(self, path: str) -> bool:
        return self.scope is None or path == self.scope or path.startswith(f"{self.scope}/")

    @property
    def files(self) -> list[str]:
        """Every file of the scope, readable or not."""
        return [path for path in (*self.sources, *self.problems) if self.within(path)]

    @property
    def scoped(self) -> list[Source]:
        """Every readable file of the scope."""
        return [source for path, source in self.sources.items() if self.within(path)]

    @property
    def failing(self) -> list[FileProblem]:
        return [problem for path, problem in self.problems.items() if self.within(path)]

    @property
    def notices(self) -> list[FileProblem]:
        """What is to be said of files that can be read all the same."""
        return [FileProblem(source.path, "encoding", source.notice) for source in self.scoped if source.notice]

    def gone(self, path: str) -> bool:
        """True for a document whose file is no more. What cannot be read, or lies in such a folder, is still there."""
        if not self.within(path) or path in self.sources:
            return False
        return not any(str(place) in self.problems for place in (PurePosixPath(path), *PurePosixPath(path).parents))

    @property
    def current(self) -> bool:
        """True when the index holds exactly what is on disk."""
        return not (self.plan.added or self.plan.changed or self.plan.removed)

    def unscoped(self) -> "ContentDiff":
        return replace(_survey(self.sources, self.problems, self.index, None), notes=self.notes)


async def published(store: VectorStore, *, anew: bool) -> PublishedIndex:
    """What must be built anew is as good as nothing, and is not opened where all is to be made `anew`.

    Raises StoreUnavailable.
    """
    if anew:
        return PublishedIndex(None, {}, await _hashes(store))
    try:
        config = await store.config()
        records = await store.documents() if config is not None else []
    except IndexMismatch as error:
        _log.warning("%s", error.message)
        return PublishedIndex(None, {}, await _hashes(store), lost=True)
    return PublishedIndex(
        config, {record.path: record for record in records}, {each.path: each.sha256 for each in records}
    )


async def _hashes(store: VectorStore) -> Mapping[str, str]:
    """None where they cannot be told: the writer will say what is wrong with the store."""
    try:
        return await store.hashes()
    except (IndexMismatch, StoreUnavailable):
        return {}


async def diff(content_dir: Path, site: Site, index: PublishedIndex, path: str | None) -> ContentDiff:
    """Reads every file, in a thread. Raises ContentError when there is nothing to ingest."""
    scope = _scope(content_dir, path)
    found = await asyncio.to_thread(scan, content_dir, site)
    sources = {source.path: source for source in found.sources}
    problems = {problem.path: problem for problem in found.problems}
    if not sources and not problems:
        raise ContentError(f"No page of the content folder {content_dir} is published: all are drafts or partials.")
    content_diff = replace(_survey(sources, problems, index, scope), notes=found.notes)
    if scope is not None and not content_diff.files and not content_diff.plan.removed:
        raise ContentError(f"There is no Markdown file at {scope} in the content folder.")
    return content_diff


def _survey(
    sources: Mapping[str, Source], problems: Mapping[str, FileProblem], index: PublishedIndex, scope: str | None
) -> ContentDiff:
    content_diff = ContentDiff(sources, problems, index, scope, Plan((), (), (), ()))
    changes = plan(Scan(content_diff.scoped, []), index.hashes)
    return replace(content_diff, plan=replace(changes, removed=tuple(filter(content_diff.gone, index.hashes))))


def _scope(content_dir: Path, path: str | None) -> str | None:
    """The path as documents are named; None for the whole book."""
    if path is None:
        return None
    pure = PurePosixPath(path)
    leaves = "\0" in path or pure.is_absolute() or ".." in pure.parts
    if leaves or not (content_dir / pure).resolve().is_relative_to(content_dir.resolve()):
        raise ContentError(f"{path[:200]!r} is not a path below the content folder.")
    return None if pure == PurePosixPath(".") else str(pure)


def sample(content_diff: ContentDiff) -> str:
    """Text from all over the book, the same for the same book: what its language is told by."""
    paths = sorted(content_diff.sources)
    step = max(1, len(paths) // _SAMPLED_FILES)
    return "\n".join(_prose(content_diff, path) for path in paths[::step])


def _prose(content_diff: ContentDiff, path: str) -> str:
    """The beginning of a page without its code."""
    try:
        lines = read(content_diff.sources[path]).text.splitlines()
    except ContentError:
        return ""
    return "\n".join(_outside_fences(lines))[:_SAMPLED_CHARACTERS]


def _outside_fences(lines: Sequence[str]) -> Iterator[str]:
    at = 0
    for first, after, _, _ in fenced_lines(lines):
        yield from lines[at:first]
        at = after
    yield from lines[at:]


PLAN_SECONDS = 300.0
_FAILED = "The plan could not be made; the log says why."


async def dry_run(
    command: Sequence[str], environment: Mapping[str, str], *, force: bool = False, path: str | None = None
) -> Planned:
    """Runs `command` (an ingest that tells its events) as a dry run. Raises ContentError with what it says."""
    arguments = ["--dry-run", *(["--force"] if force else []), *(["--path", path] if path is not None else [])]
    try:
        process = await start([*command, *arguments], environment)
    except OSError as error:
        raise ContentError(f"The plan could not be made: {error.strerror}.") from None
    complaints = asyncio.create_task(log_complaints(process))
    try:
        async with asyncio.timeout(PLAN_SECONDS):
            return await _planned(process)
    except TimeoutError:
        raise ContentError("The plan took too long.") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await complaints


async def _planned(process: Process) -> Planned:
    found: Planned | None = None
    reason = _FAILED
    async for event in events(process):
        if isinstance(event, Planned):
            found = event
        elif isinstance(event, Finished) and event.status != "completed":
            reason = event.message
    await process.wait()
    if found is None:
        raise ContentError(reason)
    return found


EMBEDDING_PRICES = MappingProxyType(
    {
        "text-embedding-3-small": 0.02,
        "text-embedding-3-large": 0.13,
        "text-embedding-ada-002": 0.10,
    }
)


def cost(tokens: int, price: float | None) -> float | None:
    """`price` is for a million tokens; None when it is not known."""
    return None if price is None else tokens * price / 1_000_000
