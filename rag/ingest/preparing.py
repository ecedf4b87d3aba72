"""What an ingest begins with: the survey, the embedder, the recipe, and sometimes the first documents.

An ingest that will cut every file in any case, a first one for instance, need not wait for its embedder: that is opened
while the files are read, and the first documents are cut until it is open.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from rag.book.chunking import CHUNKER_VERSION
from rag.book.windows import WINDOWS_VERSION
from rag.embedding.cache import CachedEmbedder
from rag.errors import ModelError
from rag.ingest.cutting import Cutter
from rag.ingest.cutting_process import Cut, cut_all
from rag.ingest.parts import Ingestion
from rag.ingest.recipe import Recipe, average_words
from rag.ingest.survey import Survey, look, published, sample
from rag.language.scripts import legible
from rag.lexical import LEXICON_VERSION, detect_language
from rag.store.base import IndexConfig

T = TypeVar("T")
Warned = tuple[str, str]  # a code and its sentence

_AHEAD = 32  # documents
_ILLEGIBLE = (
    "words_only",
    "The local model reads Latin script only, and so this book is searched by its words alone;"
    " with OPENAI_API_KEY it is searched by meaning as well.",
)
_REBUILT = ("rebuild", "The index was made with other settings, and so the whole book is ingested.")


@dataclass(frozen=True, slots=True)
class Prepared:
    """The embedder is open when it is needed. `cutting` gives every file of the scope, where that has begun."""

    survey: Survey
    embedder: CachedEmbedder
    recipe: Recipe
    warnings: tuple[Warned, ...] = ()
    cutting: AsyncGenerator[Cut, None] | None = None


@asynccontextmanager
async def prepared(parts: Ingestion, path: str | None, *, force: bool, dry_run: bool) -> AsyncIterator[Prepared]:
    """What has begun ends with the context. Raises ContentError, ModelError, StoreUnavailable."""
    index = await published(parts.store, anew=force and path is None and not dry_run)
    if index.lost:
        path = None  # an index of a part of the book would take the place of the whole one
    if dry_run or index.config is not None:
        survey = await look(parts.content_dir, parts.site, index, path)
        idle = not force and survey.current and _like(parts, parts.embedder, index.config).made(index.config)
        embedder, warnings = (parts.embedder, ()) if dry_run or idle else await _opened(parts)
        recipe = _recipe(parts, survey, embedder)
        if survey.scope is not None and index.config is not None and not recipe.made(index.config):
            survey, warnings = survey.unscoped(), (*warnings, _REBUILT)
        yield Prepared(survey, embedder, recipe, (*survey.notes, *warnings))
        return
    async with AsyncExitStack() as begun:
        opening = await begun.enter_async_context(_begun(_opened(parts)))
        survey = await look(parts.content_dir, parts.site, index, path)
        text = sample(survey)
        language = parts.language or detect_language(text)
        cutting = await begun.enter_async_context(_ahead(cut_all(cutter_for(parts, language), survey.scoped)))
        embedder, warnings = await opening
        if not legible(embedder.fingerprint, text):
            warnings = (*warnings, _ILLEGIBLE)
        recipe = replace(_like(parts, embedder, index.config), language=language)
        yield Prepared(survey, embedder, recipe, (*survey.notes, *warnings), cutting)


def cutter_for(parts: Ingestion, language: str | None) -> Cutter:
    return Cutter(parts.chunk_tokens, parts.overlap_tokens, parts.windows, language, average_words(parts.chunk_tokens))


async def _opened(parts: Ingestion) -> tuple[CachedEmbedder, tuple[Warned, ...]]:
    """An embedder that is ready, and a warning when it had to be the one without a model."""
    try:
        await parts.embedder.open()
    except ModelError as error:
        if parts.fallback is None:
            raise
        return parts.fallback, (("no_model", error.message),)
    return parts.embedder, ()


def _recipe(parts: Ingestion, survey: Survey, embedder: CachedEmbedder) -> Recipe:
    """The language is told from the text only when the text is another, or the index was made in another way."""
    recipe = _like(parts, embedder, survey.index.config)
    if recipe.made(survey.index.config) and (survey.current or survey.scope is not None):
        return recipe
    return replace(recipe, language=parts.language or detect_language(sample(survey)))


def _like(parts: Ingestion, embedder: CachedEmbedder, config: IndexConfig | None) -> Recipe:
    """The recipe, with what only opening and reading can tell taken from the index."""
    known = config.language if config else None
    return Recipe(
        embedder=embedder.fingerprint,
        dimensions=embedder.dimensions or (config.dimensions if config else 0),
        chunker=f"{CHUNKER_VERSION}:{parts.chunk_tokens}:{parts.overlap_tokens}",
        windows=WINDOWS_VERSION if parts.windows else "off",
        lexicon=LEXICON_VERSION,
        words=average_words(parts.chunk_tokens),
        language=parts.language or known,
        detected=parts.language is None,
    )


@asynccontextmanager
async def _begun(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """The work under way; it ends with the context."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def _ahead(items: AsyncGenerator[T, None]) -> AsyncIterator[AsyncGenerator[T, None]]:
    """The same items, of which some are made before anybody asks for them."""
    made: asyncio.Queue[T | None] = asyncio.Queue()
    room = asyncio.Semaphore(_AHEAD)

    async def make() -> None:
        async with aclosing(items):
            async for item in items:
                await room.acquire()
                made.put_nowait(item)

    async def taken(making: asyncio.Task[None]) -> AsyncGenerator[T, None]:
        while (item := await made.get()) is not None:
            room.release()
            yield item
        await making

    async with _begun(make()) as making:
        making.add_done_callback(lambda _: made.put_nowait(None))
        yield taken(making)
