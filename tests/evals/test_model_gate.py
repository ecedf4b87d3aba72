"""Which questions reach the model when its embeddings are poor: a bag of hashed words, served by a loopback server."""

from contextlib import aclosing
from pathlib import Path

import pytest
from pydantic import SecretStr

from rag.build import build_ingestion, build_retriever
from rag.chat.chat import LEAST_RELEVANCE
from rag.evaluation.questions import Question, load
from rag.ingest.ingest import ingest
from rag.retrieval.retriever import Retriever
from rag.settings import Settings
from tests.support.openai_server import OpenAIServer

GOLDEN = Path(__file__).parent / "sample_book"
FOREIGN = ("rustbook", "chunkeval", "xquad_en")
EACH = 60
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


async def withheld(retriever: Retriever, questions: list[Question]) -> float:
    """The share of the questions that the model is not asked."""
    kept_back = 0
    for question in questions:
        ranked = await retriever.rank(question.question, history=question.history)
        kept_back += not (ranked.grounded or ranked.relevance >= LEAST_RELEVANCE)
    return kept_back / len(questions)


async def test_what_the_book_holds_reaches_the_model_and_what_is_foreign_does_not(
    shared: Path, sample_book: Path, tmp_path: Path
) -> None:
    with OpenAIServer() as server:
        settings = Settings(
            content_dir=sample_book,
            data_dir=tmp_path,
            embedder="openai",
            generator="extractive",
            openai_base_url=server.base_url,
            openai_api_key=SecretStr(server.key),
        )
        async with aclosing(ingest(build_ingestion(settings))) as events:
            async for _ in events:
                pass
        store, embedder, retriever = build_retriever(settings)
        await store.open()
        await embedder.open()
        try:
            golden = [question for question in load(GOLDEN) if question.answerable]
            assert await withheld(retriever, golden) <= 0.02
            sets = [load(shared / "evals" / name) for name in FOREIGN]
            spread = [questions[:: max(1, len(questions) // EACH)] for questions in sets]
            shares = [await withheld(retriever, questions) for questions in spread]
            assert sum(shares) / len(shares) >= 0.85, shares
        finally:
            await embedder.close()
            await store.close()
