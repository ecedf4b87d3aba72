"""The questions the book could not answer: a table to read, and a file for a spreadsheet."""

import base64
import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from web.figures import OpenQuestion
from web.ui.panels import ago

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
