"""The retrieval of a small real book: the real engine, the real local model, what comes back and how it is chosen."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rag.build import build_ingestion, build_retriever
from rag.embedding.base import Embedder, Vectors
from rag.embedding.cache import CachedEmbedder
from rag.embedding.local import LocalEmbedder, NoEmbedder
from rag.errors import IndexEmpty, IndexMismatch
from rag.ingest.ingest import ingest
from rag.markdown.plaintext import snippet
from rag.retrieval.retriever import Retriever
from rag.settings import Settings
from rag.store.edge import EdgeStore
from rag.types import Exchange, Page, Retrieval
from tests.support.books import LIGHTHOUSE, write_book

LONG = "\n\n".join(
    f"Rule {number} of the watch says that the keeper climbs the stairs and writes the weather of hour {number} into "
    f"the book, with the wind, the swell, the cloud and the visibility, before anything else is done in the tower."
    for number in range(1, 30)
)
PADDING = "The stores are counted on the first Monday of every month by two keepers, who sign the list together. " * 6
PAINT = "The tower is painted every second summer, with lime on the stone and with red lead on the iron rail. " * 6
ROPE = "Rope is bought in coils of two hundred metres and turned end for end every spring against the rot. " * 6
BOOK = LIGHTHOUSE | {
    "02-sea/02-watch.md": f"# The watch\n\n## Rules of the watch\n\n{LONG}\n",
    "02-sea/03-copy.md": LIGHTHOUSE["02-sea/01-fog.md"],
    "03-stores.md": f"# Stores\n\n{PADDING}\n\n## Paint\n\n{PAINT}\n\n## Rope\n\n{ROPE}\n",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lighthouse")
    asyncio.run(_ingested(Settings(content_dir=write_book(folder / "content", BOOK), data_dir=folder / "data")))
    return folder / "data"


async def _ingested(settings: Settings) -> None:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    async with aclosing(ingest(build_ingestion(settings))) as events:
        async for _ in events:
            pass


@asynccontextmanager
async def opened(data: Path) -> AsyncIterator[Retriever]:
    store, embedder, retriever = build_retriever(Settings(data_dir=data))
    await store.open()
    await embedder.open()
    try:
        yield retriever
    finally:
        await embedder.close()
        await store.close()


async def ask(data: Path, question: str, k: int = 5, **more: object) -> Retrieval:
    async with opened(data) as retriever:
        return await retriever.retrieve(question, k=k, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "form", ["{}", "{}?", "tell me about {}", "what does the book say about {}", "please explain {}"]
)
@pytest.mark.parametrize(
    ("name", "link"), [("rope", "/stores#rope"), ("the fresnel lens", "/lens"), ("trimming the wick", "/oil#trimming")]
)
async def test_what_is_named_opens_at_its_heading(data: Path, form: str, name: str, link: str) -> None:
    found = await ask(data, form.format(name))
    assert found.grounded
    assert link in found.passages[0].link


async def test_every_way_to_name_a_thing_finds_the_same(data: Path) -> None:
    bare, told = await ask(data, "oil and wick"), await ask(data, "could you tell me about oil and wick, please?")
    assert [passage.chunk.id for passage in bare.passages] == [passage.chunk.id for passage in told.passages]


async def test_the_best_passage_answers_and_links_to_its_heading(data: Path) -> None:
    found = await ask(data, "When is the rail painted with red lead?")
    assert found.grounded
    assert not found.overview
    assert found.passages[0].chunk.link.endswith("/stores#paint")
    assert "every second summer" in found.passages[0].text
    assert [passage.number for passage in found.passages] == list(range(1, len(found.passages) + 1))
    assert [passage.score for passage in found.passages] == sorted(
        (passage.score for passage in found.passages), reverse=True
    )


@pytest.mark.parametrize(
    ("question", "heading", "beginning"),
    [
        ("How often is the wick trimmed?", "Trimming the wick", "Trim the wick every four hours."),
        ("How much oil does a December night take?", "How much oil a night takes", "Month, Litres a night"),
        ("Which oil burns in the lamp of the northern tower?", "Oil and wick", "The lamp of the northern tower burns"),
    ],
)
async def test_a_section_inside_a_chunk_is_what_a_passage_leads_to(
    data: Path, question: str, heading: str, beginning: str
) -> None:
    passage = (await ask(data, question)).passages[0]
    assert passage.chunk.anchor is None
    assert len(passage.chunk.inner) == 2
    anchor = "" if heading == "Oil and wick" else f"#{heading.lower().replace(' ', '-')}"
    assert passage.link == f"{passage.chunk.url}{anchor}"
    assert passage.title == heading
    assert passage.breadcrumb.endswith(heading)
    assert snippet(passage.section_text).startswith(beginning)


async def test_a_table_of_contents_is_never_found(tmp_path: Path) -> None:
    files = {"SUMMARY.md": "# Summary\n\n- [The fog horn](ch01-01-horn.md)\n", "ch01-01-horn.md": "It is loud.\n"}
    settings = Settings(content_dir=write_book(tmp_path / "content", files), data_dir=tmp_path / "data")
    await _ingested(settings)
    for question in ("fog horn", "Summary", "What is this book about?"):
        found = await ask(settings.data_dir, question)
        assert [passage.chunk.path for passage in found.passages] == ["ch01-01-horn.md"], question
        assert found.passages[0].title == "The fog horn"


async def test_meaning_finds_what_no_word_shares(data: Path) -> None:
    found = await ask(data, "Whom do I inform when the siren is broken?")
    assert "telegraph the harbour master" in found.passages[0].text


@pytest.mark.parametrize(
    "question", ["Who won the football world cup?", "What is the price of a bus ticket in Lisbon?", "xyzzy", "?"]
)
async def test_what_is_not_in_the_book_is_not_grounded(data: Path, question: str) -> None:
    assert not (await ask(data, question)).grounded


async def test_few_good_passages_rather_than_many_bad_ones(data: Path) -> None:
    assert len((await ask(data, "How much oil does a December night take?", k=20)).passages) < 8
    assert len((await ask(data, "horn", k=1)).passages) == 1


async def test_the_same_text_is_shown_once(data: Path) -> None:
    found = await ask(data, "How long does the fog horn sound?", k=10)
    assert sum("five seconds every ninety" in passage.text for passage in found.passages) == 1
    async with opened(data) as retriever:
        every = (await retriever.rank("How long does the fog horn sound?")).scored
    assert sum("five seconds every ninety" in item.hit.chunk.text for item in every) == 2


async def test_neighbours_are_joined_and_keep_their_ids(data: Path) -> None:
    found = await ask(data, "What does the keeper write into the book at every hour of the watch?", k=3)
    watch = next(passage for passage in found.passages if passage.chunk.path.endswith("watch.md"))
    assert len(watch.chunk_ids) > 1
    assert watch.text.count("Rule 9 of the watch says") == 1


async def test_a_follow_up_takes_its_subject_from_the_history(data: Path) -> None:
    history = [Exchange("How do I clean the Fresnel lens?", "With spirit of wine [1].")]
    alone = await ask(data, "And why not with water?")
    continued = await ask(data, "And why not with water?", history=history)
    assert continued.passages[0].chunk.path == "01-lamp/02-lens.md"
    assert continued.grounded
    assert not alone.grounded or alone.passages[0].score <= continued.passages[0].score


async def test_history_does_not_make_an_off_topic_question_answerable(data: Path) -> None:
    history = [Exchange("How do I clean the Fresnel lens?", "With spirit of wine [1].")]
    question = "Which football team won the champions league final yesterday evening?"
    assert not (await ask(data, question, history=history)).grounded


async def test_cited_chunks_stay_candidates(data: Path) -> None:
    async with opened(data) as retriever:
        first = await retriever.rank("How much oil does a December night take?")
        cited = first.scored[0].hit.chunk.id
        history = [Exchange("Hello there, who are you?", "…", (cited, "00000000-0000-0000-0000-000000000000"))]
        again = await retriever.rank("zzz", history=history)
    assert cited in {item.hit.chunk.id for item in again.scored}


async def test_the_page_the_reader_is_on_is_preferred(data: Path) -> None:
    url = (await ask(data, "the fog horn")).passages[0].chunk.url
    other = "fog" if url.endswith("copy") else "copy"
    here = Page(f"https://example.org{url.rpartition('/')[0]}/{other}/?from=menu")
    assert (await ask(data, "the fog horn", page=here)).passages[0].chunk.url.endswith(other)


async def test_a_selection_says_what_this_is(data: Path) -> None:
    selection = "Compressed air comes from the red tank behind the stairs."
    found = await ask(data, "What does this mean?", selection=selection)
    assert "red tank" in found.passages[0].text


async def test_an_overview_is_answered_from_the_outline(data: Path) -> None:
    found = await ask(data, "What is this book about?")
    assert (found.overview, found.grounded) == (True, True)
    assert [passage.chunk.title for passage in found.passages] == [
        "The lighthouse keeper's handbook",
        "Oil and wick",
        "The Fresnel lens",
        "Fog",
        "The watch",
        "Fog",
        "Stores",
    ]
    assert all(passage.chunk.anchor is None for passage in found.passages)
    part = await ask(data, "What does part 2 cover?")
    assert {passage.chunk.path for passage in part.passages} == {
        "02-sea/01-fog.md",
        "02-sea/02-watch.md",
        "02-sea/03-copy.md",
    }


async def test_one_chapter_is_summarised_from_its_sections(data: Path) -> None:
    found = await ask(data, "Summarise the chapter on stores")
    assert found.overview
    assert {passage.chunk.path for passage in found.passages} == {"03-stores.md"}
    assert [passage.chunk.anchor for passage in found.passages] == [None, "paint", "rope"]


async def test_a_chapter_the_book_does_not_have_is_searched_for(data: Path) -> None:
    assert not (await ask(data, "Summarise chapter 99")).overview


async def test_a_question_in_another_language_finds_shared_terms(data: Path) -> None:
    found = await ask(data, "¿Cómo se limpia la lente de Fresnel?")
    assert found.passages[0].chunk.path == "01-lamp/02-lens.md"
    assert (await ask(data, "什么是 Fresnel lens？")).grounded
    assert (await ask(data, "量子力学是什么？")).passages == ()


async def test_without_a_model_the_words_decide(data: Path) -> None:
    store = EdgeStore(data)
    await store.open()
    try:
        retriever = Retriever(store, NoEmbedder())
        found = await retriever.retrieve("How often must the wick be trimmed?", k=3)
        off = await retriever.retrieve("Who won the football world cup?", k=3)
    finally:
        await store.close()
    assert "every four hours" in found.passages[0].text
    assert found.grounded
    assert not off.grounded


class Crowded:
    """The local model with its cosines squeezed between .8 and 1, as some hosted models have them."""

    fingerprint = "hosted"
    dimensions = 385

    def __init__(self) -> None:
        self._model = LocalEmbedder()

    async def open(self) -> None:
        await self._model.open()

    async def close(self) -> None:
        await self._model.close()

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        vectors = await self._model.embed_documents(texts) * 0.2**0.5
        return np.hstack([vectors, np.full((len(vectors), 1), 0.8**0.5, np.float32)]).astype(np.float32)

    async def embed_query(self, text: str) -> Vectors:
        vectors: Vectors = (await self.embed_documents([text]))[0]
        return vectors


async def test_another_models_cosines_are_calibrated_on_the_book(tmp_path: Path) -> None:
    embedder: Embedder = Crowded()
    settings = Settings(content_dir=write_book(tmp_path / "content", BOOK), data_dir=tmp_path / "data")
    settings.data_dir.mkdir()
    parts = build_ingestion(settings)
    async with aclosing(ingest(replace(parts, embedder=CachedEmbedder(embedder)))) as events:
        async for _ in events:
            pass
    store = EdgeStore(settings.data_dir)
    await store.open()
    await embedder.open()
    try:
        retriever = Retriever(store, embedder)
        kept = await retriever.retrieve("With what is the iron rail of the tower painted?", k=3)
        refused = await retriever.retrieve("Who won the football world cup?", k=3)
    finally:
        await embedder.close()
        await store.close()
    assert kept.grounded
    assert not refused.grounded


async def test_an_index_of_another_model_is_named(data: Path) -> None:
    store = EdgeStore(data)
    await store.open()
    try:
        with pytest.raises(IndexMismatch, match="another embedding model"):
            await Retriever(store, Crowded()).retrieve("horn", k=3)
    finally:
        await store.close()


async def test_no_index_is_said_in_words(tmp_path: Path) -> None:
    for question in ("horn", "What is this book about?"):
        with pytest.raises(IndexEmpty):
            await ask(tmp_path, question)
