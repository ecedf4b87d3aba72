"""Asking, reading, following: what a reader does when everything works. Any server that speaks the contract will do."""

import json
import re

from playwright.sync_api import Page, expect

from tests.widget.fake_chat_server import SESSION, Answer, FakeChatServer
from tests.widget.reader import Reader
from tests.widget.static_site import StaticSite


def test_nothing_is_sent_before_the_reader_asks(reader: Reader, server: FakeChatServer) -> None:
    reader.visit()
    reader.open()
    reader.input.fill("half a question")
    reader.select("#first")
    reader.page.wait_for_timeout(400)
    assert server.received == []
    hosts = {url.split("/")[2] for url in reader.requested}
    assert hosts == {reader.site_url.split("/")[2], server.url.split("/")[2]}


def test_an_answer_streams_and_cites(reader: Reader, server: FakeChatServer) -> None:
    server.next(Answer(pause=0.05))
    reader.visit()
    reader.ask()
    expect(reader.answer).to_contain_text("A PID loop corrects")
    expect(reader.exchanges.last).to_have_attribute("data-running", "")
    expect(reader.answer).not_to_contain_text("Ça suffit")
    reader.wait_for_answer()
    expect(reader.answer).to_contain_text("“Ça suffit”, 制御 🙂")
    expect(reader.answer.locator("strong").first).to_have_text("PID loop")
    expect(reader.answer.locator("a.cite")).to_have_text(["1", "1", "2", "2"])
    expect(reader.exchanges.last.locator(".source .title")).to_have_text(["PID control", "Tuning"])
    expect(reader.answer).not_to_contain_text("[1]")


def test_the_question_travels_alone_and_without_cookies(reader: Reader, server: FakeChatServer) -> None:
    reader.visit()
    reader.page.context.add_cookies([{"name": "secret", "value": "1", "url": server.url}])
    reader.ask("  How does a PID loop work?  ")
    reader.wait_for_answer()
    [asked] = server.questions
    assert asked.body == {
        "question": "How does a PID loop work?",
        "page": {"url": f"{reader.site_url}/index.html", "title": "Machines that move"},
    }
    assert "cookie" not in asked.headers
    assert asked.headers["accept"] == "text/event-stream"


def test_a_conversation_remembers(reader: Reader) -> None:
    reader.visit()
    reader.ask("First?")
    reader.wait_for_answer()
    reader.ask("Second?")
    expect(reader.exchanges).to_have_count(2)
    reader.wait_for_answer()
    body = reader.asked[1]
    assert body["session_id"] == SESSION
    assert [turn["role"] for turn in body["history"]] == ["user", "assistant"]
    assert body["history"][0]["content"] == "First?"
    assert "]: " not in body["history"][1]["content"]


def test_a_citation_leads_to_its_heading_on_another_page(reader: Reader) -> None:
    reader.visit()
    reader.ask()
    reader.wait_for_answer()
    reader.answer.locator("a.cite").first.click()
    reader.page.wait_for_url("**/part-2/control.html#pid-control")
    expect(reader.page.locator("#pid-control")).to_be_in_viewport()
    expect(reader.panel).to_be_visible()
    expect(reader.answer).to_contain_text("PID loop")


def test_a_citation_on_the_same_page_scrolls_without_loading(reader: Reader) -> None:
    reader.visit("/part-2/control.html")
    reader.ask()
    reader.wait_for_answer()
    reader.page.evaluate("window.notReloaded = true")
    for heading, link in (("tuning", "2"), ("pid-control", "1"), ("pid-control", "1")):
        reader.page.evaluate("scrollTo(0, 0)")
        reader.answer.get_by_role("link", name=re.compile(f"Source {link}:")).first.click()
        expect(reader.page.locator(f"#{heading}")).to_be_in_viewport()
    assert reader.page.evaluate("window.notReloaded")


def test_a_router_that_listens_is_asked_first(reader: Reader) -> None:
    reader.visit("/spa.html")
    reader.page.evaluate("document.documentElement.dataset.router = 'event'; window.notReloaded = true")
    reader.ask()
    reader.wait_for_answer()
    reader.answer.locator("a.cite").first.click()
    expect(reader.page.locator("#route")).to_have_text("/part-2/control.html#pid-control")
    assert reader.page.evaluate("window.notReloaded")


def test_a_router_that_follows_the_history_is_told(reader: Reader, site: StaticSite) -> None:
    site.attributes = {"data-navigate": "history"}
    reader.visit("/spa.html")
    reader.page.evaluate("window.notReloaded = true")
    reader.ask()
    reader.wait_for_answer()
    reader.answer.locator("a.cite").first.click()
    expect(reader.page.locator("#route")).to_have_text("/part-2/control.html#pid-control")
    assert reader.page.evaluate("window.notReloaded")
    reader.ask("And here?")
    expect(reader.exchanges).to_have_count(2)
    assert reader.asked[1]["page"] == {
        "url": f"{reader.site_url}/part-2/control.html",
        "title": "Route /part-2/control.html",
    }


def test_links_to_another_site_open_their_own_tab(reader: Reader, server: FakeChatServer) -> None:
    source = {"n": 1, "title": "Elsewhere", "url": "https://elsewhere.invalid/page#x", "breadcrumbs": []}
    server.next(Answer(text="As said [1] and [there](http://other.invalid/).", sources=[source]))
    reader.visit()
    reader.ask()
    reader.wait_for_answer()
    for link in reader.panel.locator("a").all():
        expect(link).to_have_attribute("target", "_blank")
        expect(link).to_have_attribute("rel", "noopener")


def test_asking_about_a_selection(reader: Reader) -> None:
    reader.visit()
    reader.select("#first")
    reader.button("Ask about this").click()
    expect(reader.panel.locator(".chip q")).to_contain_text("A robot is a machine that senses")
    expect(reader.input).to_be_focused()
    expect(reader.input).to_have_value("")
    reader.ask("In other words?")
    reader.wait_for_answer()
    body = reader.asked[0]
    assert body["question"] == "In other words?"
    assert body["selection"].startswith("A robot is a machine that senses, decides and acts.")
    expect(reader.exchanges.last.locator(".question blockquote")).to_contain_text("A robot is a machine")
    expect(reader.panel.locator(".chip")).to_be_hidden()


def test_a_selection_can_be_taken_back(reader: Reader) -> None:
    reader.visit()
    reader.select("#first")
    reader.button("Ask about this").click()
    reader.button("Remove the selected text").click()
    expect(reader.panel.locator(".chip")).to_be_hidden()
    reader.ask()
    reader.wait_for_answer()
    assert "selection" not in reader.asked[0]


def test_a_long_selection_is_capped(reader: Reader) -> None:
    reader.visit()
    reader.page.evaluate("document.getElementById('first').textContent = '🙂 '.repeat(4000)")
    reader.select("#first")
    reader.button("Ask about this").click()
    reader.ask()
    reader.wait_for_answer()
    selection = reader.asked[0]["selection"]
    assert 2600 < len(selection) <= 4000
    assert selection.isprintable()


def test_text_typed_in_a_field_is_not_offered(reader: Reader) -> None:
    reader.visit()
    reader.page.locator("#search").select_text()
    reader.page.wait_for_timeout(400)
    expect(reader.button("Ask about this")).to_be_hidden()
    reader.select("#first")
    expect(reader.button("Ask about this")).to_be_visible()
    reader.page.evaluate("document.getElementById('first').contentEditable = true; getSelection().removeAllRanges()")
    expect(reader.button("Ask about this")).to_be_hidden()
    reader.select("#first")
    reader.page.wait_for_timeout(400)
    expect(reader.button("Ask about this")).to_be_hidden()


def test_a_selection_can_be_kept_out_of_it(reader: Reader, site: StaticSite) -> None:
    site.attributes = {"data-selection": "off"}
    reader.visit()
    reader.select("#first")
    reader.page.wait_for_timeout(400)
    expect(reader.button("Ask about this")).to_be_hidden()


def test_stopping_keeps_what_was_said_and_leaves_the_server(reader: Reader, server: FakeChatServer) -> None:
    server.next(Answer(pause=0.2))
    reader.visit()
    reader.ask()
    expect(reader.answer).to_contain_text("A PID loop")
    reader.button("Stop").click()
    expect(reader.exchanges.last).to_contain_text("Stopped.")
    expect(reader.answer).to_contain_text("A PID loop")
    reader.page.wait_for_timeout(800)
    assert server.questions[0].left
    reader.button("Try again").click()
    reader.wait_for_answer()
    expect(reader.exchanges).to_have_count(1)
    expect(reader.answer).to_contain_text("Ça suffit")


def test_a_new_conversation_forgets_the_old(reader: Reader) -> None:
    reader.visit()
    reader.ask()
    reader.wait_for_answer()
    reader.button("New conversation").click()
    expect(reader.exchanges).to_have_count(0)
    expect(reader.panel.locator(".greeting")).to_be_visible()
    reader.ask("Again?")
    reader.wait_for_answer()
    assert "history" not in reader.asked[1]
    assert "session_id" not in reader.asked[1]


def test_the_conversation_survives_a_reload(reader: Reader) -> None:
    reader.visit()
    reader.ask()
    reader.wait_for_answer()
    reader.input.fill("a draft")
    reader.page.reload()
    expect(reader.panel).to_be_visible()
    expect(reader.answer).to_contain_text("Ça suffit")
    expect(reader.input).to_have_value("a draft")
    reader.page.goto(reader.site_url + "/part-2/control.html")
    expect(reader.answer.locator("a.cite")).to_have_count(4)
    assert len(reader.asked) == 1


def test_a_page_left_in_the_middle_of_an_answer_keeps_its_beginning(reader: Reader, server: FakeChatServer) -> None:
    server.next(Answer(pause=0.3))
    reader.visit()
    reader.ask()
    expect(reader.answer).to_contain_text("A PID loop")
    reader.page.reload()
    expect(reader.button("Try again")).to_be_visible()
    expect(reader.answer).to_contain_text("A PID loop")
    assert len(reader.asked) == 1


def test_examples_and_questions_of_the_page(reader: Reader, site: StaticSite) -> None:
    site.attributes = {"data-examples": "What is a robot?|How do I start?"}
    reader.visit()
    reader.open()
    suggestions = reader.panel.locator(".suggestions button")
    expect(suggestions).to_have_text(
        [
            "What is a robot?",
            "How do I start?",
            "What is “Machines that move” about?",
            "Explain “Sensors”",
            "Explain “Actuators”",
        ]
    )
    suggestions.first.click()
    reader.wait_for_answer()
    assert reader.asked[0]["question"] == "What is a robot?"
    reader.page.goto(reader.site_url + "/part-2/control.html")
    reader.button("New conversation").click()
    expect(suggestions.nth(2)).to_have_text("Why halve the gain?")


def test_feedback_is_an_event_and_is_offered_to_the_server_once_in_vain(reader: Reader, server: FakeChatServer) -> None:
    reader.visit()
    reader.page.evaluate("window.heard = []; addEventListener('askthebook:feedback', (e) => heard.push(e.detail))")
    reader.ask()
    reader.wait_for_answer()
    reader.button("Helpful").click()
    expect(reader.button("Helpful")).to_have_attribute("aria-pressed", "true")
    expect(reader.button("Helpful")).to_be_focused()
    reader.page.wait_for_timeout(200)
    reader.button("Not helpful").click()
    expect(reader.button("Helpful")).to_have_attribute("aria-pressed", "false")
    reader.page.wait_for_timeout(300)
    heard = reader.page.evaluate("window.heard")
    assert [(item["rating"], item["messageId"]) for item in heard] == [("up", "message-1"), ("down", "message-1")]
    sent = [received.body for received in server.received if received.path == "/feedback"]
    assert sent[0] == {"message_id": "message-1", "session_id": SESSION, "rating": "up"}
    assert len(sent) == 1


def test_copy_takes_the_answer_with_its_links(reader: Reader) -> None:
    reader.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    reader.visit()
    reader.ask()
    reader.wait_for_answer()
    reader.button("Copy").click()
    expect(reader.button("Copied")).to_be_visible()
    copied = reader.page.evaluate("navigator.clipboard.readText()")
    assert "A **PID loop**" in copied
    assert '[1]: /part-2/control.html#pid-control "Part 2 › Control › PID control"' in copied


def test_the_page_can_drive_it_by_its_one_global(reader: Reader, page: Page) -> None:
    page.goto(reader.site_url + "/index.html")
    reader.visit()
    added = reader.page.evaluate(
        """() => {
            const frame = document.createElement('iframe');
            document.body.append(frame);
            const clean = new Set(Object.getOwnPropertyNames(frame.contentWindow));
            frame.remove();
            return Object.getOwnPropertyNames(window).filter((name) => !clean.has(name) && !/^\\d+$/.test(name));
        }"""
    )
    assert [name for name in added if not name.startswith("__") and name != "0"] == ["AskTheBook"]
    reader.page.evaluate("AskTheBook.open()")
    expect(reader.panel).to_be_visible()
    reader.page.evaluate("AskTheBook.close()")
    expect(reader.panel).to_be_hidden()
    reader.page.evaluate("AskTheBook.ask('From the page?', 'some text')")
    reader.wait_for_answer()
    assert reader.asked[0]["selection"] == "some text"
    reader.page.evaluate("AskTheBook.destroy()")
    expect(reader.page.locator("ask-the-book")).to_have_count(0)
    assert reader.page.evaluate("window.AskTheBook === undefined")


def test_a_memory_of_another_shape_does_no_harm(reader: Reader, server: FakeChatServer) -> None:
    for memory in (
        "{",
        "[]",
        "7",
        '{"conversation":{"exchanges":7}}',
        '{"open":true,"conversation":{"exchanges":[{}]}}',
    ):
        key = f"askthebook:1:{server.url}"
        reader.page.add_init_script(f"sessionStorage.setItem({json.dumps(key)}, {json.dumps(memory)})")
        reader.visit()
        reader.page.evaluate("AskTheBook.open()")
        expect(reader.panel).to_be_visible()
