"""`python -m rag chunks` on real books, judged by the checker of the shared material, and its failures."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ZERO = (
    "lost_words", "fences_mangled", "unfenced", "open_fence", "headless_table", "over_n", "empty", "broken_unicode",
    "token_count_off", "start_char_not_matching", "unpublished_indexed", "unknown_paths", "files_without_chunks",
    "not_placed",
)  # fmt: skip


def chunks(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "rag", "chunks", *arguments],
        cwd=ROOT,
        env=kept | {"PYTHONIOENCODING": "utf-8"} | settings,
        capture_output=True,
        encoding="utf-8",
        timeout=240,
    )


def judge(shared: Path, tmp_path: Path, content: Path, *truth: str, **settings: str) -> dict[str, Any]:
    done = chunks("--content", str(content), **settings)
    assert done.returncode == 0, done.stderr
    (tmp_path / "chunks.jsonl").write_text(done.stdout, encoding="utf-8")
    checker = [sys.executable, str(shared / "tools" / "check_chunks.py"), str(tmp_path / "chunks.jsonl"), str(content)]
    told = subprocess.run([*checker, *truth, "--show", "3"], capture_output=True, encoding="utf-8", timeout=240)
    assert told.returncode == 0, told.stderr
    print(told.stderr)
    figures: dict[str, Any] = json.loads(told.stdout)
    return figures


def assert_bars(figures: dict[str, Any], *, right: float = 0.999, headings_only: bool = False) -> None:
    assert {name: figures[name] for name in ZERO if figures[name]} == {}
    assert (figures["tables_cut"] or 0) == 0
    assert (figures["fences_cut"] or 0) <= 0.0015
    assert (figures["lists_cut"] or 0) <= 0.005
    assert figures["path_ok"] >= right
    if not headings_only:
        assert figures["heading_only"] == 0
        assert figures["small_avoidable"] <= 0.01
    if figures["url_ok"] is not None:
        assert figures["url_ok"] == 1
        assert figures["anchor_valid"] == 1
        assert figures["anchor_ok"] >= right


def test_the_redux_documentation(shared: Path, tmp_path: Path) -> None:
    corpora = shared / "corpora"
    truth = ("--truth", str(corpora / "truth" / "redux.jsonl"), "--strip-prefix", "docs/")
    site = {"BOOK_URL": "https://redux.js.org", "BOOK_ROUTE_BASE": "/", "BOOK_TRAILING_SLASH": "true"}
    figures = judge(shared, tmp_path, corpora / "redux" / "docs", *truth, **site)
    assert figures["chunks"] > 800
    assert_bars(figures)


def test_the_rust_book(shared: Path, tmp_path: Path) -> None:
    figures = judge(
        shared, tmp_path, shared / "corpora" / "rust-book" / "src", BOOK_URL="https://doc.rust-lang.org/book"
    )
    assert figures["chunks"] > 600
    assert_bars(figures)
    first = json.loads((tmp_path / "chunks.jsonl").read_text(encoding="utf-8").splitlines()[40])
    assert first["url"].startswith("https://doc.rust-lang.org/book/")
    assert ".html" in first["url"]


@pytest.mark.parametrize(
    ("name", "site"),
    [
        ("edge", {"BOOK_URL": "https://edge.example/book/"}),
        ("edge_slash", {"BOOK_URL": "https://edge.example", "BOOK_ROUTE_BASE": "/", "BOOK_TRAILING_SLASH": "true"}),
        (
            "edge_noslash",
            {"BOOK_URL": "https://edge.example/x/", "BOOK_ROUTE_BASE": "guide/book", "BOOK_TRAILING_SLASH": "false"},
        ),
    ],
)
def test_every_form_of_page_and_heading(shared: Path, tmp_path: Path, name: str, site: dict[str, str]) -> None:
    corpora = shared / "corpora"
    truth = ("--truth", str(corpora / "truth" / f"{name}.jsonl"), "--strip-prefix", "docs/")
    figures = judge(shared, tmp_path, corpora / "docusaurus-edge" / "docs", *truth, **site)
    assert_bars(figures, right=0.99, headings_only=True)


def test_the_sample_book(shared: Path, tmp_path: Path, sample_book: Path) -> None:
    truth = ROOT / "tests" / "truth" / "sample_book.jsonl"
    site = json.loads(truth.read_text(encoding="utf-8").splitlines()[0])
    arguments = ("--truth", str(truth), "--strip-prefix", "content/")
    figures = judge(shared, tmp_path, sample_book, *arguments, BOOK_URL=site["url"] + site["baseUrl"])
    assert figures["chunks"] > 100
    assert_bars(figures)


def test_a_chunk_as_a_line_of_json(tmp_path: Path) -> None:
    (tmp_path / "a b.md").write_text("# Ünï\n\nText one.\n\n## Two words\n\n" + "Long text. " * 60, encoding="utf-8")
    done = chunks("--content", str(tmp_path), BOOK_FLAVOR="docusaurus")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert list(rows[0]) == [
        "id", "path", "heading_path", "url", "anchor", "ordinal", "start_line", "end_line", "start_char", "end_char",
        "text", "embed_text", "token_count",
    ]  # fmt: skip
    assert (rows[0]["start_line"], rows[0]["end_line"], rows[0]["start_char"]) == (1, 7, 0)
    assert rows[0]["url"] == "/docs/a%20b"
    assert rows[0]["heading_path"] == ["Ünï"]
    assert rows[0]["embed_text"] == "Ünï\n\n" + rows[0]["text"]


def test_no_folder_and_an_empty_folder_are_one_sentence(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        done = chunks("--content", str(folder))
        assert done.returncode == 1
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
        assert str(folder) in done.stderr


def test_bad_settings_are_a_line_each(tmp_path: Path) -> None:
    done = chunks("--content", str(tmp_path), CHUNK_TOKENS="7", BOOK_URL="nowhere")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 2
    assert "CHUNK_TOKENS" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_read_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text("Good text.")
    (tmp_path / "bad.md").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(32)) * 10)
    done = chunks("--content", str(tmp_path), BOOK_FLAVOR="docusaurus")
    assert done.returncode == 0
    assert done.stderr == "The file bad.md is not text.\n"
    assert len(done.stdout.splitlines()) == 1


def test_an_unknown_generator_is_a_line_on_stderr(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Title\n\nGood text.\n\n## Own {#id}\n\n" + "Long text. " * 60)
    done = chunks("--content", str(tmp_path))
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if "BOOK_FLAVOR" in line] == done.stderr.splitlines() != []
    assert json.loads(done.stdout.splitlines()[0])["url"] == "/docs/a#title"
    assert not chunks("--content", str(tmp_path), BOOK_FLAVOR="other").stderr
