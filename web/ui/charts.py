"""The figures over time as bars of HTML: they follow the theme and the width, and are read out as a sentence."""

from collections.abc import Callable, Mapping, Sequence
from html import escape

from web.figures import Day
from web.ui.panels import number

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
