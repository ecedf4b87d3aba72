"""The figures over time as Gradio's own plots, which are drawn in the browser from numbers alone."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from web.figures import Day

OUTCOMES = {
    "answered": "answered",
    "degraded": "answered without the model",
    "not_found": "not in the book",
    "refused": "refused",
    "failed": "failed",
    "cancelled": "left before the end",
}
COLOURS = {
    "answered": "#4f46e5",
    "answered without the model": "#0891b2",
    "not in the book": "#d97706",
    "refused": "#64748b",
    "failed": "#dc2626",
    "left before the end": "#a8a29e",
}
_LOOK: dict[str, Any] = {
    "height": 240,
    "x_label_angle": -40,
    "buttons": [],
}


def questions_plot() -> gr.BarPlot:
    return gr.BarPlot(
        x="day",
        y="questions",
        color="outcome",
        color_map=COLOURS,
        title="Questions a day",
        x_title="",
        y_title="",
        **_LOOK,
    )


def waiting_plot() -> gr.LinePlot:
    return gr.LinePlot(x="day", y="ms", title="Time to the first word (median, ms)", x_title="", y_title="", **_LOOK)


def tokens_plot() -> gr.BarPlot:
    return gr.BarPlot(
        x="day",
        y="tokens",
        color="kind",
        color_map={"sent": "#4f46e5", "written": "#0891b2"},
        title="Tokens of the chat model",
        x_title="",
        y_title="",
        **_LOOK,
    )


def frames(days: Sequence[Day]) -> tuple[Any, Any, Any]:
    """The data of the three plots, in their order."""
    import pandas  # type: ignore[import-untyped]  # gradio has loaded it; nothing else here needs it

    asked = [
        {"day": day.day[5:], "outcome": name, "questions": day.outcomes.get(outcome, 0)}
        for day in days
        for outcome, name in OUTCOMES.items()
        if day.outcomes.get(outcome) or outcome == "answered"
    ]
    waited = [{"day": day.day[5:], "ms": day.first_token_ms} for day in days if day.first_token_ms is not None]
    spent = [
        {"day": day.day[5:], "kind": kind, "tokens": tokens}
        for day in days
        for kind, tokens in (("sent", day.prompt_tokens), ("written", day.completion_tokens))
    ]
    return (
        pandas.DataFrame(asked, columns=["day", "outcome", "questions"]),
        pandas.DataFrame(waited, columns=["day", "ms"]),
        pandas.DataFrame(spent, columns=["day", "kind", "tokens"]),
    )
