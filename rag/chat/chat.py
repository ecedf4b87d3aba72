"""One question, answered: the stages in their order, and what is done when one of them fails.

    question -> standalone question -> retrieval -> prompt -> pieces -> Delta and Cited -> Done

A model that fails before the first Delta is replaced by the book's own words and a Notice; one that fails later ends
the chat with Failed. When the vectors cannot be had the words alone are searched. Every stage takes its share of the
question's one Deadline, an upstream whose breaker is open is not called, and closing a generator closes what is behind
it.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from uuid import uuid4

from rag.chat.answer_cache import SharedAnswers
from rag.chat.budget import TokenBudget
from rag.chat.citations import CitationStream
from rag.chat.prompt import CONTEXT_WINDOW, Prompt, compose, fitting
from rag.errors import (
    BudgetExhausted,
    IndexMismatch,
    InvalidQuestion,
    ModelError,
    ModelUnavailable,
    RagError,
    StoreUnavailable,
)
from rag.events import ChatEvent, Delta, Done, Failed, Notice, Retrieved, Searching, Started, Timings
from rag.generation.base import AnswerRequest, Generator, StreamEnd, TextDelta
from rag.openai_client import ModelRefused
from rag.resilience import CircuitBreaker, Deadline, Timeouts
from rag.retrieval.retriever import Retriever
from rag.text import tokens
from rag.types import Exchange, Page, Retrieval, Usage

_log = logging.getLogger(__name__)

QUESTION_CHARACTERS = 2_000
REWRITE_TOKENS = 800  # a flat price: what a rewriting really took is not told
ANSWER_TOKENS = 2_000
MOST_CHARACTERS = 60_000  # of an answer, whatever writes it
_SLICE = 2_000  # characters that are filtered between two turns of the event loop: some 10 ms at the worst
LEAST_RELEVANCE = 0.5
FAIR_SHARE = 0.2  # of the question's time: a model that stays silent for less has not failed

_NO_MODEL = "The language model is unavailable; these are the book's own words."
_NO_BUDGET = "Today's budget for the language model is used up; these are the book's own words."
_NO_VECTORS = "The search by meaning is unavailable; passages were found by their words alone."
_LENGTH = "The answer reached its greatest length and ends here."

Events = AsyncGenerator[ChatEvent, None]


@dataclass(frozen=True, slots=True)
class Chat:
    """The parts. `lexical` searches without vectors; `extractive` answers without a model, and may be `generator`.

    `model` and `embeddings` are the breakers of the two upstreams.
    """

    retriever: Retriever
    lexical: Retriever
    generator: Generator
    extractive: Generator
    budget: TokenBudget
    answers: SharedAnswers
    timeouts: Timeouts = field(default_factory=Timeouts)
    model: CircuitBreaker = field(default_factory=lambda: CircuitBreaker("chat"))
    embeddings: CircuitBreaker = field(default_factory=lambda: CircuitBreaker("embeddings"))


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A question and what came with it. `outline` holds the titles of the chapters of the book called `title`.

    `vectors` is False when the index has vectors of another model. `key` names the answer for sharing; None: it
    depends on more than the question and is this reader's own. The first word is wanted before `deadline`.
    """

    question: str
    title: str
    history: tuple[Exchange, ...] = ()
    selection: str | None = None
    page: Page | None = None
    k: int = 5
    context_window: int = CONTEXT_WINDOW
    outline: Sequence[str] = ()
    vectors: bool = True
    key: str | None = None
    deadline: Deadline = field(default_factory=Deadline)


def valid_question(question: str) -> str:
    """The question without white space around it. Raises InvalidQuestion."""
    trimmed = question.replace("\0", "").strip()
    if not trimmed:
        raise InvalidQuestion("Please ask a question.")
    if len(trimmed) > QUESTION_CHARACTERS:
        raise InvalidQuestion(f"The question is too long: at most {QUESTION_CHARACTERS:,} characters.")
    return trimmed


async def answer(chat: Chat, chat_request: ChatRequest) -> Events:
    """Started, then the answer's own events, shared where that is possible. Ends with Done or Failed."""
    reader = _ReaderMetadata()
    yield Started(reader.message_id)

    def write() -> Events:
        reader.wrote = True
        return _stages(chat, chat_request)

    source = chat.answers.stream(chat_request.key, write) if chat_request.key is not None else write()
    async with aclosing(source) as events:
        async for event in events:
            yield reader.on(event)


class _ReaderMetadata:
    """Whose answer an event belongs to, and how long this reader has waited for it."""

    def __init__(self) -> None:
        self.message_id = str(uuid4())
        self.wrote = False
        self._began = time.perf_counter()
        self._retrieved = 0.0
        self._first: float | None = None

    def on(self, event: ChatEvent) -> ChatEvent:
        match event:
            case Retrieved():
                self._retrieved = self._elapsed()
            case Delta() if self._first is None:
                self._first = self._elapsed()
            case Done():
                timings = Timings(self._retrieved, self._first, self._elapsed())
                usage = event.usage if self.wrote else Usage()
                return replace(event, message_id=self.message_id, timings=timings, usage=usage, cached=not self.wrote)
            case _:
                pass
        return event

    def _elapsed(self) -> float:
        return (time.perf_counter() - self._began) * 1e3


async def _stages(chat: Chat, chat_request: ChatRequest) -> Events:
    """From Searching to the terminal event; ids and times are the reader's own and come later."""
    try:
        rewritten = await _standalone(chat, chat_request)
        yield Searching(rewritten or chat_request.question)
        retrieval, notice = await _retrieve(chat, chat_request, rewritten)
        prompt = _prompt(chat, chat_request, retrieval)
        retrieval = replace(retrieval, passages=prompt.passages)
        yield Retrieved(retrieval.grounded, retrieval.passages)
        if notice is not None:
            yield notice
        request = AnswerRequest(
            question=rewritten or chat_request.question,
            retrieval=retrieval,
            history=chat_request.history,
            selection=chat_request.selection,
            page=chat_request.page,
            messages=prompt.messages,
            deadline=chat_request.deadline,
        )
        async with aclosing(_generate(chat, request, prompt.tokens)) as events:
            async for event in events:
                yield event
    except RagError as error:
        _log.warning("the chat failed: %s", error.message)
        yield Failed(error.code, error.message, error.retryable, error.retry_after)


async def _standalone(chat: Chat, chat_request: ChatRequest) -> str | None:
    """A follow-up as a question of its own; None where there is no need or no way, and history is weighed instead."""
    if not chat_request.history or chat.generator is chat.extractive or not chat.model.allow():
        return None
    try:
        await chat.budget.reserve(REWRITE_TOKENS)
    except BudgetExhausted as error:
        _log.info("the follow-up was not rewritten: %s", error)
        return None
    used = 0
    try:
        rewritten = await chat.generator.rewrite(chat_request.question, chat_request.history, chat_request.deadline)
        used = REWRITE_TOKENS
    except ModelError as error:
        _log.info("the follow-up was not rewritten: %s", error)
        chat.model.suspect()  # its time is short: whether the model is gone, the answer's own call will show
        return None
    finally:
        await chat.budget.settle(REWRITE_TOKENS, used)
    return rewritten.strip()[:QUESTION_CHARACTERS] or None if rewritten else None


async def search(chat: Chat, chat_request: ChatRequest) -> Retrieval:
    """The retrieval alone, by words where the vectors fail. Raises StoreUnavailable, IndexEmpty, IndexMismatch."""
    retrieval, _ = await _retrieve(chat, chat_request, None)
    return retrieval


async def _retrieve(chat: Chat, chat_request: ChatRequest, rewritten: str | None) -> tuple[Retrieval, Notice | None]:
    """Searches by words and meaning, by words alone when that fails. Raises StoreUnavailable."""
    if chat_request.vectors and chat.embeddings.allow():
        try:
            return await _search(chat.retriever, chat, chat_request, rewritten), None
        except (ModelError, IndexMismatch) as error:
            _record(chat.embeddings, error)
            _log.warning("searching without vectors: %s", error)
    return await _search(chat.lexical, chat, chat_request, rewritten), Notice("degraded", _NO_VECTORS)


async def _search(retriever: Retriever, chat: Chat, chat_request: ChatRequest, rewritten: str | None) -> Retrieval:
    try:
        async with Deadline(chat.timeouts.search).timeout():
            return await retriever.retrieve(
                rewritten or chat_request.question,
                k=chat_request.k,
                history=() if rewritten else chat_request.history,
                page=chat_request.page,
                selection=chat_request.selection,
                embed=chat_request.deadline.share(chat.timeouts.embed) if chat.embeddings.probe else None,
            )
    except TimeoutError:
        raise StoreUnavailable("The index did not answer in time.") from None


def _record(breaker: CircuitBreaker, error: RagError) -> None:
    """A refused request may be the question's own fault: whether it is, the probe's innocent one shows."""
    if isinstance(error, ModelRefused):
        breaker.suspect()
    else:
        breaker.record_failure(error)


def _prompt(chat: Chat, chat_request: ChatRequest, retrieval: Retrieval) -> Prompt:
    """What a model is asked. Without one nobody reads it, and the tokenizer's table, 28 MB, stays unread as well."""
    if chat.generator is chat.extractive:
        return Prompt((), fitting(retrieval.passages, chat_request.context_window), 0)
    return compose(
        chat_request.question,
        retrieval.passages,
        title=chat_request.title,
        history=chat_request.history,
        selection=chat_request.selection,
        page=chat_request.page,
        outline=chat_request.outline,
        context_window=chat_request.context_window,
    )


async def _generate(chat: Chat, request: AnswerRequest, prompt_tokens: int) -> Events:
    """The answer by the model; by the book's own words when there is none, none is needed, or it fails at once."""
    if chat.generator is not chat.extractive and _worth_asking(request):
        assembler, message = _AnswerAssembler(request), _NO_MODEL
        hasty = request.deadline is not None and request.deadline.remaining < FAIR_SHARE * chat.timeouts.question
        try:
            _require_closed(chat.model)
            async with (
                aclosing(_metered(chat, request, prompt_tokens)) as items,
                aclosing(assembler.events(items)) as events,
            ):
                async for event in events:
                    yield event
            return
        except BudgetExhausted as error:
            _log.warning("answering without the model: %s", error.message)
            message = _NO_BUDGET
        except ModelError as error:
            _judge(chat.model, error, hasty=hasty)
            if assembler.begun:
                raise
            _log.warning("answering without the model: %s", error.message)
        yield Notice("degraded", message)
    async with (
        aclosing(chat.extractive.answer(request)) as items,
        aclosing(_AnswerAssembler(request).events(items)) as events,
    ):
        async for event in events:
            yield event


def _require_closed(breaker: CircuitBreaker) -> None:
    if not breaker.allow():
        raise ModelUnavailable("The language model failed a moment ago, and has not answered since.")


def _judge(breaker: CircuitBreaker, error: ModelError, *, hasty: bool) -> None:
    """A model that was left too little time, by the stages before it, has not failed yet."""
    if hasty and isinstance(error, ModelUnavailable):
        breaker.suspect()
    else:
        _record(breaker, error)


def _worth_asking(request: AnswerRequest) -> bool:
    """A model reads better than any threshold, so it is asked unless the question has nothing to do with the book."""
    found = request.retrieval
    if request.selection and request.selection.strip():
        return True
    return bool(found.passages) and (found.grounded or found.relevance >= LEAST_RELEVANCE)


class _AnswerAssembler:
    """An answer as it is written. `begun` is True once the reader has seen some of it."""

    def __init__(self, request: AnswerRequest) -> None:
        self._passages = request.retrieval.passages
        self.begun = False

    async def events(self, items: AsyncGenerator[TextDelta | StreamEnd, None]) -> Events:
        """Deltas, citations and Done. Raises ModelError for an answer that is empty or was cut."""
        citing = CitationStream(self._passages)
        async for item in _within_bounds(items):
            if isinstance(item, StreamEnd):
                for event in citing.finish():
                    self.begun = True
                    yield event
                if not citing.text.strip():
                    raise ModelUnavailable("The language model gave an empty answer.")
                if item.finish_reason == "length":
                    yield Notice("length", _LENGTH)
                yield _done(citing, item)
                return
            if not item.answered:
                citing.stop_citing()
            for event in citing.feed(item.text):
                self.begun = True
                yield event
        raise ModelUnavailable("The language model broke off in the middle of its answer.")


async def _within_bounds(
    items: AsyncGenerator[TextDelta | StreamEnd, None],
) -> AsyncGenerator[TextDelta | StreamEnd, None]:
    """The same items, a large piece in slices with turns of the event loop between them; what is too long is ended."""
    left, answered = MOST_CHARACTERS, True
    async for item in items:
        if isinstance(item, StreamEnd):
            yield item
            return
        answered = item.answered
        text = item.text[:left]
        for start in range(0, len(text), _SLICE):
            if start:
                await asyncio.sleep(0)
            yield TextDelta(text[start : start + _SLICE], answered)
        left -= len(text)
        if len(text) < len(item.text):
            yield StreamEnd("length", answered)
            return


def _done(citing: CitationStream, ended: StreamEnd) -> Done:
    """An answer that has cited something is one, whatever it says of the rest."""
    return Done(
        message_id="",
        answer=citing.answer,
        answered=ended.answered or bool(citing.citations),
        finish_reason=ended.finish_reason,
        citations=citing.citations,
        usage=ended.usage,
        timings=Timings(0.0, None, 0.0),
    )


async def _metered(
    chat: Chat, request: AnswerRequest, prompt_tokens: int
) -> AsyncGenerator[TextDelta | StreamEnd, None]:
    """The model's pieces, within the budget. Raises BudgetExhausted before the model is asked."""
    reserved = prompt_tokens + ANSWER_TOKENS
    await chat.budget.reserve(reserved)
    used, written = 0, list[str]()
    try:
        async with aclosing(chat.generator.answer(request)) as items:
            async for item in items:
                if isinstance(item, StreamEnd):
                    used = item.usage.prompt_tokens + item.usage.completion_tokens
                else:
                    written.append(item.text)
                yield item
    finally:
        await chat.budget.settle(reserved, used or (prompt_tokens + tokens.count("".join(written)) if written else 0))
