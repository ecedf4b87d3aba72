"""The bytes of a file as text: UTF-8 with its invalid bytes replaced, UTF-16, UTF-32, else what a detector finds.

One broken byte in a page of UTF-8 costs that byte and no other: a page is of another encoding only when many of its
bytes beyond ASCII are invalid, or all.
"""

import codecs
import re
from dataclasses import dataclass

_STRANGE = bytes(set(range(32)) - {0, 9, 10, 12, 13, 27})
_SAMPLE = 4_096
_FEW = 3  # invalid bytes: what is left of a broken character
_DETECTED = 16_384  # bytes beyond ASCII, with what is around them, that a detector reads
_AROUND = 200
_SIMILAR = 0.1  # mess that the detector finds in a reading, of 1
_MARKS = (  # the longer ones first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_CANDIDATES = [
    *("cp1252", "cp1251", "cp1250", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r", "cp866"),
    *("shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"),
]
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]+")
_NOT_ASCII = re.compile(r"[^\0-\x7f]")
_NO_LETTER = re.compile(r"(?=[^\0-\x7f])(?:\W|[\d_])")
_MIXED = re.compile("(?<=[A-Za-z])[\u0370-\uffff]|[\u0370-\u2fff](?=[A-Za-z])")
_NO_TEXT = re.compile("[\0-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f\ue000-\uf8ff\ufffe\uffff\ufdd0-\ufdef]")
_ORDINARY = re.compile("[\t\n\r -~]")


@dataclass(frozen=True, slots=True)
class Decoded:
    """`replaced` counts the invalid bytes and code units that became U+FFFD."""

    text: str
    encoding: str
    replaced: int = 0


def decode(data: bytes) -> str:
    """The text alone, see `decoded`."""
    return decoded(data).text


def decoded(data: bytes) -> Decoded:
    """Never fails: line ends are folded to newlines, the byte order mark goes, a NUL becomes a space."""
    found = _decoded(data)
    text = found.text.removeprefix("\ufeff")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text.replace("\0", " ") if "\0" in text else text
    return found if text is found.text else Decoded(text, found.encoding, found.replaced)


def _decoded(data: bytes) -> Decoded:
    wide = _wide(data)
    if wide:
        return _replacing(data, wide)
    try:
        return Decoded(data.decode("utf-8-sig"), "utf-8")
    except UnicodeDecodeError:
        utf8 = _replacing(data, "utf-8-sig")
    invalid = len(data) - len(data.decode(errors="ignore").encode())
    valid = sum(map(len, _BEYOND_ASCII.findall(data))) - invalid
    if valid and invalid <= max(_FEW, valid // 5):
        return utf8
    return _replacing(data, _detected(data))


def _replacing(data: bytes, encoding: str) -> Decoded:
    text = data.decode(encoding, errors="replace")
    replaced = text.count("\ufffd")
    if replaced:
        replaced -= data.decode(encoding, errors="ignore").count("\ufffd")  # the author's own
    return Decoded(text, encoding.removesuffix("-sig"), replaced)


def _detected(data: bytes) -> str:
    """The legacy encoding of a page, by what stands around its bytes beyond ASCII; Windows-1252 if none is likely."""
    from charset_normalizer import from_bytes  # loads for a tenth of a second, and almost no book needs it

    parts, size, end = list[bytes](), 0, 0
    for found in _BEYOND_ASCII.finditer(data):
        if found.start() >= end:
            end = min(found.end(), found.start() + 5 * _AROUND) + _AROUND
            parts.append(data[max(0, found.start() - _AROUND) : end])
            size += len(parts[-1])
            if size > _DETECTED:
                break
    matches = from_bytes(b"\n".join(parts), cp_isolation=_CANDIDATES, enable_fallback=False)
    likely = [match for match in matches if match.chaos <= matches[0].chaos + _SIMILAR]
    best = min(
        likely, key=lambda match: (_unlikeness(str(match)), "cp1252" not in match.could_be_from_charset), default=None
    )
    return "cp1252" if best is None or "cp1252" in best.could_be_from_charset else best.encoding


def _unlikeness(text: str) -> float:
    """The share of what is beyond ASCII that is no letter, a capital, or of another script than its word."""
    beyond = len(_NOT_ASCII.findall(text))
    capitals = sum(map(str.isupper, _NOT_ASCII.findall(text)))
    return (capitals + len(_NO_LETTER.findall(text)) + len(_MIXED.findall(text))) / max(1, beyond)


def _wide(data: bytes) -> str | None:
    """UTF-16 or UTF-32, by its mark or by its NULs, which no other text has."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    sample = data[:_SAMPLE]
    if not 0.01 * len(sample) < sample.count(0) < 0.9 * len(sample):
        return None
    readings = {name: sample[: len(sample) // 4 * 4].decode(name, errors="replace") for name in _WIDE}
    name, text = max(readings.items(), key=lambda item: _likeness(item[1]))
    narrow = _likeness(sample.replace(b"\0", b"").decode("latin-1")) - sample.count(0) / len(sample)
    return name if _likeness(text) > narrow else None


def _likeness(text: str) -> float:
    """How much of a reading is text, and how much of that ordinary: what every script uses between its words."""
    if not text:
        return 0.0
    strange = len(_NO_TEXT.findall(text)) + text.count("\ufffd")
    return len(_ORDINARY.findall(text)) / len(text) - 10 * strange / len(text) if len(text) > 1 else 0.0


def is_binary(data: bytes) -> bool:
    """True for what no text editor wrote: an image or an archive with a Markdown name."""
    sample = data[:_SAMPLE]
    if data.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"%PDF-", b"PK\x03\x04", b"\x1f\x8b", b"\x7fELF")):
        return True
    if _wide(data):
        return False
    strange = len(sample) - len(sample.translate(None, _STRANGE))
    return strange > len(sample) * 0.1
