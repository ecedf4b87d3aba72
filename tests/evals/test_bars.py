"""The bars of retrieval quality, through the real commands and the judge beside the checkout.

hit@1, hit@5 and MRR@10 that an ingest and `search --batch` with default settings must reach on real questions, and the
share of questions about another book that must be refused. The finance set is large; it is judged with EVAL_ALL=1.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
GOLDEN = ROOT / "tests" / "evals" / "sample_book"

BARS = {
    "rustbook": (67, 90, 0.76),
    "chunkeval": (82, 96.5, 0.88),
    "xquad_en": (95.5, 99, 0.97),
    "xquad_es": (90, 98, 0.93),
    "xquad_ar": (84, 96, 0.89),
    "xquad_zh": (93, 98, 0.94),
}

BY_WORDS = {"xquad_ar", "xquad_zh"}  # what shares no word with the question is no candidate
ALMOST_ALL = 0.97
MOST = 0.90
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def command(data: Path, content: Path, *arguments: str) -> str:
    environment = os.environ | {"DATA_DIR": str(data), "CONTENT_DIR": str(content)}
    done = subprocess.run(
        [sys.executable, "-m", "rag", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> "Indexes":
    return Indexes(tmp_path_factory.mktemp("bars"))


class Indexes:
    """Every book is ingested once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def batch(self, name: str, content: Path, questions: Path) -> list[dict[str, Any]]:
        data = self._folder / name
        if not data.is_dir():
            command(data, content, "ingest")
        lines = command(data, content, "search", "--batch", str(questions), "-k", "10").splitlines()
        return [json.loads(line) for line in lines]


def judged(shared: Path, questions: Path, results: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    file = folder / "results.jsonl"
    file.write_text("\n".join(json.dumps(result) for result in results), encoding="utf-8")
    judge = [sys.executable, str(shared / "tools" / "judge_search.py"), str(questions), str(file), "--json"]
    figures: dict[str, Any] = json.loads(subprocess.run(judge, capture_output=True, text=True, check=True).stdout)
    assert figures["missing"] == 0
    return figures


@pytest.mark.parametrize("name", BARS)
def test_retrieval_reaches_its_bar(name: str, shared: Path, indexes: Indexes, tmp_path: Path) -> None:
    folder = shared / "evals" / name
    results = indexes.batch(name, folder / "content", folder / "questions.jsonl")
    fewest = 1 if name in BY_WORDS else 10
    assert all(fewest <= len(result["hits"]) <= 10 for result in results)
    figures = judged(shared, folder, results, tmp_path)
    for measure, bar in zip(("hit@1", "hit@5", "mrr@10"), BARS[name], strict=True):
        assert figures[measure][0] >= bar, figures


def test_the_sample_book_answers_its_golden_questions(
    shared: Path, sample_book: Path, indexes: Indexes, tmp_path: Path
) -> None:
    results = indexes.batch("sample", sample_book, GOLDEN / "questions.jsonl")
    figures = judged(shared, GOLDEN, results, tmp_path)
    assert figures["hit@5"][0] >= 80, figures
    assert figures["mrr@10"][0] >= 0.70, figures
    asked = [json.loads(line) for line in (GOLDEN / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    kind = {row["id"]: (row["language"], row["answerable"]) for row in asked}
    kept = [result["answered"] for result in results if kind[result["id"]] == ("en", True)]
    refused = [not result["answered"] for result in results if not kind[result["id"]][1]]
    assert sum(kept) >= 0.95 * len(kept)
    assert sum(refused) >= MOST * len(refused)


@pytest.mark.parametrize(("book", "asked"), [("xquad_en", "rustbook"), ("sample", "rustbook"), ("sample", "xquad_en")])
def test_questions_about_another_book_are_refused(
    book: str, asked: str, shared: Path, sample_book: Path, indexes: Indexes
) -> None:
    content = sample_book if book == "sample" else shared / "evals" / book / "content"
    results = indexes.batch(book, content, shared / "evals" / asked / "questions.jsonl")
    assert sum(not result["answered"] for result in results) >= MOST * len(results)


@pytest.mark.parametrize("name", ["xquad_en", "rustbook"])
def test_questions_about_this_book_are_kept(name: str, shared: Path, indexes: Indexes) -> None:
    folder = shared / "evals" / name
    results = indexes.batch(name, folder / "content", folder / "questions.jsonl")
    assert sum(result["answered"] for result in results) >= ALMOST_ALL * len(results)


@pytest.mark.parametrize(
    ("book", "heading", "title"),
    # One of the 34 parts of titles of the Rust book is a line of a hidden comment: 97.06 at most.
    [("sample", (85, 99), (88, 98)), ("redux", (85, 99), (88, 98)), ("rust-book", (85, 99), (88, 97))],
)
def test_what_a_reader_names_comes_first(
    book: str,
    heading: tuple[int, int],
    title: tuple[int, int],
    shared: Path,
    sample_book: Path,
    indexes: Indexes,
    tmp_path: Path,
) -> None:
    folder = {"redux": "docs", "rust-book": "src"}.get(book, "")
    content = shared / "corpora" / book / folder if folder else sample_book
    tool = [sys.executable, str(shared / "tools" / "topic_questions.py"), str(content), str(tmp_path), "--most", "100"]
    subprocess.run(tool, check=True, capture_output=True)
    rows = [json.loads(line) for line in (tmp_path / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    results = indexes.batch(book, content, tmp_path / "questions.jsonl")

    def hits(kind: str) -> tuple[float, float]:
        chosen = [row for row in rows if row["kind"].startswith(kind)]
        made = tmp_path / kind
        made.mkdir()
        (made / "questions.jsonl").write_text("\n".join(map(json.dumps, chosen)), encoding="utf-8")
        ids = {row["id"] for row in chosen}
        found = judged(shared, made, [result for result in results if result["id"] in ids], made)
        return found["hit@1"][0], found["hit@5"][0]

    for kind, bars in (("heading-", heading), ("title-", title)):
        found = hits(kind)
        assert found[0] >= bars[0], (kind, found)
        assert found[1] >= bars[1], (kind, found)
    forms = [hits(f"heading-{form}")[0] for form in ("bare", "mark", "tell", "book", "explain")]
    assert max(forms) - min(forms) <= 3, forms


@pytest.mark.skipif(not os.environ.get("EVAL_ALL"), reason="5,544 posts take minutes to embed: set EVAL_ALL=1")
def test_conversations_about_finance(shared: Path, indexes: Indexes, tmp_path: Path) -> None:
    folder = shared / "evals" / "mtrag_fiqa"
    rows = [json.loads(line) for line in (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()]

    def asked(name: str, wanted: list[dict[str, Any]]) -> dict[str, Any]:
        made = tmp_path / name
        made.mkdir()
        (made / "questions.jsonl").write_text("\n".join(map(json.dumps, wanted)), encoding="utf-8")
        results = indexes.batch("mtrag_fiqa", folder / "content", made / "questions.jsonl")
        return judged(shared, made, results, made)

    rewritten = asked(
        "rewritten", [row | {"question": row["rewrite"] or row["question"], "history": []} for row in rows]
    )
    assert rewritten["hit@1"][0] >= 26
    assert rewritten["hit@5"][0] >= 55
    assert rewritten["mrr@10"][0] >= 0.38
    later = [row for row in rows if row["history"]]
    alone = asked("alone", [row | {"history": []} for row in later])
    continued = asked("continued", later)
    assert continued["hit@5"][0] >= alone["hit@5"][0] + 5
