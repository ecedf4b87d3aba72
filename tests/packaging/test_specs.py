"""The specification stays true: every requirement has a number of its own and names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

from rag.embedding.local import LocalEmbedder
from rag.ingest.fingerprint import IndexFingerprint, average_words
from rag.markdown.chunking import CHUNKER_VERSION
from rag.markdown.windows import WINDOWS_VERSION
from rag.settings import Settings
from rag.text.bm25 import BM25_VERSION
from tests.conftest import ROOT

SPECS = ROOT / "specs" / "1-rag-backend"
_ITEM = re.compile(r"^- \*\*(R-\d{3})\*\* (.+?)(?=^- |^#|^<!--|\Z)", re.MULTILINE | re.DOTALL)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_PATH = re.compile(r"`((?:rag|web|tests|widget|benchmarks|specs|content)/[\w./-]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
REQUIREMENTS = _ITEM.findall((SPECS / "spec.md").read_text(encoding="utf-8"))
PAGES = ["spec.md", "plan.md", "data-model.md", "quickstart.md", "tasks.md", "research.md", "sizing.md"]


def defined(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_requirement_has_a_number_of_its_own_in_order() -> None:
    numbers = [number for number, _ in REQUIREMENTS]
    assert len(numbers) > 50
    assert numbers == sorted(set(numbers))
    assert len(numbers) == (SPECS / "spec.md").read_text(encoding="utf-8").count("**R-"), "one is not read"


@pytest.mark.parametrize(("number", "text"), REQUIREMENTS, ids=[number for number, _ in REQUIREMENTS])
def test_a_requirement_names_tests_that_exist(number: str, text: str) -> None:
    said, _, shown = text.partition("Shown by")
    named = _TEST.findall(shown)
    assert said.strip().endswith("."), number
    assert named, f"{number} names no test"
    assert len(named) == shown.count("`") // 2, f"{number} names something that is not a test"
    for path, name in named:
        assert (ROOT / path).is_file(), path
        assert name in defined(ROOT / path), f"{path} has no {name}"


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_points_at_is_there(page: str) -> None:
    text = (SPECS / page).read_text(encoding="utf-8")
    for path in _PATH.findall(text):
        assert (ROOT / path).exists(), f"{page} names {path}"
    for link in _LINK.findall(text):
        if not link.startswith(("http://", "https://")):
            assert (SPECS / link).exists(), f"{page} links to {link}"


def test_the_fingerprint_that_is_shown_is_todays() -> None:
    settings, embedder = Settings(), LocalEmbedder()
    recipe = IndexFingerprint(
        embedder=embedder.fingerprint,
        dimensions=embedder.dimensions,
        chunker=f"{CHUNKER_VERSION}:{settings.chunk_tokens}:{settings.chunk_overlap_tokens}",
        windows=WINDOWS_VERSION,
        encoder=BM25_VERSION,
        words=average_words(settings.chunk_tokens),
        language="english",
    )
    assert f"    {recipe.config.fingerprint}\n" in (SPECS / "data-model.md").read_text(encoding="utf-8")
