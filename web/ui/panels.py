"""The admin tab's panels as HTML: figures at a glance, the job, the plan, documents, passages. All text is escaped."""

import base64
import csv
import io
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape

from rag.chat.citations import safe_url
from rag.events import FileProblem, Planned
from rag.health import DocumentStatus, HealthStatus
from rag.ingest.job_snapshot import JobSnapshot
from rag.types import Retrieval
from web.analytics import Day, OpenQuestion
from web.ui.banner import progress_bar
from web.ui.markdown import excerpt

MOST_ROWS = 500
STATES = {
    "indexed": "up to date",
    "changed": "changed",
    "new": "new",
    "removed": "removed",
    "failed": "failed",
}
_ENDED = {"completed": "good", "failed": "bad", "cancelled": "plain", "pending": "busy", "processing": "busy"}
_STAGES = {"scanning": "Reading", "embedding": "Embedding", "storing": "Storing", "finishing": "Publishing"}


def cards(figures: Iterable[tuple[str, str, str]]) -> str:
    """(name, value, what it means) each."""
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd><dd class='small'>{escape(note)}</dd></div>"
        for name, value, note in figures
    )
    return f'<dl class="cards">{items}</dl>'


def overview(
    status: HealthStatus, documents: Sequence[DocumentStatus], job: JobSnapshot | None, models: tuple[str, str]
) -> str:
    """The numbers at a glance; `models` are the chat model and the embedder."""
    waiting = sum(document.status in ("new", "changed", "removed") for document in documents)
    failed = sum(document.status == "failed" for document in documents)
    notes = [f"{waiting} to ingest" if waiting else "all up to date", f"{failed} failed" if failed else ""]
    last = "never" if job is None else ago(job.finished_at or job.started_at)
    return cards(
        [
            ("Documents", number(status.documents), ", ".join(filter(None, notes))),
            ("Chunks", number(status.chunks), f"index {status.index_state}"),
            ("Tokens", number(sum(document.tokens for document in documents)), "in the index"),
            ("Mode", status.mode, _model_state(status)),
            ("Answers", models[0], "chat model" if status.mode == "openai" else "no language model"),
            ("Search", models[1], "embeddings"),
            ("Last ingest", last, "" if job is None else job.status),
            ("Fingerprint", short(status.fingerprint), "what the index was made with"),
        ]
    )


def _model_state(status: HealthStatus) -> str:
    if status.mode == "offline":
        return "the book in its own words"
    return "model answers" if status.model_connected else "model does not answer"


def short(fingerprint: str) -> str:
    """The embedder's part of it, which is what tells two indexes apart."""
    parts = dict(part.split("=", 1) for part in fingerprint.split() if "=" in part)
    return parts.get("embedder", fingerprint)[:28] or "none"


def job_panel(job: JobSnapshot | None) -> str:
    if job is None:
        return '<div class="job"><p>No ingest has run yet.</p></div>'
    percent, progress, documents = f"{job.progress.percent:.0f}", job.progress, job.documents
    heading = job.status.capitalize() if job.terminal else "Starting" if job.status == "pending" else _STAGES[job.stage]
    counts = [
        ("Files", f"{progress.files_processed} of {progress.total_files}"),
        ("Chunks written", number(progress.chunks_created)),
        ("Chunks kept", number(progress.chunks_reused)),
        ("Chunks removed", number(progress.chunks_deleted)),
        ("Tokens embedded", number(progress.tokens)),
        ("Time left" if not job.terminal else "Took", _time_left(job)),
    ]
    if job.terminal:
        changes = f"{documents.added} added, {documents.changed} changed, {documents.removed} removed"
        counts[0] = ("Files", f"{changes}, {documents.failed} failed" if documents.failed else changes)
    numbers = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in counts)
    return (
        f'<div class="job {_ENDED[job.status]}" data-task="{escape(job.task_id)}" data-status="{job.status}">'
        f'<p role="status"><strong>{heading}</strong> <span>{escape(job.message)}</span> <b>{percent} %</b></p>'
        f'{progress_bar(percent, "Ingest")}<dl class="numbers">{numbers}</dl>{problems(progress.errors)}</div>'
    )


def _time_left(job: JobSnapshot) -> str:
    if job.terminal:
        return seconds((job.finished_at or job.started_at) - job.started_at)
    return "…" if job.estimated_completion is None else seconds(job.estimated_completion - time.time())


def problems(errors: Sequence[FileProblem]) -> str:
    if not errors:
        return ""
    items = "".join(f"<li><code>{escape(e.path)}</code> {escape(e.message)}</li>" for e in errors[:MOST_ROWS])
    heading = f"{_files(len(errors))} with a problem"
    return f'<details class="errors" open><summary>{heading}</summary><ul>{items}</ul></details>'


def plan_panel(plan: Planned) -> str:
    cost = _cost(plan)
    tokens = f"{number(plan.chunks_to_embed)} of {number(plan.chunks)} chunks, {number(plan.tokens)} tokens to embed"
    rebuild = "<p>The whole index is made anew.</p>" if plan.rebuild else ""
    lists = [("New", plan.added), ("Changed", plan.changed), ("To be removed", plan.removed)]
    named = "".join(_paths(name, paths) for name, paths in lists if paths)
    nothing = "" if named or rebuild else "<p>Nothing has changed since the last ingest.</p>"
    return (
        f'<div class="plan"><p><strong>Preview</strong> {tokens}; cost: {cost}. {_files(plan.unchanged)} unchanged.</p>'
        f"{rebuild}{nothing}{named}{problems(plan.problems)}</div>"
    )


def _cost(plan: Planned) -> str:
    if not plan.tokens or plan.cost_usd == 0:
        return "nothing"
    return "unknown" if plan.cost_usd is None else f"about ${plan.cost_usd:.4f}"


def _paths(name: str, paths: Sequence[str]) -> str:
    items = "".join(f"<li><code>{escape(path)}</code></li>" for path in paths[:MOST_ROWS])
    return f"<details><summary>{name}: {_files(len(paths))}</summary><ul>{items}</ul></details>"


def documents_table(documents: Sequence[DocumentStatus], state: str, text: str) -> str:
    """The documents in one state, or in any, whose path or title holds the text; on a phone every row is a card."""
    wanted = text.strip().casefold()
    found = [
        document
        for document in documents
        if state in ("all", document.status) and wanted in f"{document.path} {document.title}".casefold()
    ]
    more = "" if len(found) <= MOST_ROWS else f"<p>{len(found) - MOST_ROWS} more; narrow the search.</p>"
    rows = "".join(_document(document) for document in found[:MOST_ROWS])
    body = rows or '<tr><td colspan="5">No document fits.</td></tr>'
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Document", "State", "Chunks", "Tokens", "Ingested"))
    return (
        f'<p class="count" role="status">{_files(len(found))}</p>'
        '<div class="wide" tabindex="0" role="region" aria-label="Documents"><table class="documents">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{more}"
    )


def _document(document: DocumentStatus) -> str:
    title, url = escape(document.title), safe_url(document.url)
    name = f'<a href="{escape(url)}" target="_blank" rel="noopener">{title}</a>' if url else title
    error = f'<span class="error">{escape(document.error)}</span>' if document.error else ""
    ingested = "—" if document.ingested_at is None else ago(document.ingested_at)
    return (
        f'<tr><th scope="row" dir="auto">{name}<code>{escape(document.path)}</code>{error}</th>'
        f'<td><span class="state {document.status}">{STATES[document.status]}</span></td>'
        f'<td data-name="Chunks">{number(document.chunks)}</td><td data-name="Tokens">{number(document.tokens)}</td>'
        f'<td data-name="Ingested">{ingested}</td></tr>'
    )


def passages(found: Retrieval) -> str:
    """What a question would be answered from."""
    verdict = "The book seems to hold the answer." if found.grounded else "The book does not seem to hold the answer."
    items = "".join(
        f'<li value="{passage.number}" dir="auto"><meter min="0" max="1" value="{min(passage.score, 1):.4f}" '
        f'aria-label="Score"></meter> <b>{passage.score:.3f}</b> {_linked(passage.title, passage.link)}'
        f'<span class="trail">{escape(" › ".join([*passage.chunk.trail, *passage.heading_path[:-1]]))}</span>'
        f'<span class="snippet">{escape(excerpt(passage.text))}</span></li>'
        for passage in found.passages
    )
    return f'<div class="found"><p role="status">{verdict}</p><ol class="sources">{items}</ol></div>'


def _linked(title: str, url: str) -> str:
    safe = safe_url(url)
    return f'<a href="{escape(safe)}" target="_blank" rel="noopener">{escape(title)}</a>' if safe else escape(title)


def number(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")


def seconds(value: float) -> str:
    """A span of time in words."""
    whole = max(0, round(value))
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def ago(at: float) -> str:
    """A moment as a person names it; older than a day, its date (UTC)."""
    past = time.time() - at
    if past < 60:
        return "just now"
    if past < 3600:
        return f"{past // 60:.0f} min ago"
    return f"{past // 3600:.0f} h ago" if past < 86_400 else datetime.fromtimestamp(at, UTC).strftime("%d %b %Y")


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{number(count)} files"


OUTCOMES = {
    "answered": "answered",
    "degraded": "answered without the model",
    "not_found": "not in the book",
    "refused": "refused",
    "failed": "failed",
    "cancelled": "left before the end",
}
TOKENS = {"prompt": "sent", "completion": "written"}
THUMBS = {"liked": "liked", "disliked": "disliked"}


def charts(days: Sequence[Day]) -> str:
    return "".join(
        [
            _chart("Questions a day", days, OUTCOMES, lambda day: day.outcomes),
            _chart("Median time to the first word, ms", days, {"first": "ms"}, _first_token, summed=False),
            _chart("Tokens of the chat model", days, TOKENS, _tokens),
            _chart("What readers thought of answers", days, THUMBS, _thumbs),
        ]
    )


def _first_token(day: Day) -> Mapping[str, int]:
    return {"first": round(day.first_token_ms or 0)}


def _tokens(day: Day) -> Mapping[str, int]:
    return {"prompt": day.prompt_tokens, "completion": day.completion_tokens}


def _thumbs(day: Day) -> Mapping[str, int]:
    return {"liked": day.liked, "disliked": day.disliked}


def _chart(
    title: str,
    days: Sequence[Day],
    names: Mapping[str, str],
    values: Callable[[Day], Mapping[str, int]],
    *,
    summed: bool = True,
) -> str:
    """Stacked bars, one a day. What is not `summed` has no meaningful total."""
    counted = [{name: values(day).get(name, 0) for name in names} for day in days]
    highest = max((sum(bar.values()) for bar in counted), default=0)
    if not highest:
        return f'<figure class="chart"><figcaption>{escape(title)}</figcaption><p>Nothing yet.</p></figure>'
    bars = "".join(_bar(day, bar, names, highest) for day, bar in zip(days, counted, strict=True))
    total = f", {number(sum(sum(bar.values()) for bar in counted))} in {len(days)} days" if summed else ""
    said = f"{title}: at most {number(highest)} a day{total}."
    legend = "".join(f'<li class="{name}">{escape(words)}</li>' for name, words in names.items())
    return (
        f'<figure class="chart"><figcaption>{escape(title)}{escape(total)}</figcaption>'
        f'<div class="bars" role="img" aria-label="{escape(said)}">'
        f'<span class="top">{number(highest)}</span>{bars}</div>'
        f'<div class="days"><span>{days[0].day}</span><span>{days[-1].day}</span></div>'
        + (f'<ul class="legend">{legend}</ul>' if len(names) > 1 else "")
        + "</figure>"
    )


def _bar(day: Day, bar: Mapping[str, int], names: Mapping[str, str], highest: int) -> str:
    told = ", ".join(f"{number(count)} {names[name]}" for name, count in bar.items() if count) or "nothing"
    parts = "".join(
        f'<i class="{name}" style="height: {100 * count / highest:.2f}%"></i>' for name, count in bar.items() if count
    )
    return f'<div title="{day.day}: {escape(told)}">{parts}</div>'


WHY = {"not_found": "not in the book", "disliked": "answer disliked"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(questions: Sequence[OpenQuestion]) -> str:
    """With a byte order mark, which spreadsheets want; nothing in it is ever a formula."""
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["question", "why", "times", "last asked (UTC)"])
    for question in questions:
        last = datetime.fromtimestamp(question.last, UTC).isoformat(timespec="seconds")
        rows.writerow([_inert(question.question), question.outcome, question.times, last])
    return "\ufeff" + out.getvalue()


def _inert(text: str) -> str:
    return f"'{text}" if text.lstrip().startswith(_FORMULA) or text.startswith(_FORMULA) else text


def questions_panel(questions: Sequence[OpenQuestion], *, kept: bool) -> str:
    if not kept:
        return "<p>Questions are counted; their texts are kept only with <code>KEEP_QUESTIONS=true</code>.</p>"
    if not questions:
        return "<p>So far the book had an answer to every question.</p>"
    data = base64.b64encode(as_csv(questions).encode()).decode()
    rows = "".join(
        f'<tr><th scope="row" dir="auto">{escape(q.question)}</th><td>{WHY.get(q.outcome, escape(q.outcome))}</td>'
        f'<td data-name="Times">{q.times}</td><td data-name="Last">{ago(q.last)}</td></tr>'
        for q in questions
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Question", "Why", "Times", "Last asked"))
    address = f"data:text/csv;charset=utf-8;base64,{data}"
    return (
        f'<p><a class="export" download="open-questions.csv" href="{address}">Export as CSV</a></p>'
        '<div class="wide" tabindex="0" role="region" aria-label="Open questions"><table class="documents">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
