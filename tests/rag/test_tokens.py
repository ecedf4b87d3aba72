"""Counts agree with the reference encoder; nothing a book can hold breaks them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.text import tokens

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def reference(shared: Path) -> tiktoken.Encoding:
    patch = pytest.MonkeyPatch()
    patch.setenv("TIKTOKEN_CACHE_DIR", str(shared / "data" / "tiktoken"))
    encoding = tiktoken.get_encoding("cl100k_base")
    patch.undo()
    return encoding


def test_counts_are_those_of_the_reference_encoder(reference: tiktoken.Encoding, shared: Path) -> None:
    for path in sorted((shared / "corpora" / "rust-book" / "src").glob("ch0*.md")):
        text = path.read_text(encoding="utf-8")
        assert tokens.count(text) == len(reference.encode_ordinary(text))
    for text in ["", " ", "\n\n", "héllo 世界 🛠️", "<|endoftext|>", "مرحبا بالعالم", "a\r\nb", "it's 12345"]:
        assert tokens.count(text) == len(reference.encode_ordinary(text)), text


def test_counting_needs_neither_network_nor_environment(tmp_path: Path) -> None:
    program = (
        "import os, rag.text.tokens as t; b = dict(os.environ)\n"
        "assert t.count('two words') == 2; assert b == os.environ"
    )
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "HOME": str(tmp_path), "TIKTOKEN_CACHE_DIR": ""}
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []


@given(st.text(max_size=300))
def test_offsets_cover_the_text(text: str) -> None:
    ends = tokens.offsets(text)
    assert len(ends) == tokens.count(text)
    assert (ends[-1] if len(ends) else 0) == len(text.encode())
    assert list(ends) == sorted(set(ends.tolist()))


@given(st.text(max_size=200), st.integers(min_value=0, max_value=40))
@settings(max_examples=200)
def test_truncate_keeps_a_beginning_within_the_limit(text: str, limit: int) -> None:
    kept = tokens.truncate(text, limit)
    assert text.startswith(kept)
    assert tokens.count(kept) <= limit
    if tokens.count(text) <= limit:
        assert kept == text


def test_truncate_never_cuts_a_character() -> None:
    assert tokens.truncate("𓀀𓀁𓀂", 2) in ("", "𓀀")


@pytest.mark.parametrize(
    "text",
    [
        " " * 1_200_000 + "x",
        "\n" * 1_200_000 + "x",
        "x" * 3_000_000,
        "\ud800 lone \udfff",
        "\0" * 100_000,
        "`" * 1_000_000,
    ],
    ids=["spaces", "newlines", "one word", "surrogates", "nul", "backticks"],
)
def test_hostile_text_is_counted(text: str) -> None:
    start = time.perf_counter()
    assert tokens.count(text) > 0
    assert time.perf_counter() - start < 10
