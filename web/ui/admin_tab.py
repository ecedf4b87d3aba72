"""The admin tab: the state of the book at a glance, the one ingest job live for whoever looks, and what readers ask.

It holds no state: every picture is drawn from the application, so a reload or another browser shows the same.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import gradio as gr

from rag.errors import RagError
from rag.health import DocumentStatus
from rag.settings import Settings
from web.chat_service import Caller
from web.problems import Problem, problem_of, sentence
from web.services import Services
from web.ui.admin_session import AdminSession
from web.ui.chat_tab import AT_ONCE, PRIVATE
from web.ui.panels import charts, documents_table, job_panel, overview, passages, plan_panel, questions_panel

DAYS = 30
WATCHING, IDLE = 1.0, 6.0  # seconds between two looks at the job
NO_SESSION = "none"  # an empty string would not be written into the browser's store
STATES = ["all", "indexed", "changed", "new", "removed", "failed"]
QUEUED: dict[str, Any] = {"show_progress": "minimal", **PRIVATE}  # what may be refused: unqueued it would be a 500
Update = dict[Any, Any]
T = TypeVar("T")


class AdminTab:
    """Build it inside its gr.Tab, with `session_token` outside: what is inside exists only once the tab is opened."""

    def __init__(self, services: Services, session_token: gr.BrowserState) -> None:
        self._services, self._session, self.session_token = services, AdminSession(services), session_token
        self.clock = gr.Timer(IDLE, active=False)
        with gr.Column(elem_classes="locked") as self.locked:
            self._build_door()
        with gr.Column(visible=False) as self.panel:
            self._build_panel()

    def _build_door(self) -> None:
        where = (
            "It is the setting ADMIN_TOKEN; where that is not set, it is in the file admin_token in the data folder."
        )
        gr.HTML(f"<div class='door'><h2>For the author</h2><p>The admin token unlocks this tab. {where}</p></div>")
        with gr.Row(elem_classes="key"):
            self.token = gr.Textbox(label="Admin token", type="password", max_lines=1, scale=4, elem_id="token")
            self.unlock_button = gr.Button("Unlock", variant="primary", scale=1, min_width=120)
        if self._session.signs_in:
            gr.LoginButton()

    def _build_panel(self) -> None:
        self.cards = gr.HTML(elem_id="overview")
        with gr.Row(elem_classes="actions"):
            self.start = gr.Button("Re-ingest", variant="primary", scale=0, min_width=120)
            self.preview = gr.Button("Preview", scale=0, min_width=110)
            self.cancel = gr.Button("Cancel", variant="stop", scale=0, min_width=110, interactive=False)
            self.force = gr.Checkbox(label="Force: make everything anew", container=False, scale=1, min_width=220)
            self.lock = gr.Button("Lock", scale=0, min_width=80)
        self.job = gr.HTML(elem_id="job")
        self.plan = gr.HTML(elem_id="plan")
        with gr.Tabs():
            with gr.Tab("Documents"):
                self._build_documents()
            with gr.Tab("Search"):
                self._build_search()
            with gr.Tab("Figures") as self.figures_tab:
                self.charts = gr.HTML(elem_id="charts")
            with gr.Tab("Unanswered") as self.questions_tab:
                self.questions = gr.HTML(elem_id="open-questions")

    def _build_documents(self) -> None:
        with gr.Row(elem_classes="filters"):
            self.state = gr.Dropdown(STATES, value="all", label="State", scale=1, min_width=140, filterable=False)
            self.text = gr.Textbox(label="Path or title holds", max_lines=1, scale=3, min_width=160)
        self.documents = gr.HTML(elem_id="documents")

    def _build_search(self) -> None:
        with gr.Row(elem_classes="filters"):
            self.query = gr.Textbox(label="Question", max_lines=1, max_length=2000, scale=4, min_width=200)
            self.count = gr.Slider(1, 20, value=5, step=1, label="Passages", scale=1, min_width=140)
            self.find = gr.Button("Search", scale=0, min_width=110)
        self.found = gr.HTML(elem_id="found")

    def connect(self, demo: gr.Blocks, tab: gr.Tab) -> None:
        shown = [self.session_token, self.locked, self.panel, self.cards, self.documents, *self._live]
        for event in (self.unlock_button.click, self.token.submit):
            event(self.unlock, [self.token], [self.token, *shown], **QUEUED)
        for event in (demo.load, tab.select):
            event(self.show, [self.session_token], shown, **AT_ONCE)
        self.lock.click(self.leave, None, shown, **AT_ONCE)
        self.clock.tick(self.tick, [self.session_token, self.clock], shown, **AT_ONCE)
        self.start.click(self.begin, [self.session_token, self.force], self._live, **QUEUED)
        self.cancel.click(self.end, [self.session_token], self._live, **QUEUED)
        self.preview.click(
            self.preview_plan, [self.session_token, self.force], [self.plan], concurrency_limit=1, **QUEUED
        )
        filters = [self.session_token, self.state, self.text]
        for event in (self.state.change, self.text.submit, self.text.blur):
            event(self.filter, filters, [self.documents], **QUEUED)
        for event in (self.query.submit, self.find.click):
            event(self.try_search, [self.session_token, self.query, self.count], [self.found], **QUEUED)
        self.figures_tab.select(self.plot, [self.session_token], [self.charts], **QUEUED)
        self.questions_tab.select(self.list_questions, [self.session_token], [self.questions], **QUEUED)

    @property
    def _live(self) -> list[Any]:
        return [self.job, self.start, self.cancel, self.clock]

    # Who may look

    async def unlock(self, token: str, request: gr.Request) -> Update:
        session_token = await _said(lambda: self._session.unlock(token, request))
        return {self.session_token: session_token, self.token: ""} | await self._everything()

    async def show(self, session_token: Any, request: gr.Request) -> Update:  # noqa: ANN401
        """What a page that is opened or reloaded shows. A ticket that is no good any more is no guess.

        Without a ticket nothing is put out: drawn anew, the door would lose a token that is being typed.
        """
        if self._session.admits(session_token, request):
            return await self._everything()
        return gr.skip() if session_token in (None, "", NO_SESSION) else self.leave()

    def leave(self) -> Update:
        return {
            self.session_token: NO_SESSION,
            self.locked: gr.Column(visible=True),
            self.panel: gr.Column(visible=False),
            self.clock: gr.Timer(active=False),
            self.cards: "",
            self.documents: "",
            self.job: "",
        }

    # The job

    async def tick(self, session_token: Any, pace: float, request: gr.Request) -> Update:  # noqa: ANN401
        """The job as it is now; when it has ended since the last tick, everything that it changed as well."""
        if not self._session.admits(session_token, request):
            return self.leave()
        ended = pace == WATCHING and self._services.pipeline.jobs.running() is None
        return self._job() | (await self._state() if ended else {})

    async def begin(self, session_token: Any, force: bool, request: gr.Request) -> Update:  # noqa: ANN401
        self._session.require(session_token, request)
        job = await _said(lambda: self._services.start_ingest(force=bool(force)))
        if job.joined:
            gr.Info("An ingest is running already; this is it.")
        return self._job()

    async def end(self, session_token: Any, request: gr.Request) -> Update:  # noqa: ANN401
        self._session.require(session_token, request)
        jobs = self._services.pipeline.jobs
        if (running := jobs.running()) is not None:
            await jobs.cancel(running.task_id)
        return self._job()

    async def preview_plan(self, session_token: Any, force: bool, request: gr.Request) -> str:  # noqa: ANN401
        self._session.require(session_token, request)
        return plan_panel(await _said(lambda: self._services.pipeline.plan(force=bool(force))))

    def _job(self) -> Update:
        job = self._services.pipeline.jobs.latest()
        running = job is not None and not job.terminal
        return {
            self.job: job_panel(job),
            self.start: gr.Button(interactive=not running),
            self.cancel: gr.Button(interactive=running),
            self.clock: gr.Timer(WATCHING if running else IDLE, active=True),
        }

    async def _everything(self) -> Update:
        return {
            self.locked: gr.Column(visible=False),
            self.panel: gr.Column(visible=True),
            **await self._state(),
            **self._job(),
        }

    async def _state(self) -> Update:
        pipeline, documents = self._services.pipeline, await self._documents()
        models = model_names(self._services.settings)
        glance = overview(await pipeline.status(), documents, pipeline.jobs.latest(), models)
        return {self.cards: glance, self.documents: documents_table(documents, "all", "")}

    async def _documents(self) -> list[DocumentStatus]:
        try:
            return await self._services.pipeline.documents()
        except RagError as error:
            gr.Warning(error.message)
            return []

    # What else there is to see

    async def filter(self, session_token: Any, state: str, text: str, request: gr.Request) -> str:  # noqa: ANN401
        self._session.require(session_token, request)
        return documents_table(await self._documents(), state, text)

    async def try_search(self, session_token: Any, query: str, count: float, request: gr.Request) -> str:  # noqa: ANN401
        self._session.require(session_token, request)
        client = Caller(request.client.host if request.client else None, surface="ui")
        return passages(await _said(lambda: self._services.chat_service.search(client, query, int(count))))

    async def plot(self, session_token: Any, request: gr.Request) -> str:  # noqa: ANN401
        self._session.require(session_token, request)
        return charts(await self._services.usage.days(DAYS))

    async def list_questions(self, session_token: Any, request: gr.Request) -> str:  # noqa: ANN401
        self._session.require(session_token, request)
        usage = self._services.usage
        return questions_panel(await usage.open_questions(), kept=usage.keeps_questions)


async def _said(work: Callable[[], Awaitable[T]]) -> T:
    """The result, or the refusal as a sentence on the screen."""
    try:
        return await work()
    except (Problem, RagError) as refusal:
        raise gr.Error(sentence(problem_of(refusal)), print_exception=False) from None


def model_names(settings: Settings) -> tuple[str, str]:
    """The chat model and the embedder, as an author knows them."""
    chat = settings.openai_chat_model if settings.uses_openai_chat else "the book’s sentences"
    return chat, settings.openai_embedding_model if settings.uses_openai_embeddings else "MiniLM (local)"
