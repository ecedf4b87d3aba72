"""Text -> BM25 sparse vector, with Qdrant's own model (Robertson and Zaragoza, 2009; k 1.2, b .75).

The engine tokenises, drops stop words and stems; it keeps the weights of terms, not their order. A
Bm25Encoder adds what retrieval needs beside the vectors: the terms in the text's order.
A language is named as the engine names it ("english"), and None means neither stop words nor a stemmer.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain

from qdrant_edge import Bm25, Bm25Config, DisabledStemmer, Language, SnowballLanguage, SnowballParams, StopwordsSet
from qdrant_edge import TokenizerType as Tokenizer

from rag.types import SparseVector

BM25_VERSION = "1"  # vectors and terms of texts are stored: an index made with another one is made anew
UNSEGMENTED = frozenset({"chinese", "japanese", "korean", "thai"})
"""Languages whose words are not separated by spaces as the plain tokenizer needs them."""

_CODES = {"zh": "chinese", "ja": "japanese", "ko": "korean", "th": "thai"}  # the engine knows the others' itself
_SCRIPTS = {
    "kana": re.compile(r"[぀-ヿ]"),
    "hangul": re.compile(r"[가-힣ᄀ-ᇿ㄰-㆏]"),
    "han": re.compile(r"[㐀-䶿一-鿿]"),
    "thai": re.compile(r"[฀-๿]"),
    "arabic": re.compile(r"[؀-ۿݐ-ݿ]"),
    "hebrew": re.compile(r"[֐-׿]"),
    "greek": re.compile(r"[Ͱ-Ͽἀ-῿]"),
    "cyrillic": re.compile(r"[Ѐ-ӿ]"),
    "bengali": re.compile(r"[ঀ-৿]"),
    "devanagari": re.compile(r"[ऀ-ॿ]"),
    "tamil": re.compile(r"[஀-௿]"),
    "armenian": re.compile(r"[԰-֏]"),
    "latin": re.compile(r"[A-Za-zÀ-ɏ]"),
}
_ONE_LANGUAGE = {
    "kana": "japanese",
    "hangul": "korean",
    "han": "chinese",
    "thai": "thai",
    "hebrew": "hebrew",
    "greek": "greek",
    "bengali": "bengali",
    "tamil": "tamil",
    "armenian": "armenian",
}
_OTHER_SCRIPTS = {"arabic": ("arabic",), "cyrillic": ("russian", "kazakh", "tajik"), "devanagari": ("nepali",)}
_SAMPLE = 60_000  # characters that are looked at
_FEW_WORDS = 40  # too few for a vote
_VOTE = 0.17  # share of stop words below which a text is not in the language
_KANA = 0.1  # share of kana in Japanese text, which is mostly Han
_NO_STOPWORDS = StopwordsSet(languages=set(), custom=set())
_PIECE = re.compile(r"[^\W_]+")
_LONGEST_WORD = {"chinese": 4}  # characters; elsewhere:
_LONGEST_WORD_ELSEWHERE = 8
_CACHED_WORDS = 50_000


class _Pieces(dict[str, Sequence[int]]):
    """The terms of each piece of text that was met, and of one that was not. Forgets everything when it is full.

    A dictionary, so that a whole text is looked up without a step of Python's for each word.
    """

    def __init__(self, terms: Callable[[str], Sequence[int]]) -> None:
        super().__init__()
        self._terms = terms

    def __missing__(self, piece: str) -> Sequence[int]:
        if len(self) >= _CACHED_WORDS:
            self.clear()
        found = self[piece] = self._terms(piece)
        return found


class Bm25Encoder:
    """The lexical model of one index. `average_words` is what BM25 takes for the mean length of a text, stop words left
    out."""

    def __init__(self, language: str | None, average_words: float) -> None:
        language = language and _CODES.get(language.strip().lower(), language.strip().lower())
        self.language = language
        self._model = _model(language, average_words=max(average_words, 1.0))
        self._word = lru_cache(maxsize=_CACHED_WORDS)(self._word_uncached)
        self._pieces = _Pieces(self._piece)

    def document(self, text: str) -> SparseVector:
        vector = self._model.embed_document(text)
        return SparseVector(tuple(vector.indices), tuple(vector.values))

    def query(self, text: str) -> SparseVector:
        vector = self._model.embed_query(text)
        return SparseVector(tuple(vector.indices), tuple(vector.values))

    def terms(self, text: str) -> list[int]:
        """The terms of `query(text)` in the text's order, each as often as it stands."""
        return list(chain.from_iterable(map(self._pieces.__getitem__, text.split())))

    def _piece(self, piece: str) -> Sequence[int]:
        terms = self._word_uncached(piece)
        return terms if len(terms) < 2 else self._split(piece, frozenset(terms))

    def _word_uncached(self, word: str) -> tuple[int, ...]:
        return tuple(self._model.embed_query(word).indices)

    def _split(self, piece: str, terms: frozenset[int]) -> list[int]:
        """A piece of several terms: at its punctuation, and inside an unspaced run by the longest known word."""
        found: list[int] = []
        for match in _PIECE.finditer(piece):
            single = self._word(match.group())
            if len(single) > 1:
                found += self._segment(match.group(), terms)
            elif terms.issuperset(single):
                found += single
        if not terms.issubset(found):  # the engine parts words elsewhere than we do
            found = self._segment(piece, terms)
        return found + sorted(terms.difference(found))

    def _segment(self, run: str, terms: frozenset[int]) -> list[int]:
        found: list[int] = []
        longest = _LONGEST_WORD.get(self.language or "", _LONGEST_WORD_ELSEWHERE)
        start = 0
        while start < len(run):
            for length in range(min(longest, len(run) - start), 0, -1):
                word = self._word(run[start : start + length])
                if len(word) == 1 and word[0] in terms:
                    found.append(word[0])
                    start += length
                    break
            else:
                start += 1
        return found


def languages() -> list[str]:
    """Every language with stop words, a stemmer or a tokenizer of its own."""
    names = {name.lower() for kind in (Language, SnowballLanguage) for name in dir(kind) if name[:1].isupper()}
    return sorted(names | UNSEGMENTED)


def detect_language(sample: str) -> str | None:
    """The language of a text, by its script and then by whose stop words it is full of; None where it is none we know.

    Too few words for a vote count as English in Latin script.
    """
    sample = sample[:_SAMPLE]
    script = _script(sample)
    if script is None:
        return None
    if script in _ONE_LANGUAGE:
        return _ONE_LANGUAGE[script]
    if script != "latin":
        return _vote(sample, _OTHER_SCRIPTS[script])
    if _count(sample, None) < _FEW_WORDS:
        return "english"
    return _vote(sample, _latin_languages())


def _script(sample: str) -> str | None:
    """The script of most letters; Japanese by its kana, which a Han text never has, and CJK by letter counts doubled
    because one character there carries what half a word does elsewhere."""
    counts = {name: len(pattern.findall(sample)) for name, pattern in _SCRIPTS.items()}
    if counts["kana"] > _KANA * counts["han"]:
        counts["kana"] += counts["han"]
        counts["han"] = 0
    for name in ("kana", "han", "hangul"):
        counts[name] *= 2
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else None


def _vote(sample: str, candidates: tuple[str, ...]) -> str | None:
    total = _count(sample, None)
    if not total:
        return None
    shares = {language: 1 - _count(sample, language) / total for language in candidates}
    best = max(shares, key=lambda language: shares[language])
    return best if shares[best] >= _VOTE else None


def _count(sample: str, language: str | None) -> int:
    """The words of the sample, the stop words of the language left out: with b = 0 and a huge k a weight is a count."""
    return round(sum(_stop_word_counter(language).embed_document(sample).values))


@lru_cache(maxsize=64)
def _stop_word_counter(language: str | None) -> Bm25:
    return _model(language, k=1e9, b=0.0, stem=False)


@lru_cache(maxsize=1)
def _latin_languages() -> tuple[str, ...]:
    """Hinglish shares the English stop words and would win every English text."""
    others = {*_ONE_LANGUAGE.values(), *(name for names in _OTHER_SCRIPTS.values() for name in names), "hinglish"}
    return tuple(name for name in languages() if name not in others)


def _model(
    language: str | None, *, average_words: float = 256.0, k: float = 1.2, b: float = 0.75, stem: bool = True
) -> Bm25:
    tokenizer = Tokenizer.Multilingual if language in UNSEGMENTED else Tokenizer.Word
    stemmer: DisabledStemmer | SnowballParams | None = None if stem else DisabledStemmer()
    try:
        if language is not None:
            config = Bm25Config(
                k=k, b=b, avg_len=average_words, tokenizer=tokenizer, language=language, stemmer=stemmer
            )
            return Bm25(config)
    except ValueError:  # the engine has no stop words for it
        stemmer = stemmer or _stemmer(language)
    plain = stemmer or DisabledStemmer()
    return Bm25(
        Bm25Config(k=k, b=b, avg_len=average_words, tokenizer=tokenizer, stopwords=_NO_STOPWORDS, stemmer=plain)
    )


def _stemmer(language: str | None) -> SnowballParams | None:
    """Tamil and Armenian have a stemmer but no stop words."""
    kind = getattr(SnowballLanguage, (language or "").capitalize(), None)
    return SnowballParams(kind) if kind is not None else None
