"""What stands above the conversation: the book's name, and plain words about the state things are in."""

import html

from rag.health import HealthStatus
from rag.ingest.job_snapshot import JobSnapshot


def header(title: str) -> str:
    return (
        f'<header class="book"><h1 id="book-title">{html.escape(title)}</h1>'
        "<p>Ask in your own words. Every answer links to the places in the book it comes from.</p></header>"
    )


def welcome(title: str, ready: bool) -> str:
    """The empty conversation."""
    invitation = "Choose a question, or write your own below." if ready else "Questions can be asked in a moment."
    return f'<div class="welcome"><h2>Ask “{html.escape(title)}”</h2><p>{invitation}</p></div>'


def banner(status: HealthStatus, job: JobSnapshot | None) -> str:
    """Nothing when all is well."""
    notes = [note for note in (_index_note(status, job), _model_note(status)) if note]
    return f'<div role="status">{"".join(notes)}</div>'


def _index_note(status: HealthStatus, job: JobSnapshot | None) -> str:
    if not status.store_connected:
        return _note("problem", "The index cannot be reached at the moment, so questions cannot be answered.")
    if job is not None and not job.terminal:
        return _building(job, first=not status.documents)
    if status.index_state == "building":
        return _note("info", "The book is being read.")
    if not status.documents:
        return _note("problem", "The book has not been read yet. Its author can start that in the Admin tab.")
    if status.index_state == "stale":
        return _note("info", "The index was made with other settings; answers may be weaker until it is made again.")
    return ""


def _building(job: JobSnapshot, *, first: bool) -> str:
    percent = f"{job.progress.percent:.0f}"
    words = (
        f"The book is being read for the first time: {percent} %. You can ask as soon as it is done."
        if first
        else f"The index is being brought up to date: {percent} %. Until then answers come from the one before."
    )
    return _note("info", words, percent)


def _model_note(status: HealthStatus) -> str:
    if "chat" in status.down:
        return _note("problem", "The language model does not answer at the moment. Until it does, the book is quoted.")
    if "embeddings" in status.down:
        return _note(
            "problem", "The search by meaning does not answer at the moment. Until it does, words are searched."
        )
    if status.mode == "offline":
        return _note("info", "Offline mode: no language model is used. Answers are the book’s own sentences.")
    return ""


def _note(kind: str, words: str, percent: str | None = None) -> str:
    bar = "" if percent is None else progress_bar(percent, "Reading the book")
    return f'<div class="note {kind}"><p>{html.escape(words)}</p>{bar}</div>'


def progress_bar(percent: str, name: str) -> str:
    return (
        f'<div class="bar" role="progressbar" aria-label="{html.escape(name)}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{percent}"><div style="width: {percent}%"></div></div>'
    )
