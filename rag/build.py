"""Settings -> the parts, put together. The only file that knows which parts there are; nothing is opened here.

What only some settings or commands need is imported where it is needed: it takes longer to load than a question takes
to answer.
"""

import hashlib
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from rag.chat.answer_cache import AnswerStore, MemoryAnswers, SharedAnswers
from rag.chat.budget import DailyBudget, TokenBudget, Unlimited
from rag.chat.chat import Chat
from rag.chat.sessions import MemorySessions, Sessions
from rag.corpus.routes import Site
from rag.embedding.base import Embedder
from rag.embedding.cache import CachedEmbedder
from rag.embedding.local import LocalEmbedder, NoEmbedder
from rag.generation.extractive import ExtractiveGenerator
from rag.health import Upstreams
from rag.ingest.job_snapshot import JobCoordinator
from rag.ingest.plan import EMBEDDING_PRICES
from rag.pipeline import Book, Pipeline, Worker
from rag.resilience import PROBE_SECONDS, CircuitBreaker, Timeouts
from rag.retrieval.retriever import Retriever
from rag.settings import Settings
from rag.store.base import IndexConfig, VectorStore, WriterFactory
from rag.store.edge import EdgeStore, edge_writer_for

if TYPE_CHECKING:
    from rag.generation.openai import OpenAIGenerator
    from rag.ingest.fingerprint import IndexFingerprint
    from rag.ingest.prepare import Ingestion
    from rag.openai_client import OpenAIClient
    from rag.redis.connection import RedisConnection

READ_SECONDS = 3.5  # for one call to a Qdrant server that a reader waits for, repetitions included
INGEST_COMMAND = (sys.executable, "-m", "rag", "ingest", "--events")


def build_pipeline(settings: Settings, *, timeouts: Timeouts | None = None) -> Pipeline:
    """The engine that answers; `timeouts` bounds what a reader waits for."""
    timeouts = timeouts or Timeouts(question=settings.answer_timeout)
    probe_seconds = max(PROBE_SECONDS, timeouts.question)
    client = _openai_client(settings)
    embedder = _embedder(settings, client)
    generator = _generator(settings, client, timeouts)
    upstreams = Upstreams(
        chat=CircuitBreaker("chat", generator.probe if generator else None, probe_seconds=probe_seconds),
        embeddings=CircuitBreaker("embeddings", getattr(embedder, "probe", None)),
        store=CircuitBreaker("store"),
        check=client.check if client else None,
    )
    store, _ = _store(settings, page_warmer=True, breaker=upstreams.store)
    cached = CachedEmbedder(embedder)
    extractive = ExtractiveGenerator(cached, upstreams.embeddings, least=timeouts.fallback)
    shared = _shared(settings, "answers, token budget and ingests")
    chat = Chat(
        retriever=Retriever(store, cached),
        lexical=Retriever(store, NoEmbedder()),
        generator=generator or extractive,
        extractive=extractive,
        budget=_budget(settings, shared),
        answers=SharedAnswers(_answers(shared)),
        timeouts=timeouts,
        model=upstreams.chat,
        embeddings=upstreams.embeddings,
    )
    return Pipeline(
        book=Book(settings.content_dir, _site(settings), settings.book_title),
        store=store,
        embedder=cached,
        chat=chat,
        worker=Worker(INGEST_COMMAND, worker_environment(settings)),
        data_dir=settings.data_dir,
        upstreams=upstreams,
        matches_settings=_matches_settings(settings, cached),
        top_k=settings.top_k,
        coordinator=_coordinator(settings, shared),
    )


def build_retriever(settings: Settings) -> tuple[VectorStore, Embedder, Retriever]:
    """The retrieval alone, for the command line: open and close the first two."""
    store, _ = _store(settings)
    embedder = CachedEmbedder(_embedder(settings, _openai_client(settings)))
    return store, embedder, Retriever(store, embedder)


def build_ingestion(settings: Settings) -> "Ingestion":
    """The parts of an ingest: for the worker and the command line."""
    from rag.ingest.prepare import Ingestion

    store, writer_for = _store(settings)
    paid = settings.uses_openai_embeddings and settings.openai_base_url is None
    return Ingestion(
        content_dir=settings.content_dir,
        data_dir=settings.data_dir,
        site=_site(settings),
        store=store,
        writer_for=writer_for,
        embedder=CachedEmbedder(_embedder(settings, _openai_client(settings)), settings.data_dir / "vectors.sqlite"),
        fallback=None if settings.uses_openai_embeddings else CachedEmbedder(NoEmbedder()),
        price=EMBEDDING_PRICES.get(settings.openai_embedding_model) if paid else _free(settings),
        chunk_tokens=settings.chunk_tokens,
        overlap_tokens=settings.chunk_overlap_tokens,
        windows=settings.embed_windows,
        language=settings.book_language,
        in_flight=8 if settings.uses_openai_embeddings else 2,  # 8: its four calls, and as many looked up or kept
    )


def worker_environment(settings: Settings) -> dict[str, str]:
    """The application's own environment, with its settings as they are and its code where it is."""
    changed = {name.upper(): _as_variable(getattr(settings, name)) for name in settings.model_fields_set}
    paths = [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, **changed, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _as_variable(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(_as_variable, value))
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return "" if value is None else str(value)


def build_sessions(settings: Settings) -> Sessions:
    """Where the sessions of readers are kept."""
    exchanges, ttl = settings.max_context_messages, settings.session_ttl_minutes * 60.0
    shared = _shared(settings, "conversations")
    if shared is None:
        return MemorySessions(exchanges=exchanges, ttl=ttl)
    from rag.redis.sessions import RedisSessions

    return RedisSessions(shared, exchanges=exchanges, ttl=ttl)


def _shared(settings: Settings, what: str) -> "RedisConnection | None":
    """Redis, where several processes share what they must."""
    if settings.redis_url is None:
        return None
    from rag.redis.connection import RedisConnection

    return RedisConnection(settings.redis_url.get_secret_value(), what)


def _answers(shared: "RedisConnection | None") -> AnswerStore:
    if shared is None:
        return MemoryAnswers()
    from rag.redis.answers import RedisAnswers

    return RedisAnswers(shared)


def _coordinator(settings: Settings, shared: "RedisConnection | None") -> JobCoordinator | None:
    if shared is None:
        return None
    from rag.redis.jobs import RedisJobCoordinator

    here = f"{socket.gethostname()} {settings.data_dir.resolve()}"
    index = f"{settings.qdrant_url} {settings.qdrant_collection}" if settings.qdrant_url else here
    return RedisJobCoordinator(shared, hashlib.sha256(index.encode()).hexdigest()[:16])


def _store(
    settings: Settings, *, page_warmer: bool = False, breaker: CircuitBreaker | None = None
) -> tuple[VectorStore, WriterFactory]:
    """`breaker` keeps readers from a server that does not answer."""
    if settings.qdrant_url is None:
        return EdgeStore(settings.data_dir, page_warmer=page_warmer), edge_writer_for(settings.data_dir)
    from rag.store.server import ServerStore
    from rag.store.server_writer import server_writer_for

    key = settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None
    place = (settings.qdrant_url, key, settings.qdrant_collection)
    shards, replicas = settings.qdrant_shards, settings.qdrant_replicas
    timeout = 5.0 if breaker is None else READ_SECONDS
    store = ServerStore(*place, timeout=timeout, breaker=breaker)
    return store, server_writer_for(*place, shards=shards, replicas=replicas)


def _openai_client(settings: Settings) -> "OpenAIClient | None":
    """One client for everything that asks the model server; whoever closes it first closes it for all."""
    if not (settings.uses_openai_chat or settings.uses_openai_embeddings):
        return None
    from rag.openai_client import OpenAIClient

    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else None
    return OpenAIClient(api_key=key, base_url=settings.openai_base_url)


def _embedder(settings: Settings, client: "OpenAIClient | None") -> Embedder:
    if client is None or not settings.uses_openai_embeddings:
        return LocalEmbedder()
    from rag.embedding.openai import OpenAIEmbedder

    return OpenAIEmbedder(
        client, model=settings.openai_embedding_model, dimensions=settings.openai_embedding_dimensions
    )


def _generator(settings: Settings, client: "OpenAIClient | None", timeouts: Timeouts) -> "OpenAIGenerator | None":
    if client is None or not settings.uses_openai_chat:
        return None
    from rag.generation.openai import OpenAIGenerator

    return OpenAIGenerator(client, model=settings.openai_chat_model, timeouts=timeouts)


def _budget(settings: Settings, shared: "RedisConnection | None") -> TokenBudget:
    if settings.daily_token_budget is None:
        return Unlimited()
    if shared is None:
        return DailyBudget(settings.daily_token_budget)
    from rag.redis.budget import RedisBudget

    return RedisBudget(shared, settings.daily_token_budget)


def _site(settings: Settings) -> Site:
    return Site(
        url=settings.book_url,
        route_base=settings.book_route_base,
        trailing_slash=settings.book_trailing_slash,
        flavor=settings.book_flavor,
    )


def _free(settings: Settings) -> float | None:
    """The local model costs nothing; what somebody's own server costs, nobody here knows."""
    return None if settings.uses_openai_embeddings else 0.0


def _matches_settings(settings: Settings, embedder: Embedder) -> Callable[[IndexConfig], bool]:
    """Whether an index was made with today's settings, as far as they can tell without reading the book."""

    def matches_settings(config: IndexConfig) -> bool:
        names = [embedder.fingerprint, *([] if settings.uses_openai_embeddings else [NoEmbedder().fingerprint])]
        return any(_fingerprint(settings, name, config).matches(config) for name in names)

    return matches_settings


def _fingerprint(settings: Settings, embedder: str, config: IndexConfig) -> "IndexFingerprint":
    from rag.ingest.fingerprint import IndexFingerprint, average_words
    from rag.markdown.chunking import CHUNKER_VERSION
    from rag.markdown.windows import WINDOWS_VERSION
    from rag.text.bm25 import BM25_VERSION

    return IndexFingerprint(
        embedder=embedder,
        dimensions=config.dimensions,
        chunker=f"{CHUNKER_VERSION}:{settings.chunk_tokens}:{settings.chunk_overlap_tokens}",
        windows=WINDOWS_VERSION if settings.embed_windows else "off",
        encoder=BM25_VERSION,
        words=average_words(settings.chunk_tokens),
        language=settings.book_language or config.language,
        detected=settings.book_language is None,
    )
