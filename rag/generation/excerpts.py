"""Which units of the passages answer the question, and how they read together. Pure.

Sentences are picked by score; then each pick takes along what it cannot be read without: the block a colon promises,
the sentence that introduces a list or code, the sentence a leading pronoun means. Blocks are quoted whole.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rag.markdown.units import Unit, units
from rag.text.scripts import unspaced, words
from rag.types import Passage

PICKS = 3
NEAR_BEST = 0.8
UNFIT_PENALTY = 0.2
LONGEST_OUTPUT = 8  # lines of a terminal that are still commands
WHOLE_LIST_ITEMS = 9
WHOLE_LIST_CHARS = 1500
MOST_CODE_LINES = 60
MOST_TABLE_ROWS = 16
FEWEST_WORDS = 4
BLOCK_SHARE = 0.7
CROWD = 3  # items among the best units that make their list the answer

_STEPS = re.compile(
    r"""^[\s¿¡"]*(?:
      how\ (?:do|can|could|would|should|might|must)\ (?:i|we|you|one)\b | how\ to\b
    | what\ (?:are|is)\ the\ (?:steps?|command|syntax|code)\b
    | (?:show|give|write)\b.*\b(?:code|example|snippet|command|file)
    | .*\b(?:step\ by\ step|code\ example|example\ code|snippet|which\ command|what\ command)\b
    | .*\bwhat\ does\ an?\ .*\ look\ like\b
    | cómo\ (?!funciona) | comment\ (?!fonctionne) | como\ (?!funciona) | come\ (?!funziona) | как\ (?!работает) | nasıl
    | wie\ (?:kann|installiere|mache|schreibe|richte|starte)
    | .*(?:如何|怎么|怎样|方法|どうやって|手順|어떻게\ (?:하|설치|만들))
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_LEANING = re.compile(
    r"(?:it|its|this|that|these|those|they|their|them|he|she|such|but|and|so|however|therefore|thus|hence|then|instead|"
    r"otherwise|both|neither|either|also|for example|for instance|in contrast|as a result|esto|eso|ello|cela|ceci|"
    r"dies|diese|dieser|isso|isto|questo|это|они|он|она)\b",
    re.IGNORECASE,
)
_OPEN = (":", "：")
_ENDS = (".", "!", "…", "。", "！", "।", "۔", "॥", *_OPEN)
_CLOSING = "\"'”’»)]}*_`」』）】 "
_OUTPUT = re.compile(r"^[`~]{3,}\s*(?:console|text|txt|output|log|plaintext)\b", re.IGNORECASE)
_NO_ANSWER_CODE = re.compile(r"^[`~]{3,}\s*(?:mermaid|plantuml|dot|graphviz|mdx-code-block)\b", re.IGNORECASE)


Key = tuple[int, int]
"""(passage number, place of the unit in it)"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A unit of passage `number` that may be quoted; `place` is where it stands in `Source.units`."""

    number: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class Source:
    """A passage and its units in order."""

    passage: Passage
    units: tuple[Unit, ...]


def read(passages: Iterable[Passage]) -> list[Source]:
    return [Source(passage, tuple(units(passage.text))) for passage in passages]


def candidates(sources: Sequence[Source]) -> list[Candidate]:
    """Everything that says something: no headings, no drawings, no scraps."""
    return [
        Candidate(source.passage.number, unit) for source in sources for unit in source.units if _says_something(unit)
    ]


def wants_steps(question: str) -> bool:
    """A how-to question, to be answered by code or steps where the passages have any."""
    return _STEPS.match(question) is not None


def select(question: str, sources: Sequence[Source], scores: Mapping[Key, float]) -> dict[int, set[int]]:
    """Passage number -> the places of the units to quote. `scores` is keyed by (passage number, place)."""
    if wants_steps(question):
        block = _answering_block(sources, scores)
        if block is not None:
            return block
    by_number = {source.passage.number: source.units for source in sources}
    adjusted = {
        key: score - UNFIT_PENALTY * (not _is_statement(by_number[key[0]][key[1]])) for key, score in scores.items()
    }
    ordered = sorted(adjusted, key=lambda key: (-adjusted[key], key))
    crowded = Counter((number, by_number[number][place].block) for number, place in ordered[: 2 * PICKS])
    picked: dict[int, set[int]] = {}
    for number, place in ordered[:PICKS]:
        if adjusted[number, place] >= NEAR_BEST * adjusted[ordered[0]]:
            found, unit = by_number[number], by_number[number][place]
            whole = crowded[number, unit.block] >= CROWD
            picked.setdefault(number, set()).update(_with_company(found, place, whole_list=whole))
    if ordered:
        number, place = ordered[0]
        picked[number] |= _continued(by_number[number], place)
    return picked


def _is_statement(unit: Unit) -> bool:
    """Questions and captions answer nothing."""
    return unit.kind != "sentence" or unit.text.rstrip(_CLOSING).endswith(_ENDS)


def _continued(found: Sequence[Unit], place: int) -> set[int]:
    """The sentence that goes on from the best one."""
    after = found[place + 1] if place + 1 < len(found) else None
    if after is None or after.kind != "sentence" or after.block != found[place].block or after.text.endswith(_OPEN):
        return set()
    return {place + 1}


def _says_something(unit: Unit) -> bool:
    if unit.kind == "heading":
        return False
    if unit.kind == "code":
        return not _NO_ANSWER_CODE.match(unit.text) and unit.text.count("\n") <= MOST_CODE_LINES
    return unit.kind != "sentence" or len(words(unit.text)) >= FEWEST_WORDS or unspaced(unit.text) >= FEWEST_WORDS


def _answering_block(sources: Sequence[Source], scores: Mapping[Key, float]) -> dict[int, set[int]] | None:
    """Code and steps of the best passage that has any, each with its introduction; of too much, the best block."""
    top = max((source.passage.score for source in sources), default=0.0)
    for source in sources:
        if source.passage.score < BLOCK_SHARE * top:
            break
        blocks = [block for block in _blocks(source.units, ("code", "item")) if _is_steps(source.units, block)]
        quoted = [{*block, *_with_company(source.units, block[0], whole_list=True)} for block in blocks]
        if not quoted:
            continue
        if _lines(source.units, set().union(*quoted)) <= MOST_CODE_LINES:
            return {source.passage.number: set().union(*quoted)}
        number = source.passage.number
        return {number: max(quoted, key=lambda places: max(scores.get((number, place), 0.0) for place in places))}
    return None


def _lines(found: Sequence[Unit], places: Iterable[int]) -> int:
    return sum(found[place].text.count("\n") + 1 for place in places)


def _is_steps(found: Sequence[Unit], block: Sequence[int]) -> bool:
    first = found[block[0]]
    if first.kind == "code":
        printed = _OUTPUT.match(first.text) is not None and first.text.count("\n") > LONGEST_OUTPUT
        return _says_something(first) and not printed
    return len(block) > 1 and first.text.lstrip()[:1].isdigit()


def _blocks(found: Sequence[Unit], kinds: tuple[str, ...]) -> list[list[int]]:
    grouped: dict[int, list[int]] = {}
    for unit in found:
        if unit.kind in kinds:
            grouped.setdefault(unit.block, []).append(unit.place)
    return list(grouped.values())


def _with_company(found: Sequence[Unit], place: int, *, whole_list: bool) -> set[int]:
    """A unit and what it cannot be read without."""
    unit = found[place]
    company = {place}
    if unit.kind == "item":
        if not whole_list:
            return company
        company |= _whole_list(found, unit.block)
    before = found[min(company) - 1] if min(company) else None
    if before is not None and before.kind == "sentence" and _needs(found[min(company)], before):
        company.add(before.place)
    after = found[max(company) + 1] if max(company) + 1 < len(found) else None
    if after is not None and unit.kind == "sentence" and unit.text.endswith(_OPEN):
        company |= _block_of(found, after)
    return company


def _needs(unit: Unit, before: Unit) -> bool:
    """Whether a unit is not understood without the sentence before it."""
    if unit.kind != "sentence":
        return True
    return unit.block == before.block and _LEANING.match(unit.text) is not None


def _block_of(found: Sequence[Unit], unit: Unit) -> set[int]:
    if unit.kind == "item":
        return _whole_list(found, unit.block)
    return {unit.place} if unit.kind in ("code", "table", "formula") else set()


def _whole_list(found: Sequence[Unit], block: int) -> set[int]:
    """The whole list when it is short enough to be read in an answer."""
    items = [unit for unit in found if unit.block == block]
    short = len(items) <= WHOLE_LIST_ITEMS and sum(len(unit.text) for unit in items) <= WHOLE_LIST_CHARS
    return {unit.place for unit in items} if short else set()


def render(source: Source, places: Iterable[int]) -> str:
    """The quoted units in the passage's order, with the passage's marker after every stretch of prose."""
    marker = f"[{source.passage.number}]"
    parts: list[tuple[str, str]] = []
    last: Unit | None = None
    for unit in (source.units[place] for place in sorted(set(places))):
        text = _shortened(unit)
        if last is not None and unit.block == last.block and unit.kind in ("sentence", "item"):
            gap = " … " if unit.place > last.place + 1 else " "
            parts[-1] = (unit.kind, parts[-1][1] + ("\n" if unit.kind == "item" else gap) + text)
        else:
            parts.append((unit.kind, text))
        last = unit
    prose = [place for place, (kind, _) in enumerate(parts) if kind in ("sentence", "item")]
    if not prose:
        parts.insert(0, ("sentence", f"**{source.passage.title}**"))
        prose = [0]
    lines = [f"{text} {marker}" if place in prose else text for place, (_, text) in enumerate(parts)]
    return "\n\n".join(lines)


def _shortened(unit: Unit) -> str:
    if unit.kind != "table":
        return unit.text
    rows = unit.text.splitlines()
    return "\n".join(rows[: MOST_TABLE_ROWS + 2])
