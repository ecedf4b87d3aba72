"""Answers without a model: the book's own sentences, code and steps, each with its [n].

Units of the best three passages are scored by .4 BM25 + .6 cosine + the passage's score, each stretched over all
units.
"""

import math
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

import numpy as np

from rag.embedding.base import Embedder, Vectors
from rag.errors import ModelError
from rag.generation import excerpts
from rag.generation.base import AnswerRequest, StreamEnd, TextDelta
from rag.generation.excerpts import Candidate, Source
from rag.generation.messages import messages, named_answer, outline_answer
from rag.resilience import CircuitBreaker, Deadline
from rag.retrieval import overview
from rag.text.bm25 import Bm25Encoder, detect_language
from rag.text.scripts import legible
from rag.types import Exchange, Passage, Retrieval

PASSAGES = 3
EMBEDDED_UNITS = 3  # that are embedded anew for a question, 8 to 10 ms of CPU each; those that are kept cost nothing
MOST_UNITS = 24  # that are compared at all
KEPT_UNITS = 4096  # vectors of sentences: 6 MB of 384 dimensions
OPENING_UNITS = 3
BM25_WEIGHT, COSINE_WEIGHT, PASSAGE_WEIGHT = 0.4, 0.6, 1.0
SUBJECT_BONUS, LONGEST_SUBJECT = 0.2, 4
AVERAGE_WORDS = 16.0
LANGUAGE_SAMPLE = 4000
NEAREST = 3


class ExtractiveGenerator:
    """`embedder` may be one without a model. While its `breaker` is open it is not called, and the words decide alone.

    Embedding the sentences may take what is left of the request's deadline, and `least` seconds in any case.
    """

    name = "extractive"

    def __init__(self, embedder: Embedder, breaker: CircuitBreaker | None = None, *, least: float = 1.0) -> None:
        self._embedder = embedder
        self._breaker = breaker or CircuitBreaker("embeddings")
        self._least = least
        self._lexicons: dict[str | None, Bm25Encoder] = {}
        self._vectors: OrderedDict[str, Vectors] = OrderedDict()

    async def answer(self, request: AnswerRequest) -> AsyncGenerator[TextDelta | StreamEnd, None]:
        """Streams paragraph by paragraph."""
        retrieval, said = request.retrieval, messages(request.question)
        if not retrieval.grounded or not retrieval.passages:
            yield TextDelta(_not_found(retrieval, said.not_found, said.nothing))
            yield StreamEnd("stop", answered=False)
            return
        if retrieval.overview:
            parts: Iterable[str] = outline_answer(overview.parse(request.question), retrieval.passages, said)
        elif retrieval.named and (opened := named_answer(retrieval.passages, said, OPENING_UNITS)):
            parts = opened
        else:
            parts = [said.own_words, *await self._quotes(request)]
        for number, part in enumerate(parts):
            yield TextDelta(part if number == 0 else f"\n\n{part}")
        yield StreamEnd("stop", answered=True)

    async def rewrite(
        self,
        question: str,  # noqa: ARG002 - the seam's signature
        history: Sequence[Exchange],  # noqa: ARG002
        deadline: Deadline | None = None,  # noqa: ARG002
    ) -> str | None:
        return None

    async def close(self) -> None:
        return None

    async def _quotes(self, request: AnswerRequest) -> list[str]:
        sources = excerpts.read(request.retrieval.passages[:PASSAGES])
        scores = await self._scores(request.retrieval.query, sources, request.deadline or Deadline())
        picked = excerpts.select(request.question, sources, scores)
        ordered = _in_book_order([source for source in sources if source.passage.number in picked])
        quotes = [excerpts.render(source, picked[source.passage.number]) for source in ordered]
        return quotes or [excerpts.render(sources[0], range(len(sources[0].units)))]

    async def _scores(
        self, question: str, sources: Sequence[Source], deadline: Deadline
    ) -> dict[tuple[int, int], float]:
        """Each candidate's score by (passage number, place)."""
        found = excerpts.candidates(sources)
        texts = [candidate.unit.text for candidate in found]
        passage_scores = {source.passage.number: source.passage.score for source in sources}
        top = max(passage_scores.values(), default=0.0) or 1.0
        encoder = self._encoder(texts)
        bm25 = _share(_bm25(encoder, question, texts))
        asked = encoder.terms(question)
        base = [
            BM25_WEIGHT * words
            + PASSAGE_WEIGHT * passage_scores[candidate.number] / top
            + SUBJECT_BONUS * _is_subject(asked, encoder.terms(candidate.unit.text))
            for words, candidate in zip(bm25, found, strict=True)
        ]
        cosines = await self._cosines(question, found, base, deadline)
        return {
            (candidate.number, candidate.unit.place): score + COSINE_WEIGHT * cosine
            for candidate, score, cosine in zip(found, base, cosines, strict=True)
        }

    async def _cosines(
        self, question: str, found: Sequence[Candidate], base: Sequence[float], deadline: Deadline
    ) -> list[float]:
        """Stretched cosines of the most promising units; 0 for the others, and for all without a model."""
        cosines = [0.0] * len(found)
        best = sorted(range(len(found)), key=lambda index: -base[index])
        fresh = [index for index in best if found[index].unit.text not in self._vectors][:EMBEDDED_UNITS]
        likely = [index for index in best[:MOST_UNITS] if found[index].unit.text in self._vectors or index in fresh]
        if not likely or not self._embedder.dimensions or not self._legible(question, found):
            return cosines
        if not self._breaker.allow():
            return cosines
        try:
            async with Deadline(max(self._least, deadline.remaining)).timeout():
                vectors = await self._embed([found[index].unit.text for index in likely])
                asked = await self._embedder.embed_query(question)
        except ModelError as error:
            self._breaker.record_failure(error)
            return cosines
        except TimeoutError:
            self._breaker.suspect()  # two dozen sentences may take longer than a question
            return cosines
        for index, cosine in zip(likely, _stretched(vectors @ asked), strict=True):
            cosines[index] = cosine
        return cosines

    async def _embed(self, texts: Sequence[str]) -> Vectors:
        """The vectors of sentences, in one call for those that are not kept from earlier questions."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        fresh = await self._embedder.embed_documents(missing) if missing else ()
        found = {text: self._vectors[text] for text in texts if text in self._vectors}
        found |= dict(zip(missing, fresh, strict=True))
        for text in texts:
            self._vectors[text] = found[text]
            self._vectors.move_to_end(text)
        while len(self._vectors) > KEPT_UNITS:
            self._vectors.popitem(last=False)
        return np.stack([found[text] for text in texts])

    def _legible(self, question: str, found: Sequence[Candidate]) -> bool:
        sample = " ".join(candidate.unit.text for candidate in found[:10])
        return all(legible(self._embedder.fingerprint, text) for text in (question, sample))

    def _encoder(self, texts: Sequence[str]) -> Bm25Encoder:
        language = detect_language(" ".join(texts)[:LANGUAGE_SAMPLE])
        return self._lexicons.setdefault(language, Bm25Encoder(language, AVERAGE_WORDS))


def _bm25(encoder: Bm25Encoder, question: str, texts: Sequence[str]) -> list[float]:
    """BM25 of each text, with the idf of these texts alone."""
    vectors = [encoder.document(text) for text in texts]
    holders = Counter(index for vector in vectors for index in vector.indices)
    wanted = {
        term: math.log(1 + (len(texts) - holders[term] + 0.5) / (holders[term] + 0.5))
        for term in encoder.query(question).indices
    }
    return [
        sum(wanted.get(index, 0.0) * value for index, value in zip(vector.indices, vector.values, strict=True))
        for vector in vectors
    ]


def _is_subject(asked: Sequence[int], text: Sequence[int]) -> bool:
    """Whether a text begins with what is asked about: `ownership is …` to `what is ownership?`"""
    return 0 < len(asked) <= LONGEST_SUBJECT and set(asked) <= set(text[: len(asked) + 1])


def _share(values: Sequence[float]) -> list[float]:
    top = max(values, default=0.0)
    return [value / top if top > 0 else 0.0 for value in values]


def _stretched(values: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> list[float]:
    low, high = float(values.min()), float(values.max())
    return [(float(value) - low) / (high - low) if high > low else 0.0 for value in values]


def _in_book_order(sources: Sequence[Source]) -> list[Source]:
    """Pages best first, the passages of one page in its order."""
    first: Mapping[str, int] = {
        source.passage.chunk.path: source.passage.number for source in sorted(sources, key=_number, reverse=True)
    }
    return sorted(sources, key=lambda source: (first[source.passage.chunk.path], source.passage.chunk.ordinal))


def _number(source: Source) -> int:
    return source.passage.number


def _not_found(retrieval: Retrieval, not_found: str, nothing: str) -> str:
    """Names the nearest sections; without markers, for nothing is cited."""
    named = dict.fromkeys(_name(passage) for passage in retrieval.passages[:NEAREST])
    return "\n".join([f"{not_found}\n", *(f"- {name}" for name in named)]) if named else nothing


def _name(passage: Passage) -> str:
    return " › ".join(passage.heading_path[:1] + passage.heading_path[1:][-1:]) or passage.chunk.path
