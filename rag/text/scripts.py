"""What the writing system of a text tells: where words part, and whether an English model can read it."""

import re
import unicodedata

_MARKS = "\u0300-\u036f\u064b-\u065f\u0900-\u0dff"  # vowel signs and accents that belong to the word they stand in
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W_]|[{_MARKS}])+(?:['’](?:(?![{_UNSPACED}])\w)+)?")
_UNSPACED_CHARACTER = re.compile(f"[{_UNSPACED}]")
LATIN_SHARE = 0.5
ENGLISH_MODEL = "all-minilm"


def words(text: str) -> list[str]:
    """Casefolded words; of scripts that put no space between words, the single characters."""
    return [word.replace("’", "'") for word in _WORD.findall(text.casefold())]


def unspaced(text: str) -> int:
    """How many characters are of a script that puts no space between words."""
    return len(_UNSPACED_CHARACTER.findall(text))


def is_latin(text: str) -> bool:
    """True when at least half of the letters are Latin ones, and when there is no letter at all."""
    if text.isascii():
        return True
    letters = [letter for letter in text[:5000] if letter.isalpha()]
    latin = sum("LATIN" in unicodedata.name(letter, "") for letter in letters)
    return latin >= LATIN_SHARE * len(letters)


def legible(embedder: str, text: str) -> bool:
    """Whether the model behind an embedder's fingerprint can read the text: the local one knows Latin script only."""
    return not embedder.startswith(ENGLISH_MODEL) or is_latin(text)
