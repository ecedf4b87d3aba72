"""Deltas and Cited in their order, quotes that stand in the book, and link definitions that nobody can forge."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from rag.chat.citations import QUOTE_CHARACTERS, CitationStream, definition, nearest_quote, safe_url
from rag.events import Cited, Delta
from rag.types import Chunk, Passage

CONTROL = (
    "A robot falls without feedback. A PID controller corrects the error between the wanted and the measured angle. "
    "The integral part removes what remains.\n\n```python\nu = kp * error[1]\n```\n\nTune the gains slowly."
)
WALKING = "The zero moment point stays inside the support polygon. Steps are planned ahead."


def passage(number: int, text: str, *headings: str, url: str = "/docs/control", anchor: str | None = "pid") -> Passage:
    chunk = Chunk(f"id-{number}", "control.md", headings, url, anchor, 0, (0, 1), (0, len(text)), text, 10)
    return Passage(number, chunk, 0.5, text, (chunk.id,))


PASSAGES = (
    passage(1, CONTROL, "Control", "PID control"),
    passage(2, WALKING, "Walking", 'The "ZMP" & more', url="https://book.example/walk (2)", anchor=None),
)


def events_of(pieces: list[str]) -> tuple[CitationStream, list[Delta | Cited]]:
    stream = CitationStream(PASSAGES)
    events = [event for piece in pieces for event in stream.feed(piece)]
    return stream, events + stream.finish()


def outline(events: list[Delta | Cited]) -> list[str | int]:
    """Text between citations, and the numbers."""
    result: list[str | int] = [""]
    for event in events:
        if isinstance(event, Cited):
            result += [event.citation.number, ""]
        else:
            result[-1] = str(result[-1]) + event.text
    return result


def test_a_citation_follows_the_delta_with_its_marker_and_comes_once() -> None:
    _, events = events_of(["It corrects the error [", "1", "]. It walks [2][1].", " More [9] [2]."])
    assert outline(events) == ["It corrects the error [1]", 1, ". It walks [2]", 2, " [1]. More [2]."]
    for before, after in pairwise(events):
        if isinstance(after, Cited):
            assert isinstance(before, Delta)
            assert before.text.endswith(f"[{after.citation.number}]")


def test_the_answer_ends_with_one_definition_per_citation() -> None:
    stream, _ = events_of(["Walks [2], corrects [1], ignores [7].\n"])
    assert stream.answer == (
        "Walks [2], corrects [1], ignores.\n\n"
        '[1]: /docs/control#pid "Control › PID control"\n'
        '[2]: https://book.example/walk%20%282%29 "Walking › The \\"ZMP\\" & more"'
    )
    assert [citation.number for citation in stream.citations] == [1, 2]


def test_an_answer_without_citations_has_no_definitions() -> None:
    stream, events = events_of(["Nothing", " here."])
    assert stream.answer == "Nothing here."
    assert outline(events) == ["Nothing here."]


def test_every_renderer_turns_the_markers_into_links_to_the_book() -> None:
    stream, _ = events_of(["One [1], two [2]. [evil](http://evil.example)\n\n[1]: http://evil.example\n\n```\na[1]"])
    html = MarkdownIt().render(stream.answer)
    assert '<a href="/docs/control#pid" title="Control › PID control">1</a>' in html
    assert (
        '<a href="https://book.example/walk%20%282%29" title="Walking › The &quot;ZMP&quot; &amp; more">2</a>' in html
    )
    assert html.count("<a ") == 3  # the forged definition's marker is one of ours as well
    assert 'href="http://evil.example"' not in html
    assert "a[1]" in html


def test_the_quote_is_the_sentence_nearest_to_the_claim() -> None:
    stream, _ = events_of(["Some talk first. The PID controller corrects the measured angle's error [1]. And [2]."])
    assert stream.citations[0].quote == (
        "A PID controller corrects the error between the wanted and the measured angle."
    )
    after, _ = events_of(["The integral part removes what remains. [1]"])
    assert after.citations[0].quote == "The integral part removes what remains."


def test_a_claim_can_be_in_any_script() -> None:
    text = "机器人需要反馈。比例积分微分控制器修正误差。步行需要规划。"
    assert nearest_quote(text, "控制器如何修正误差") == "比例积分微分控制器修正误差。"


@given(st.text(max_size=700), st.text(max_size=80))
def test_a_quote_stands_word_for_word_in_the_passage(text: str, claim: str) -> None:
    quote = nearest_quote(text, claim)
    assert quote in text
    assert len(quote) <= QUOTE_CHARACTERS
    assert bool(quote) == bool(text.strip())


@given(st.text(alphabet='ab"\\[]()<>&;`\n #é猫', max_size=30))
def test_no_heading_breaks_out_of_its_definition(heading: str) -> None:
    stream = CitationStream([passage(1, "Text.", "Page", heading)])
    stream.feed("Claim [1]")
    stream.finish()
    line = definition(stream.citations[0])
    assert line is not None
    assert "\n" not in line
    assert MarkdownIt().render(f"[1]\n\n{line}\n").count('<a href="/docs/control#pid"') == 1
    assert MarkdownIt().render(line).strip() == ""


def test_only_http_and_the_site_s_own_paths_are_linked() -> None:
    assert safe_url("https://a.example/ü?q=1&r=2#x y") == "https://a.example/%C3%BC?q=1&r=2#x%20y"
    assert safe_url("/docs/%C3%BC#100%") == "/docs/%C3%BC#100%25"
    assert safe_url("docs/control#a<b>") == "docs/control#a%3Cb%3E"
    for bad in ("javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "//evil.example/x", "/\\evil", ""):
        assert safe_url(bad) is None
    stream = CitationStream([passage(1, "Text.", "Page", url="javascript:alert(1)")])
    stream.feed("Claim [1]")
    stream.finish()
    assert stream.answer == "Claim [1]"
    assert stream.citations[0].url == ""


@given(
    st.lists(st.sampled_from(["[1]", "[2]", "[9]", "[1, 2]", " ", "claim", ".", "`", "\n", "](", "x)"]), max_size=40),
    st.lists(st.integers(0, 120), max_size=8),
)
def test_where_the_pieces_are_split_changes_no_event(parts: list[str], cuts: list[int]) -> None:
    text = "".join(parts)
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieced, pieced_events = events_of([text[start:end] for start, end in pairwise(places)])
    whole, whole_events = events_of([text])
    assert outline(pieced_events) == outline(whole_events)
    assert pieced.answer == whole.answer
    assert pieced.citations == whole.citations
