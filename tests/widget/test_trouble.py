"""Everything that goes wrong on the way to an answer, and what the reader is told."""

import time

from playwright.sync_api import expect

from tests.widget.fake_chat_server import Answer, Fail, FakeChatServer, Garbage, Page, Refuse
from tests.widget.reader import Reader
from tests.widget.static_site import StaticSite

HOSTILE = """Hello <script>window.hacked = 1</script>

<img src="x" onerror="window.hacked = 2"> ![pixel](http://tracker.invalid/p.png)

<form action="http://evil.invalid"><input name="password"><button>Log in</button></form>

[click](javascript:window.hacked=3) [data](data:text/html,x) <a href="javascript:window.hacked=4">raw</a>

<style>* { display: none !important }</style><iframe src="http://evil.invalid"></iframe>

- [x] done [1]
"""


def test_too_many_questions_are_counted_down(reader: Reader, server: FakeChatServer) -> None:
    server.next(Refuse(429, "rate_limited", retry_after=3))
    reader.visit()
    reader.ask()
    expect(reader.problem).to_contain_text("Too many questions in a short time.")
    expect(reader.retry).to_be_disabled()
    for left in (3, 2, 1):
        expect(reader.retry).to_have_text(f"Try again in {left} s")
    expect(reader.retry).to_have_text("Try again")
    assert len(server.questions) == 1
    reader.retry.click()
    reader.wait_for_answer()
    expect(reader.problem).to_have_count(0)


def test_a_waking_server_is_asked_until_it_answers(reader: Reader, server: FakeChatServer) -> None:
    reader.visit()
    reader.page.clock.install()
    server.next(Page(503), Page(200), Page(502))
    reader.ask()
    for attempt in (1, 2, 3):
        expect(reader.problem).to_contain_text("waking up")
        expect(reader.retry).to_contain_text("Try again in")
        expect(reader.retry).to_be_enabled()
        assert len(server.questions) == attempt
        reader.page.clock.fast_forward(10_500)
        expect(reader.exchanges.last).to_be_visible()
        _until(reader, attempt + 1)
    reader.page.clock.fast_forward(1000)
    reader.wait_for_answer()


def test_a_waking_server_can_be_tried_at_once_or_given_up(reader: Reader, server: FakeChatServer) -> None:
    server.next(Page(503))
    reader.visit()
    reader.ask()
    expect(reader.problem).to_contain_text("waking up")
    reader.retry.click()
    reader.wait_for_answer()
    assert len(server.questions) == 2


def test_a_server_that_is_gone_and_back(reader: Reader, server: FakeChatServer) -> None:
    reader.visit()
    server.stop()
    reader.ask()
    expect(reader.problem).to_contain_text("cannot be reached")
    expect(reader.page.locator("#first")).to_be_visible()
    server.start()
    reader.retry.click()
    reader.wait_for_answer()
    expect(reader.answer).to_contain_text("Ça suffit")
    expect(reader.input).to_be_focused()


def test_a_server_that_comes_back_is_found_without_asking(reader: Reader, server: FakeChatServer) -> None:
    reader.visit()
    reader.page.clock.install()
    server.stop()
    reader.ask()
    expect(reader.retry).to_contain_text("Try again in")
    server.start()
    reader.page.clock.fast_forward(10_500)
    reader.page.clock.resume()
    reader.wait_for_answer()


def test_a_server_that_stays_away_is_not_asked_for_ever(reader: Reader, server: FakeChatServer) -> None:
    reader.visit()
    reader.page.clock.install()
    server.stop()
    reader.ask()
    for _ in range(3):
        expect(reader.retry).to_contain_text("Try again in")
        asked = len(reader.asked)
        reader.page.clock.fast_forward(10_500)
        _until(reader, asked + 1)
    expect(reader.retry).to_contain_text("Try again in")
    reader.page.clock.fast_forward(60_000)
    expect(reader.retry).to_have_text("Try again")
    assert len(reader.asked) == 4


def test_offline_waits_for_the_network(reader: Reader, server: FakeChatServer) -> None:
    reader.visit()
    reader.page.context.set_offline(True)
    reader.ask()
    expect(reader.problem).to_contain_text("You are offline.")
    assert server.questions == []
    reader.page.context.set_offline(False)
    reader.wait_for_answer()
    assert len(server.questions) == 1


def test_a_cut_stream_says_so(reader: Reader, server: FakeChatServer) -> None:
    server.next(Answer(cut_after=4, pause=0.05), Answer(cut_after=4, pause=0.05, rude=True))
    reader.visit()
    reader.ask()
    for _ in range(2):
        expect(reader.problem).to_contain_text("The answer was cut off.")
        expect(reader.answer).to_contain_text("A PID loop")
        reader.retry.click()
    reader.wait_for_answer()
    expect(reader.exchanges).to_have_count(1)


def test_garbage_is_not_an_answer(reader: Reader, server: FakeChatServer) -> None:
    server.next(Garbage())
    reader.visit()
    reader.ask()
    expect(reader.problem).to_contain_text("The answer could not be read.")
    reader.retry.click()
    reader.wait_for_answer()


def test_an_error_in_the_stream_is_the_servers_own_sentence(reader: Reader, server: FakeChatServer) -> None:
    server.next(Fail("model_unavailable", "The model is <b>away</b>.", retry_after=2))
    reader.visit()
    reader.ask()
    expect(reader.problem).to_contain_text("The model is <b>away</b>.")
    expect(reader.retry).to_contain_text("Try again in")
    reader.retry.click()
    reader.wait_for_answer()


def test_a_refusal_without_hope_has_no_retry(reader: Reader, server: FakeChatServer) -> None:
    server.next(Refuse(409, "index_empty", "The book has not been read yet."))
    reader.visit()
    reader.ask()
    expect(reader.problem).to_contain_text("The book has not been read yet.")


def test_a_degraded_answer_carries_its_notice(reader: Reader, server: FakeChatServer) -> None:
    server.next(Answer(notice="These are the book's own words."))
    reader.visit()
    reader.ask()
    reader.wait_for_answer()
    expect(reader.exchanges.last.locator(".notice")).to_have_text("These are the book's own words.")


def test_not_in_the_book_names_the_nearest_sections(reader: Reader, server: FakeChatServer) -> None:
    server.next(Answer(text="The book does not say.", answered=False))
    reader.visit()
    reader.ask()
    reader.wait_for_answer()
    expect(reader.exchanges.last.locator(".sources h4")).to_have_text("Nearest sections")
    expect(reader.exchanges.last.locator(".source")).to_have_count(3)


def test_line_ends_of_windows_are_line_ends(reader: Reader, server: FakeChatServer) -> None:
    server.next(Answer(line_end="\r\n"), Answer(line_end="\r"))
    reader.visit()
    for count in (1, 2):
        reader.ask()
        expect(reader.exchanges).to_have_count(count)
        reader.wait_for_answer()
        expect(reader.answer).to_contain_text("制御 🙂")


def test_hostile_answers_stay_text(reader: Reader, server: FakeChatServer) -> None:
    source = {"n": 1, "title": "<img src=x onerror=alert(1)>", "url": "javascript:alert(1)", "breadcrumbs": ["<b>"]}
    server.next(Answer(text=HOSTILE, sources=[source], notice="<script>window.hacked = 5</script>"))
    reader.visit()
    reader.ask("<b>bold?</b> <script>window.hacked = 6</script>")
    reader.wait_for_answer()
    expect(reader.answer).to_contain_text("<script>window.hacked = 1</script>")
    expect(reader.answer).to_contain_text("[click](javascript:window.hacked=3)")
    expect(reader.exchanges.last.locator(".question")).to_contain_text("<b>bold?</b>")
    expect(reader.exchanges.last.locator(".source .title")).to_have_text("<img src=x onerror=alert(1)>")
    forbidden = "script, img, form, input, iframe, style, object, embed, a[href^='javascript' i], a[href^='data' i]"
    expect(reader.exchanges.last.locator(forbidden)).to_have_count(0)
    assert reader.page.evaluate("window.hacked") is None
    assert not [url for url in reader.requested if "invalid" in url]


def test_a_forbidden_origin_is_refused_and_told(reader: Reader, server: FakeChatServer) -> None:
    reader.visit()
    reader.page.goto(reader.site_url.replace("127.0.0.1", "localhost") + "/index.html")
    reader.ask()
    expect(reader.problem).to_contain_text("cannot be reached from this page")
    assert server.questions == []


def test_a_page_whose_policy_forbids_the_server_is_told(
    reader: Reader, server: FakeChatServer, site: StaticSite
) -> None:
    site.attributes = {"data-server": "http://127.0.0.1:9"}
    reader.visit()
    reader.ask()
    expect(reader.problem).to_contain_text("cannot be reached from this page")
    assert any("Content Security Policy" in complaint for complaint in reader.complaints)
    reader.complaints.clear()


def test_asking_again_while_an_answer_arrives_leaves_the_first(reader: Reader, server: FakeChatServer) -> None:
    server.next(Answer(pause=0.2))
    reader.visit()
    reader.ask("First?")
    expect(reader.answer).to_contain_text("A PID loop")
    reader.page.evaluate("AskTheBook.ask('Second?')")
    reader.wait_for_answer()
    expect(reader.exchanges).to_have_count(2)
    expect(reader.exchanges.first).to_contain_text("Stopped.")
    assert server.questions[0].left


def _until(reader: Reader, times: int) -> None:
    """Until the widget has asked so often. The page's own clock stands still, so only the test's may be waited on."""
    deadline = time.monotonic() + 5
    while len(reader.asked) < times:
        assert time.monotonic() < deadline, f"asked {len(reader.asked)} times, not {times}"
        reader.page.evaluate("0")
        time.sleep(0.02)
