"""The chat tab: a conversation that streams, can be stopped, retried, edited and taken up again after a restart.

The conversation lives in the reader's browser (`turns.Chat`); the server draws it and forgets it. Which earlier
conversations there are is the browser's business alone (web/static/ui.js).
"""

import hashlib
import html
from collections.abc import AsyncGenerator
from typing import Any

import gradio as gr

from rag.errors import RagError
from rag.settings import Settings
from web.chat_service import Caller
from web.problems import Problem, problem_of, sentence
from web.services import Services
from web.ui.banner import banner, header, welcome
from web.ui.conversation import MOST_TURNS, ActiveAnswers, Chat, Turn, feedback_of, messages_of, read_chat, turn_at
from web.ui.markdown import DELIMITERS

CONCURRENCY = 8
BANNER_SECONDS = 2.0
Update = dict[Any, Any]

PRIVATE: dict[str, Any] = {"api_visibility": "private"}
AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden", **PRIVATE}
ANSWERING: dict[str, Any] = {"concurrency_limit": CONCURRENCY, "concurrency_id": "chat", "show_progress": "hidden"}


class ChatTab:
    """Built inside a gr.Tab; `connect` wires it once the page around it is there."""

    def __init__(self, services: Services, page_header: gr.HTML) -> None:
        self._services, self.header = services, page_header
        self._answering = ActiveAnswers(services.chat_service)
        self.notes = gr.HTML(elem_classes="notes")
        self.chat = kept_in_browser(services.settings, "open", None)
        self.shelf = kept_in_browser(services.settings, "all", [])
        with gr.Row(elem_classes="tools"):
            self.history = gr.HTML(elem_id="history", js_on_load="askTheBook.listen(element, trigger)")
            self.fresh = gr.Button("New chat", size="sm", scale=0, min_width=110)
        self.chatbot = _chatbot()
        self.box = gr.Textbox(
            label="Your question",
            show_label=False,
            placeholder="Ask the book…",
            lines=1,
            max_lines=6,
            max_length=2000,
            submit_btn=True,
            stop_btn=False,
            autofocus=True,
            elem_id="question",
        )
        self.clock = gr.Timer(BANNER_SECONDS, active=False)

    def connect(self, demo: gr.Blocks) -> None:
        answer_to = [self.chatbot, self.box, self.chat]
        asked = {**ANSWERING, **PRIVATE, "outputs": answer_to}
        for answered in (
            self.box.submit(self.ask, [self.box, self.chat], **asked),
            self.chatbot.example_select(self.ask_example, [self.chat], **asked),
            self.chatbot.retry(self.retry, [self.chat], **asked),
            self.chatbot.edit(self.edit, [self.chat], **asked),
        ):
            answered.then(self.watch, None, [self.notes, self.clock], **AT_ONCE)
        self.chatbot.undo(self.undo, [self.chat], answer_to, **AT_ONCE)
        self.chatbot.clear(self.begin, None, answer_to, **AT_ONCE)
        rated = {"show_progress": "hidden", "trigger_mode": "multiple", **PRIVATE}  # a mind changed at once is heard
        self.chatbot.like(self.like, [self.chat], [self.chat], **rated)
        self.box.stop(self.stop, None, None, **AT_ONCE)
        self.fresh.click(self.begin, None, answer_to, **AT_ONCE)
        self._connect_history(demo, answer_to)
        state = [self.header, self.notes, self.chatbot, self.clock]
        demo.load(self.refresh, None, state, **AT_ONCE).then(None, js="() => askTheBook.titled()", **PRIVATE)
        self.clock.tick(self.refresh, None, state, **AT_ONCE)

    def _connect_history(self, demo: gr.Blocks, answer_to: list[Any]) -> None:
        """Only the conversation that is opened travels to the server, to be drawn."""
        demo.load(self.open, [self.chat], answer_to, **AT_ONCE)
        self.history.select(self.open, [self.shelf], answer_to, js="(shelf) => askTheBook.chosen(shelf)", **AT_ONCE)
        self.history.delete(None, [self.shelf], [self.shelf], js="(shelf) => askTheBook.without(shelf)", **PRIVATE)
        self.chat.change(None, [self.shelf, self.chat], [self.shelf], js="askTheBook.shelve", **PRIVATE)
        for changed in (self.shelf.change, demo.load):
            changed(None, [self.shelf, self.chat], [self.history], js="askTheBook.list", **PRIVATE)

    # What the reader does

    async def ask(self, question: str, kept: Any, request: gr.Request) -> AsyncGenerator[Update, None]:  # noqa: ANN401
        async for update in self._converse(read_chat(kept), question, request):
            yield update

    async def ask_example(self, kept: Any, event: gr.SelectData, request: gr.Request) -> AsyncGenerator[Update, None]:  # noqa: ANN401
        async for update in self._converse(read_chat(kept), str(event.value["text"]), request):
            yield update

    async def retry(self, kept: Any, event: gr.RetryData, request: gr.Request) -> AsyncGenerator[Update, None]:  # noqa: ANN401
        chat = read_chat(kept)
        place = turn_at(chat, _index(event))
        if place >= 0:
            async for update in self._converse(chat.before(place), chat.turns[place].question, request, fresh=True):
                yield update

    async def edit(self, kept: Any, event: gr.EditData, request: gr.Request) -> AsyncGenerator[Update, None]:  # noqa: ANN401
        chat = read_chat(kept)
        question = html.unescape(str(event.value))
        async for update in self._converse(chat.before(turn_at(chat, _index(event))), question, request):
            yield update

    def undo(self, kept: Any) -> Update:  # noqa: ANN401
        chat = read_chat(kept)
        question = chat.turns[-1].question if chat.turns else ""
        return self._drawn(chat.before(len(chat.turns) - 1)) | {self.box: gr.Textbox(value=question)}

    def begin(self) -> Update:
        return self._drawn(Chat())

    def open(self, kept: Any) -> Update:  # noqa: ANN401
        """An earlier conversation; an answer that a reload cut short is shown as far as it came."""
        chat = read_chat(kept)
        turns = [turn if turn.ended else turn.model_copy(update={"ended": "stopped"}) for turn in chat.turns]
        return self._drawn(chat.model_copy(update={"turns": turns}))

    async def like(self, kept: Any, event: gr.LikeData, request: gr.Request) -> Any:  # noqa: ANN401
        """Counted for an answer of ours, and remembered with the conversation; what was said is not kept."""
        chat = read_chat(kept)
        place = turn_at(chat, _index(event))
        if place < 0:
            return gr.skip()
        liked = {"True": True, "Like": True, "False": False, "Dislike": False}.get(str(event.liked))
        turns, turn = list(chat.turns), chat.turns[place]
        try:
            await self._services.ratings.change(_client(request), turn.message_id, liked, turn.question)
        except Problem as refusal:
            raise gr.Error(sentence(refusal), print_exception=False) from None
        turns[place] = turn.model_copy(update={"liked": liked})
        return chat.model_copy(update={"turns": turns}).model_dump()

    def stop(self, request: gr.Request) -> None:
        self._answering.stop(request.session_hash or "")

    async def refresh(self) -> Update:
        """The book's name and state; looked at again until all is well."""
        pipeline = self._services.pipeline
        status = await pipeline.status()
        ready, well = status.documents > 0, status.index_state == "ready" and status.health == "healthy"
        examples: Any = [{"text": question} for question in await pipeline.examples()] if ready else []
        return {
            self.header: header(pipeline.title),
            self.notes: banner(status, pipeline.jobs.running()),
            self.chatbot: gr.Chatbot(placeholder=welcome(pipeline.title, ready), examples=examples),
            self.clock: gr.Timer(active=not well),
        }

    async def watch(self) -> Update:
        """What is down, said after every answer; from then on `refresh` is repeated until all is well."""
        pipeline = self._services.pipeline
        status = await pipeline.status()
        well = status.index_state == "ready" and status.health == "healthy"
        return {self.notes: banner(status, pipeline.jobs.running()), self.clock: gr.Timer(active=not well)}

    # Answering

    async def _converse(
        self, chat: Chat, question: str, request: gr.Request, *, fresh: bool = False
    ) -> AsyncGenerator[Update, None]:
        session = request.session_hash or ""
        if not question.strip():
            return
        if self._answering.busy(session):
            gr.Info("An answer is being written. Stop it first, or wait for its end.")
            return
        earlier = messages_of(Chat(turns=chat.turns[1 - MOST_TURNS :]))  # drawn once, not for every piece of the answer
        yield self._drawn(chat.with_turn(Turn(question=question[:2000]))) | {self.box: writing("")}
        history = chat.exchanges(self._services.settings.max_context_messages)
        try:
            async for turn in self._answering.answer(session, _client(request), question, history, fresh=fresh):
                if turn.ended:
                    yield self._drawn(chat.with_turn(turn))
                else:
                    yield {self.chatbot: [*earlier, *messages_of(Chat(turns=[turn]))]}
        except (Problem, RagError) as refusal:
            yield self._drawn(chat) | {self.box: reading(question)}
            raise gr.Error(sentence(problem_of(refusal)), print_exception=False) from None

    def _drawn(self, chat: Chat) -> Update:
        chat = chat.fitting()
        messages: Any = messages_of(chat)
        return {
            self.chatbot: gr.Chatbot(value=messages, feedback_value=feedback_of(chat)),
            self.box: reading(),
            self.chat: chat.model_dump(),
        }


def _chatbot() -> gr.Chatbot:
    return gr.Chatbot(
        label="Conversation",
        show_label=False,
        elem_id="conversation",
        height=None,
        editable="user",
        latex_delimiters=DELIMITERS,
        buttons=["copy"],
        feedback_options=("Like", "Dislike"),
        layout="bubble",
        allow_tags=False,
        line_breaks=False,
        group_consecutive_messages=True,
        placeholder=welcome("the book", False),
    )


def kept_in_browser(settings: Settings, name: str, default: Any) -> gr.BrowserState:  # noqa: ANN401
    """Fixed names, or every restart would forget what was kept. The secret hides nothing: every page tells it."""
    return gr.BrowserState(default, storage_key=f"ask-{book_key(settings)}-{name}", secret="not-a-secret")  # noqa: S106


def book_key(settings: Settings) -> str:
    """The same for every start of one book, another one for another book on the same address."""
    named = f"{settings.book_url}|{settings.book_title}|{settings.content_dir.resolve()}"
    return hashlib.sha256(named.encode()).hexdigest()[:12]


def reading(question: str | None = None) -> gr.Textbox:
    """The box while a question can be asked."""
    if question is None:
        return gr.Textbox(submit_btn=True, stop_btn=False)
    return gr.Textbox(value=question, submit_btn=True, stop_btn=False)


def writing(question: str) -> gr.Textbox:
    """The box while an answer is written."""
    return gr.Textbox(value=question, submit_btn=False, stop_btn=True)


def _client(request: gr.Request) -> Caller:
    return Caller(request.client.host if request.client else None, surface="ui")


def _index(event: Any) -> int:  # noqa: ANN401 - gradio gives a number or a pair
    index = event.index[0] if isinstance(event.index, list | tuple) else event.index
    return int(index)
