"""Score fusion and the word pair bonus."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.retrieval.fusion import HYBRID, LEXICAL, WordPairs, fuse
from tests.support.hits import hit

scores = st.floats(0, 50, allow_nan=False)
cosines = st.floats(-1, 1, allow_nan=False)


def test_every_kind_of_evidence_counts_with_its_weight() -> None:
    hits = [
        hit("all", bm25=10, window_bm25=8, window_cosine=0.8, chunk_cosine=0.6),
        hit("words", bm25=10, window_bm25=8, window_cosine=0.2, chunk_cosine=0.1),
        hit("window", bm25=0, window_bm25=0, window_cosine=0.8, chunk_cosine=0.1),
        hit("mean", bm25=0, window_bm25=0, window_cosine=0.2, chunk_cosine=0.6),
    ]
    found = {item.hit.chunk.path: item.score for item in fuse(hits)}
    assert found == pytest.approx({"all": 1.0, "words": 0.5, "window": 0.3, "mean": 0.2})


def test_cosines_are_stretched_and_bm25_is_not() -> None:
    hits = [hit("a", bm25=10, window_cosine=0.52), hit("b", bm25=9, window_cosine=0.50)]
    first, second = fuse(hits)
    assert first.score - second.score == pytest.approx(0.3 + 0.5 * 0.1)


def test_without_vectors_the_words_reach_the_whole_scale() -> None:
    assert fuse([hit("a", bm25=3, window_bm25=2), hit("b", bm25=1)], LEXICAL)[0].score == pytest.approx(1.0)


def test_an_index_without_windows_is_scored_by_its_chunks() -> None:
    near, far = fuse([hit("near", bm25=2, chunk_cosine=0.7), hit("far", bm25=2, chunk_cosine=0.1)])
    assert near.hit.chunk.path == "near"
    assert near.score == pytest.approx(1.0)
    assert far.score == pytest.approx(0.5)


def test_equal_scores_stand_in_the_books_order() -> None:
    hits = [hit("b.md", bm25=1), hit("a.md", ordinal=1, bm25=1), hit("a.md", ordinal=0, bm25=1)]
    assert [(item.hit.chunk.path, item.hit.chunk.ordinal) for item in fuse(hits)] == [
        ("a.md", 0),
        ("a.md", 1),
        ("b.md", 0),
    ]


def test_no_hits_no_scores() -> None:
    assert fuse([]) == []


@given(st.lists(st.tuples(scores, scores, cosines, cosines), min_size=1, max_size=20))
def test_scores_stay_on_their_scale(rows: list[tuple[float, float, float, float]]) -> None:
    hits = [
        hit(str(place), bm25=b, window_bm25=w, window_cosine=c, chunk_cosine=m)
        for place, (b, w, c, m) in enumerate(rows)
    ]
    for weights in (HYBRID, LEXICAL):
        fused = fuse(hits, weights)
        assert len(fused) == len(hits)
        assert all(-1e-9 <= item.score <= 1 + 1e-9 for item in fused)
        assert [item.score for item in fused] == sorted((item.score for item in fused), reverse=True)


@pytest.mark.parametrize(
    ("question", "text", "share"),
    [
        ([1, 2], [9, 1, 2, 9], 1.0),
        ([1, 2], [1, 9, 2], 1.0),
        ([1, 2], [1, 9, 9, 2], 0.0),
        ([1, 2], [2, 1], 0.0),
        ([1, 2, 3], [1, 2, 9, 9, 9, 3], 0.5),
        ([1, 2, 1, 2], [1, 2], 0.5),
        ([1], [1, 1], 0.0),
        ([], [1], 0.0),
        ([1, 2], [], 0.0),
    ],
)
def test_pairs_stand_in_order_within_two_words(question: list[int], text: list[int], share: float) -> None:
    assert WordPairs.of(question).share(text) == pytest.approx(share)
