"""How good is it? The figures over the outcomes of a question set, and how they are shown.

retrieval       hit@1/3/5/10 and MRR@10 of the passages, with 95 % bootstrap intervals; beside it, from the same
                searches, plain BM25 and the best window's cosine alone
no answer       share of the unanswerable questions that are refused, and of the answerable ones that are not
follow-ups      hit@5 of questions with a history, and of the same questions asked without it
citations       share whose URL is a page or heading of the book and whose quote stands in its passage
languages       retrieval and no answer once more for each language, of a set that is in several
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from rag.evaluation.judging import BASELINES, Figure, Outcome, figure, figures
from rag.evaluation.questions import languages

_MEASURES = ("hit@1", "hit@3", "hit@5", "hit@10", "mrr@10")


@dataclass(frozen=True, slots=True)
class Part:
    """The questions in one language. `retrieval` is empty where none of them says where its answer is."""

    questions: int
    retrieval: dict[str, Figure]
    kept: Figure | None
    refused: Figure | None


@dataclass(frozen=True, slots=True)
class Report:
    """Figures are shares of 1. `kinds` splits the retrieval figures by the questions' labels, `languages` those of
    retrieval and refusal by their languages, where there are several. A baseline is empty that had nothing to go by.
    """

    name: str
    questions: int
    retrieval: dict[str, Figure]
    baselines: dict[str, dict[str, Figure]]
    kept: Figure | None = None
    refused: Figure | None = None
    follow_ups: dict[str, Figure] = field(default_factory=dict)
    citations: Figure | None = None
    kinds: dict[str, dict[str, Figure]] = field(default_factory=dict)
    languages: dict[str, Part] = field(default_factory=dict)

    def as_json(self, *, baselines: bool = True) -> dict[str, object]:
        return {key: value for key, value in asdict(self).items() if baselines or key != "baselines"}


def report(name: str, found: Sequence[Outcome]) -> Report:
    """The figures over the questions; those of retrieval over the answerable ones that name where the answer is."""
    judged = _judged(found)
    kinds = sorted({outcome.question.kind for outcome in judged} - {""})
    return Report(
        name,
        len(found),
        figures([outcome.rank for outcome in judged]),
        {baseline: _baseline(baseline, judged) for baseline in ("chunks", *BASELINES)},
        _kept(found),
        _refused(found),
        _follow_ups([outcome for outcome in judged if outcome.question.history]),
        _share([valid for outcome in found for valid in outcome.citations]),
        {kind: figures([item.rank for item in judged if item.question.kind == kind]) for kind in kinds},
        _by_language(found),
    )


def total(reports: Sequence[Report]) -> dict[str, float]:
    """The mean of the sets' figures, every set counting the same."""
    names = reports[0].retrieval if reports else {}
    return {name: sum(one.retrieval[name].value for one in reports) / len(reports) for name in names}


def _by_language(found: Sequence[Outcome]) -> dict[str, Part]:
    """The language with the most questions first."""
    parts: dict[str, list[Outcome]] = {}
    for language, outcome in zip(languages([outcome.question for outcome in found]), found, strict=True):
        parts.setdefault(language, []).append(outcome)
    if len(parts) < 2:
        return {}
    return {language: _part(part) for language, part in sorted(parts.items(), key=lambda one: (-len(one[1]), one[0]))}


def _part(found: Sequence[Outcome]) -> Part:
    judged = _judged(found)
    retrieval = figures([outcome.rank for outcome in judged]) if judged else {}
    return Part(len(found), retrieval, _kept(found), _refused(found))


def _baseline(name: str, judged: Sequence[Outcome]) -> dict[str, Figure]:
    usable = not judged or any(name in outcome.baselines for outcome in judged)
    return figures([outcome.baselines.get(name) for outcome in judged]) if usable else {}


def _judged(found: Sequence[Outcome]) -> list[Outcome]:
    return [outcome for outcome in found if outcome.question.answerable and outcome.question.gold_doc]


def _kept(found: Sequence[Outcome]) -> Figure | None:
    return _share([outcome.grounded for outcome in found if outcome.question.answerable])


def _refused(found: Sequence[Outcome]) -> Figure | None:
    return _share([not outcome.grounded for outcome in found if not outcome.question.answerable])


def _follow_ups(continued: Sequence[Outcome]) -> dict[str, Figure]:
    if not continued:
        return {}
    hits = {"with history": [outcome.rank for outcome in continued], "alone": [outcome.alone for outcome in continued]}
    return {name: figure([float(rank is not None and rank <= 5) for rank in ranks]) for name, ranks in hits.items()}


def _share(values: Sequence[bool]) -> Figure | None:
    return figure([float(value) for value in values]) if values else None


def table(reports: Sequence[Report], *, baselines: bool = True) -> str:
    """The reports as an aligned table: percentages, MRR as it is."""
    rows: list[tuple[str, ...]] = [("set", "questions", "system", *_MEASURES)]
    for one in reports:
        beside = one.baselines if baselines else {}
        systems = {"book": one.retrieval} | beside | {f"  {kind}": found for kind, found in one.kinds.items()}
        rows += [(one.name, str(one.questions), system, *_cells(found)) for system, found in systems.items()]
        rows += [
            (one.name, str(part.questions), f"  in {language}", *_cells(part.retrieval))
            for language, part in one.languages.items()
        ]
    if len(reports) > 1:
        mean = total(reports)
        whole = str(sum(one.questions for one in reports))
        rows.append(("mean", whole, "book", *(_number(name, mean[name]) for name in _MEASURES)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, *(line for one in reports for line in _notes(one))])


def _notes(one: Report) -> list[str]:
    rest = {"valid citations": one.citations}
    rest |= {f"follow-ups {name}, hit@5": found for name, found in one.follow_ups.items()}
    lines = _lines(one.name, _answered(one) | rest)
    for language, part in one.languages.items():
        lines += _lines(f"{one.name}, in {language}", _answered(part))
    return lines


def _answered(of: Report | Part) -> dict[str, Figure | None]:
    return {"answerable questions kept": of.kept, "unanswerable questions refused": of.refused}


def _lines(where: str, named: Mapping[str, Figure | None]) -> list[str]:
    return [f"{where}: {name} {_cell('', found)}" for name, found in named.items() if found is not None]


def _cells(found: Mapping[str, Figure]) -> list[str]:
    return [_cell(name, found[name]) if found else "-" for name in _MEASURES]


def _cell(name: str, found: Figure) -> str:
    return f"{_number(name, found.value)} [{_number(name, found.low)}, {_number(name, found.high)}]"


def _number(name: str, value: float) -> str:
    return f"{value:.3f}" if name.startswith("mrr") else f"{100 * value:.1f}"
