"""The judging of question files: what counts as found, the figures, the report, the commands."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rag.__main__ import main
from rag.chat.citations import nearest_quote
from rag.errors import ContentError
from rag.evaluation.judging import Outcome, book_links, figure, figures, is_valid, rank_of
from rag.evaluation.questions import Question, exchanges, half_of, languages, load
from rag.evaluation.report import report, table, total
from rag.types import Citation, DocumentRecord, Exchange, OutlineHeading, Passage
from tests.support.books import write_book
from tests.support.hits import chunk

GOLD = "Trim the wick every four hours. A wick that is trimmed late leaves soot on the lens."


def question(**more: object) -> Question:
    return Question(**({"id": "1", "question": "How often?", "gold_doc": ("a.md",), "gold": (GOLD,)} | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("a.md", GOLD, True),
        ("a.md", f"Before it. {GOLD} And after it, at length.", True),
        ("a.md", "Trim the   **wick**\nevery [four hours](x.md).", True),
        ("a.md", "A wick that is trimmed late leaves soot on the lens. Something else follows here.", True),
        ("a.md", "Nothing of the kind stands here, however long one looks for it in this text.", False),
        ("a.md", "wick soot late hours lens trim four every leaves trimmed", False),
        ("b.md", GOLD, False),
    ],
)
def test_a_chunk_is_right_when_it_shares_half(path: str, text: str, found: bool) -> None:
    assert (rank_of(question(), [(path, text)]) == 1) is found


def test_without_gold_pieces_any_part_of_the_document_counts() -> None:
    assert rank_of(question(gold=()), [("b.md", "x"), ("a.md", "anything")]) == 2


def test_chinese_is_counted_by_its_characters() -> None:
    asked = question(gold=("机器人每四小时需要充电一次，否则会停止工作。",))
    assert rank_of(asked, [("a.md", "机器人每四小时需要充电一次")]) == 1
    assert rank_of(asked, [("a.md", "这里完全没有提到相关的任何内容")]) is None


def test_only_the_first_ten_count() -> None:
    assert rank_of(question(), [("b.md", "x")] * 10 + [("a.md", GOLD)]) is None


def test_figures_and_their_intervals() -> None:
    found = figures([1, 2, None, 6])
    assert {name: value.value for name, value in found.items()} == {
        "hit@1": 0.25,
        "hit@3": 0.5,
        "hit@5": 0.5,
        "hit@10": 0.75,
        "mrr@10": pytest.approx((1 + 1 / 2 + 1 / 6) / 4),
    }
    for value in found.values():
        assert value.low <= value.value <= value.high
    many = figure([1.0, 0.0] * 200)
    assert 0.44 < many.low < 0.5 < many.high < 0.56
    assert figure([]).value == 0


def record(url: str = "/docs/a", anchor: str = "trimming") -> DocumentRecord:
    return DocumentRecord("a.md", "A", url, "0", (), 1, 1, 0.0, (OutlineHeading(2, "Trimming", anchor),))


def citation(url: str, quote: str) -> Citation:
    made = chunk(text=GOLD)
    return Citation(1, "A", ("A",), url, quote, Passage(1, made, 1.0, GOLD))


@pytest.mark.parametrize(
    ("url", "quote", "valid"),
    [
        ("/docs/a", "Trim the wick every four hours.", True),
        ("/docs/a#trimming", "Trim the wick\nevery four hours.", True),
        ("/docs/a#elsewhere", "Trim the wick every four hours.", False),
        ("/docs/b", "Trim the wick every four hours.", False),
        ("/docs/a", "Trim the wick every five hours.", False),
        ("/docs/a", "", False),
    ],
)
def test_a_citation_leads_into_the_book_and_quotes_its_passage(url: str, quote: str, valid: bool) -> None:
    assert is_valid(citation(url, quote), book_links([record()])) is valid


def test_headings_in_any_script_are_links_as_they_are_published() -> None:
    assert "/docs/%C3%A9#%E6%91%A9%E6%93%A6" in book_links([record("/docs/é", "摩擦")])


def test_a_real_quote_is_valid() -> None:
    quote = nearest_quote(GOLD, "The wick is trimmed every four hours")
    assert is_valid(citation("/docs/a", quote), book_links([record()]))


def outcome(rank: int | None, **more: object) -> Outcome:
    keys = {"grounded", "alone", "citations"}
    asked = question(**{key: value for key, value in more.items() if key not in keys})
    rest = {key: value for key, value in more.items() if key in keys}
    return Outcome(asked, rank, baselines={"chunks": rank, "bm25": None, "dense": rank}, **({"grounded": True} | rest))  # type: ignore[arg-type]


def test_a_baseline_with_nothing_to_go_by_has_no_figures() -> None:
    without = [replace(outcome(rank), baselines={"chunks": rank, "bm25": rank}) for rank in (1, 2)]
    assert report("set", without).baselines["dense"] == {}
    assert "dense" in (shown := table([report("set", without)]))
    assert next(line for line in shown.splitlines() if "dense" in line).split()[3:] == ["-"] * 5
    mixed = report("set", [*without, outcome(1)])
    assert mixed.baselines["dense"]["hit@1"].value == pytest.approx(1 / 3)


def test_the_report_splits_what_it_counts() -> None:
    followed = (Exchange("Earlier?", "Yes."),)
    one = report(
        "set",
        [
            outcome(1, kind="fact", citations=(True, True)),
            outcome(None, kind="code", grounded=False, citations=(False,)),
            outcome(2, history=followed, alone=None),
            outcome(None, answerable=False, gold_doc=(), gold=(), grounded=False),
            outcome(None, answerable=False, gold_doc=(), gold=(), grounded=True),
        ],
    )
    assert one.questions == 5
    assert one.retrieval["hit@1"].value == pytest.approx(1 / 3)
    assert one.baselines["bm25"]["hit@10"].value == 0
    assert one.kept is not None
    assert one.kept.value == pytest.approx(2 / 3)
    assert one.refused is not None
    assert one.refused.value == 0.5
    assert {name: value.value for name, value in one.follow_ups.items()} == {"with history": 1.0, "alone": 0.0}
    assert one.citations is not None
    assert one.citations.value == pytest.approx(2 / 3)
    assert {name: found["hit@1"].value for name, found in one.kinds.items()} == {"code": 0.0, "fact": 1.0}
    assert total([one, one])["hit@1"] == pytest.approx(1 / 3)
    shown = table([one, one])
    assert "33.3" in shown
    assert "mean" in shown
    assert "set: unanswerable questions refused 50.0" in shown
    assert json.loads(json.dumps(one.as_json()))["retrieval"]["hit@1"]["value"] == pytest.approx(1 / 3)


def test_a_set_in_several_languages_is_reported_by_each() -> None:
    one = report(
        "set",
        [
            outcome(1, language="en"),
            outcome(None, language="en"),
            outcome(1, language="en", grounded=False),
            outcome(2, language="de", grounded=False),
            outcome(None, language="de", answerable=False, gold_doc=(), gold=(), grounded=False),
            outcome(None, language="ur", answerable=False, gold_doc=(), gold=(), grounded=True),
        ],
    )
    english, german, urdu = (one.languages[name] for name in ("en", "de", "ur"))
    assert list(one.languages) == ["en", "de", "ur"]
    assert [part.questions for part in (english, german, urdu)] == [3, 2, 1]
    assert (english.kept, english.refused) == (figure([1.0, 1.0, 0.0]), None)
    assert english.retrieval == figures([1, None, 1])
    assert english.retrieval["hit@1"].low < english.retrieval["hit@1"].value < english.retrieval["hit@1"].high
    assert german.retrieval["mrr@10"].value == 0.5
    assert (german.kept, german.refused) == (figure([0.0]), figure([1.0]))
    assert (urdu.retrieval, urdu.kept, urdu.refused) == ({}, None, figure([0.0]))
    assert json.loads(json.dumps(one.as_json()))["languages"]["de"]["refused"]["value"] == 1.0
    shown = table([one], baselines=False)
    rows = {" ".join(line.split()[2:4]): line.split()[4:] for line in shown.splitlines()[2:5]}
    assert rows["in de"][0] == "0.0"
    assert rows["in de"][3] == "100.0"
    assert rows["in ur"] == ["-"] * 5
    assert "set, in de: unanswerable questions refused 100.0" in shown
    assert "set, in en: unanswerable" not in shown


def test_a_set_in_one_language_is_not_split() -> None:
    one = report("set", [outcome(1, language="en"), outcome(2, question="And the wick?"), outcome(2, question="PID?")])
    assert one.languages == {}
    assert "in en" not in table([one])


def test_a_language_is_the_sets_own_or_told() -> None:
    asked = [question(language="en", question="Zero moment point?"), question(question="¿Qué es el par de un motor?")]
    assert languages(asked) == ["en", "es"]
    assert languages([*asked, question(question="PID?")]) == ["en", "es", "other"]
    assert languages([]) == []


def test_a_question_that_is_told_wrong_is_no_language() -> None:
    asked = [question(question="How is the wick trimmed?")] * 99
    odd = question(question="¿Qué es el par de un motor?")
    assert set(languages([*asked, odd])) == {"en"}
    assert languages([*asked, question(question="Wie hell ist die Lampe?", language="de"), odd])[-2:] == ["de", "other"]


@pytest.mark.parametrize(
    "history",
    [
        [{"user": "One?", "assistant": "First."}, {"user": "Two?", "assistant": "Second."}],
        [
            {"role": "user", "content": "One?"},
            {"role": "assistant", "content": "First."},
            {"role": "user", "content": "Two?"},
            {"role": "assistant", "content": "Second."},
        ],
        [{"question": "One?", "answer": "First."}, {"question": "Two?", "answer": "Second."}],
    ],
)
def test_histories_come_in_three_shapes(history: list[object]) -> None:
    assert exchanges(history) == (Exchange("One?", "First."), Exchange("Two?", "Second."))


def test_plain_questions_are_a_history_too_and_nonsense_is_none() -> None:
    assert exchanges(["One?", 7, {"role": "system", "content": "x"}]) == (Exchange("One?", ""),)


@pytest.mark.parametrize(
    ("content", "message"),
    [('{"id": 1}\n', "line 1"), ('{"question": "a"}\n\nnot json\n', "line 3"), ('["a"]', "line 1")],
)
def test_a_bad_line_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "questions.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(ContentError, match=message):
        load(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="nowhere"):
        load(tmp_path / "nowhere.jsonl")


def written_set(folder: Path) -> Path:
    write_book(folder / "content")
    rows = [
        {"id": "a", "question": "How often must the wick be trimmed?", "gold_doc": ["01-lamp/01-oil.md"]},
        {"id": "b", "question": "Who won the football world cup?", "answerable": False, "gold_doc": []},
        {
            "id": "c",
            "question": "And why not with water?",
            "gold_doc": ["01-lamp/02-lens.md"],
            "history": [{"user": "How do I clean the lens?", "assistant": "With spirit."}],
        },
    ]
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return folder


def test_eval_judges_a_set_with_its_own_book(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = written_set(tmp_path / "lighthouse")
    assert main(["eval", str(made), "--json", "--baselines", "--min-hit5", "0.9"]) == 0
    one = json.loads(capsys.readouterr().out)["sets"][0]
    assert one["name"] == "lighthouse"
    assert one["retrieval"]["hit@5"]["value"] == 1.0
    assert one["refused"]["value"] == 1.0
    assert one["citations"]["value"] == 1.0
    assert set(one["baselines"]) == {"chunks", "bm25", "dense"}


def test_eval_fails_below_the_bar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = written_set(tmp_path / "lighthouse")
    rows = (made / "questions.jsonl").read_text(encoding="utf-8").replace("01-lamp/01-oil.md", "02-sea/99-none.md")
    (made / "questions.jsonl").write_text(rows, encoding="utf-8")
    assert main(["eval", str(made), "--min-hit5", "0.9", "--answers", "0"]) == 1
    captured = capsys.readouterr()
    assert "hit@5 is 50.0 %, below 90.0 %" in captured.err
    assert "lighthouse" in captured.out


def test_eval_tells_the_languages_of_a_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = written_set(tmp_path / "lighthouse")
    row = {"id": "d", "question": "¿Qué es wick?", "gold_doc": ["01-lamp/01-oil.md"]}
    with (made / "questions.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n" + json.dumps(row))
    assert main(["eval", str(made), "--json", "--answers", "0"]) == 0
    parts = json.loads(capsys.readouterr().out)["sets"][0]["languages"]
    assert {name: part["questions"] for name, part in parts.items()} == {"en": 3, "es": 1}
    assert parts["en"]["refused"]["value"] == 1.0
    assert set(parts["es"]["retrieval"]) == {"hit@1", "hit@3", "hit@5", "hit@10", "mrr@10"}
    assert main(["eval", str(made), "--answers", "0"]) == 0
    assert "  in es  " in capsys.readouterr().out


def test_batch_gives_k_hits_for_every_question(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = written_set(tmp_path / "lighthouse")
    monkeypatch.setenv("CONTENT_DIR", str(made / "content"))
    assert main(["ingest"]) == 0
    capsys.readouterr()
    assert main(["search", "--batch", str(made / "questions.jsonl"), "-k", "3"]) == 0
    results = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["id"], one["answered"], len(one["hits"])) for one in results] == [
        ("a", True, 3),
        ("b", False, 3),
        ("c", True, 3),
    ]
    assert set(results[0]["hits"][0]) == {"path", "anchor", "heading_path", "url", "score", "text"}
    assert results[2]["hits"][0]["path"] == "01-lamp/02-lens.md"


def test_the_halves_are_fixed_disjoint_and_about_equal() -> None:
    ids = [f"question-{number}" for number in range(400)]
    halves = [half_of(question_id) for question_id in ids]
    assert halves == [half_of(question_id) for question_id in ids]
    assert 160 <= halves.count("tune") <= 240
    assert [half_of(f"question-{number}") for number in range(4)] == ["report", "tune", "report", "tune"]
