"""A piece of a book as a line of plain text, for a list of sources. Pure.

What the page's readers do not see goes as it does in quotations, and then the marks that they see as type: emphasis,
code spans, list marks, the pipes of tables, the marks around code and formulas.
"""

import html
import re
from collections.abc import Iterator
from functools import lru_cache

from rag.markdown.units import Unit, units

LONGEST = 300
_READ = 4 * LONGEST  # characters that are looked at
_ITEM = re.compile(r"^[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?")
_RULE = re.compile(r"^[\s|:-]+$")
_FENCE = re.compile(r"^[ \t>]*(?:`{3,}|~{3,}).*$", re.MULTILINE)
_UNDERLINE = re.compile(r"^(.*\S)[ \t]*\n {0,3}(?:=+|-{2,})[ \t]*$", re.MULTILINE)
_CODE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_EMPHASIS = re.compile(r"(\*{1,3}|~~)(?=\S)(.+?)(?<=\S)\1", re.DOTALL)
_UNDERSCORES = re.compile(r"(?<!\w)(_{1,3})(?=\S)(.+?)(?<=\S)\1(?!\w)", re.DOTALL)
_HEADING_ID = re.compile(r"[ \t]*\{:?[ \t]*#[\w.:-]+[^{}\n]*\}")
_INCLUDE = re.compile(r"\{\{[ \t]*#[^{}\n]*\}\}")  # mdBook puts a file's lines there
_QUOTED_HEADING = re.compile(r"^#{1,6}[ \t]+")
_CODE_LINE = re.compile(
    r"(?:def|class|import|from|return|if|for|fn|let|const|var|pub|use|function|export)\b|[\w.]+\s*[({=]|[$#}]"
)
_INDENTED = re.compile(r"^(?:(?: {4}|\t).*(?:\n|$)|[ \t]*\n)+", re.MULTILINE)
_KEPT = re.compile("\ue000([0-9]+)\ue001")  # private: no page says it
_FORMULA = re.compile(r"(?<![\w$\\])\$(?=\S)([^$\n]+?)(?<=\S)\$(?![\w$])")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_FORMULA_PAREN = re.compile(r"\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_ROOT = re.compile(r"\\sqrt\s*\{([^{}]*)\}")
_WORDS_IN_FORMULA = re.compile(
    r"\\(?:text|mathrm|mathbf|mathit|operatorname|vec|hat|bar|dot|ddot|mathbb|mathcal)\s*\{([^{}]*)\}"
)
_COMMAND = re.compile(r"\\([A-Za-z]+)|\\([,;:! {}%&#])")
_SYMBOLS: dict[str, str] = dict(
    re.findall(
        r"(\w+):(\S+)",
        "alpha:α beta:β gamma:γ delta:δ epsilon:ε varepsilon:ε zeta:ζ eta:η theta:θ iota:ι kappa:κ lambda:λ "
        "mu:μ nu:ν xi:ξ pi:π rho:ρ sigma:σ tau:τ phi:φ varphi:φ chi:χ psi:ψ omega:ω Gamma:Γ Delta:Δ Theta:Θ "
        "Lambda:Λ Sigma:Σ Phi:Φ Psi:Ψ Omega:Ω Pi:Π cdot:· times:× div:÷ pm:± le:≤ leq:≤ ge:≥ geq:≥ ne:≠ neq:≠ "
        "approx:≈ equiv:≡ sim:∼ to:→ rightarrow:→ leftarrow:← Rightarrow:⇒ in:∈ sum:∑ prod:∏ int:∫ infty:∞ "
        "partial:∂ nabla:∇ ldots:… dots:… cdots:… circ:° degree:° propto:∝ forall:∀ exists:∃ cup:∪ cap:∩ "
        "subset:⊂ perp:⊥",
    )
)
_SENTENCE_END = ".!?…。！？:："


@lru_cache(maxsize=1024)  # a dozen a search, of passages that many searches find
def snippet(markdown: str) -> str:
    """At most 300 characters on one line, without the headings it begins with; those alone when there is no more."""
    markdown = _fenced(markdown)
    source = _UNDERLINE.sub(r"## \1", _INCLUDE.sub("", _closed(markdown[:_READ])))
    found = [unit for unit in units(source) if unit.text.strip(" \t\n-*_")]
    first = next((at for at, unit in enumerate(found) if unit.kind != "heading"), 0)
    return _shortened(" ".join(" ".join(_parts(found[first:])).split()))


def _fenced(text: str) -> str:
    """An indented block of code at the beginning as a fenced one."""
    found = _INDENTED.match(text)
    if found is None or not found[0].strip() or re.match(r"[ \t]*(?:[-*+>|`~]|\d+[.)])", found[0]):
        return text
    return f"```\n{found[0].rstrip()}\n```\n\n{text[found.end() :]}"


def _closed(text: str) -> str:
    """A code block that the length has cut ends where the text does, or its lines would be taken for prose."""
    marks = _FENCE.findall(text)
    if len(marks) % 2 and len(marks[0].strip(" >`~")) == 0 and _opens_in_code(text):
        return f"```\n{text}"
    return f"{text}\n{marks[-1].strip(' >')[:3]}" if len(marks) % 2 else text


def _opens_in_code(text: str) -> bool:
    """Whether the first mark ends a block that began before the text: there is text above it and none that is prose."""
    found = _FENCE.search(text)
    above = text[: found.start()].strip() if found else ""
    return bool(above) and _CODE_LINE.match(above) is not None


def _parts(found: list[Unit]) -> Iterator[str]:
    for unit in found:
        text = _plain(unit)
        if unit.kind == "heading" and text[-1:] not in _SENTENCE_END:
            text += ":"  # or it would run into the text below it
        yield text


def _plain(unit: Unit) -> str:
    if unit.kind == "code":
        return _FENCE.sub("", unit.text)
    if unit.kind == "formula":
        return _formula(unit.text.strip("$ \n"))
    if unit.kind == "table":
        rows = (row.strip().strip("|").split("|") for row in unit.text.splitlines() if not _RULE.match(row))
        return "; ".join(", ".join(filter(None, map(_inline, row))) for row in rows)
    return _inline(_ITEM.sub("", unit.text) if unit.kind == "item" else unit.text)


def _inline(text: str) -> str:
    """Without marks. The text of code spans stays as it is: it is set aside while the marks around it go."""
    spans: list[str] = []

    def aside(span: re.Match[str]) -> str:
        spans.append(span[2])
        return f"\ue000{len(spans) - 1}\ue001"

    def formula(found: re.Match[str]) -> str:
        spans.append(_formula(next(filter(None, found.groups()))))
        return f"\ue000{len(spans) - 1}\ue001"

    text = _CODE.sub(aside, re.sub("[\ue000\ue001]", "", text))
    text = _FORMULA_PAREN.sub(formula, _FORMULA.sub(formula, text))
    for pattern in (_EMPHASIS, _EMPHASIS, _UNDERSCORES):
        text = pattern.sub(r"\2", text)
    text = html.unescape(_ESCAPE.sub(r"\1", _QUOTED_HEADING.sub("", _HEADING_ID.sub("", text))))
    return _KEPT.sub(lambda kept: spans[int(kept[1])], text).strip()


def _formula(tex: str) -> str:
    """TeX as a line of text: `\\tau = \\frac{a}{b}` as `τ = a/b`."""
    before = ""
    while before != tex:  # from the innermost braces outwards
        before = tex
        tex = _WORDS_IN_FORMULA.sub(r"\1", tex)
        tex = _ROOT.sub(lambda found: f"√{_grouped(found[1])}", tex)
        tex = _FRACTION.sub(lambda found: f"{_grouped(found[1])}/{_grouped(found[2])}", tex)
    tex = re.sub(r"\\\\|\\(?:left|right|big|Big|begin\{\w+\*?\}|end\{\w+\*?\})|(?<!\\)&", " ", tex)
    tex = _COMMAND.sub(_symbol, tex)
    return " ".join(re.sub(r"\{([^{}]*)\}", r"\1", tex).split())


def _grouped(part: str) -> str:
    return part if re.fullmatch(r"\\?\w+", part.strip()) else f"({part.strip()})"


def _symbol(found: re.Match[str]) -> str:
    if found[1] is None:
        return found[2] if found[2] in "{}%&#" else " "
    return _SYMBOLS.get(found[1], found[1])


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"
