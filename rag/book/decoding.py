"""The bytes of a file as text: UTF-8 with or without a mark, UTF-16, else Windows-1252."""

import codecs

_STRANGE = bytes(set(range(32)) - {0, 9, 10, 12, 13, 27})
_SAMPLE = 4_096


def decode(data: bytes) -> str:
    """Never fails: line ends are folded to newlines, the byte order mark goes, a NUL becomes a space."""
    text = _text(data)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\0", " ") if "\0" in text else text


def _text(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    unmarked = _unmarked_utf16(data[:_SAMPLE])
    if unmarked:
        return data.decode(unmarked, errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _unmarked_utf16(sample: bytes) -> str | None:
    """Half of the bytes of Latin text in UTF-16 are NUL, all on the same side."""
    half = len(sample) // 2
    if half < 4:
        return None
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > half * 0.4 and even < half * 0.05:
        return "utf-16-le"
    return "utf-16-be" if even > half * 0.4 and odd < half * 0.05 else None


def is_binary(data: bytes) -> bool:
    """True for what no text editor wrote: an image or an archive with a Markdown name."""
    sample = data[:_SAMPLE]
    if data.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"%PDF-", b"PK\x03\x04", b"\x1f\x8b", b"\x7fELF")):
        return True
    if _unmarked_utf16(sample) or data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return False
    strange = len(sample) - len(sample.translate(None, _STRANGE))
    return strange > len(sample) * 0.1
