"""A reader's conversation: it streams, links into the book, and can be stopped, retried, edited and found again."""

import asyncio
import itertools
import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
from playwright.sync_api import expect

from tests.browser.chromium import PHONE
from tests.browser.conftest import StartApp, Visit
from tests.browser.visitor import BOOK, Visitor
from tests.support.openai_script import Refuse, Say
from tests.support.openai_server import OpenAIServer
from tests.support.running import Running
from web.analytics import Day

NUMBERS = itertools.count(1)
ANSWER = "Trim the wick every four hours [1]. A late trim leaves soot on the lens [1]."


def wick() -> str:
    """A question that nobody has asked before: answers to the same one are given again."""
    return f"How often is the wick trimmed in year {next(NUMBERS)}?"


def answered(visitor: Visitor, model: OpenAIServer, question: str = "", answer: str = ANSWER) -> Visitor:
    model.next(Say(answer), route="chat")
    visitor.ask(question or wick())
    visitor.wait_for_answer()
    return visitor


def test_an_empty_page_says_whose_book_it_is_and_what_can_be_asked(app: Running, visit: Visit) -> None:
    visitor = visit(app)
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("The lighthouse keeper's handbook")
    expect(visitor.page).to_have_title("The lighthouse keeper's handbook")
    expect(visitor.conversation).to_contain_text("Choose a question")
    expect(visitor.examples.first).to_be_visible()
    expect(visitor.note()).to_have_count(0)
    question = visitor.examples.first.inner_text()
    visitor.examples.first.click()
    visitor.wait_for_answer()
    expect(visitor.questions).to_have_text([question])
    expect(visitor.answer).not_to_be_empty()


def test_an_answer_streams_and_its_citation_opens_the_book(app: Running, model: OpenAIServer, visit: Visit) -> None:
    visitor = visit(app)
    pieces = ("Trim the wick ", "every four hours [1]", ". It is said", " that soot", " halves the", " range.")
    model.limit(pieces_per_second=2.0)
    model.next(Say(pieces), route="chat")
    visitor.ask(question := wick())
    expect(visitor.box).to_have_value("")
    citation = visitor.answer.get_by_role("link", name=re.compile("^Source 1: .*wick", re.IGNORECASE))
    expect(citation).to_have_text("1")
    assert "range" not in visitor.answer.inner_text(), "the link came only with the whole answer"
    expect(visitor.button("Stop the answer")).to_be_visible()
    expect(visitor.answer).to_contain_text("range.")
    visitor.wait_for_answer()
    with visitor.context.expect_page() as opened:
        citation.click()
    opened.value.wait_for_load_state()
    assert opened.value.url.startswith(f"{BOOK}docs/lamp/oil"), opened.value.url
    expect(visitor.questions).to_have_text([question])


def test_the_sources_of_an_answer_open_and_close(app: Running, model: OpenAIServer, visit: Visit) -> None:
    visitor = answered(visit(app), model)
    expect(visitor.sources).to_have_text(re.compile(r"\d sources?, 1 cited"))
    places = visitor.conversation.locator("ol.sources li")
    expect(places).to_have_count(0)
    visitor.sources.focus()
    visitor.page.keyboard.press("Enter")
    expect(places.first).to_be_visible()
    expect(visitor.sources).to_have_attribute("aria-expanded", "true")
    cited = visitor.conversation.locator("ol.sources li.cited")
    expect(cited).to_have_count(1)
    expect(cited.get_by_role("link")).to_have_attribute("href", re.compile(f"^{re.escape(BOOK)}docs/lamp/oil"))
    expect(cited.locator(".trail")).to_contain_text("Part 1: The lamp")
    expect(cited.locator(".snippet")).to_contain_text(re.compile("wick|oil"))
    assert "#" not in cited.locator(".snippet").inner_text()
    visitor.sources.click()
    expect(places).to_have_count(0)


def test_searching_is_shown_while_it_lasts(app: Running, model: OpenAIServer, visit: Visit) -> None:
    visitor = visit(app)
    model.limit(latency=1.5)
    visitor.ask("What does nobody yet know about the fog horn?")
    expect(visitor.sources).to_have_text("Searching the book…")
    visitor.wait_for_answer()
    expect(visitor.conversation).not_to_contain_text("Searching")


def test_stopping_keeps_what_was_said_and_ends_the_models_call(app: Running, model: OpenAIServer, visit: Visit) -> None:
    visitor = visit(app)
    model.limit(pieces_per_second=4.0)
    model.next(Say(tuple(f"Word {number} " for number in range(400))), route="chat")
    visitor.ask("What is in the red tank?")
    expect(visitor.answer).to_contain_text("Word 2")
    visitor.button("Stop the answer").click()
    expect(visitor.answer).to_contain_text("Stopped.")
    expect(visitor.answer).to_contain_text("Word 2")
    wait_for(lambda: model.requests("chat")[-1].disconnected)
    model.limit(pieces_per_second=None)
    answered(visitor, model)
    expect(visitor.answer).to_contain_text("every four hours")
    told = json.dumps(model.requests("chat")[-1].body["messages"])
    assert "Word 2" not in told, "a stopped answer is no part of the conversation"


def test_retry_edit_and_undo(app: Running, model: OpenAIServer, visit: Visit) -> None:
    visitor = answered(visit(app), model, "What burns in the lamp?", "Whale oil [1].")
    model.next(Say("Rapeseed oil [1]."), route="chat")
    visitor.button("Retry").click()
    expect(visitor.answer).to_contain_text("Rapeseed oil")
    expect(visitor.questions).to_have_text(["What burns in the lamp?"])
    visitor.wait_for_answer()
    model.next(Say("Nine litres [1]."), route="chat")
    visitor.button("Edit").click()
    visitor.page.get_by_label("Your question, to be edited").fill("How much oil <in> December?")
    visitor.button("Submit").click()
    expect(visitor.answer).to_contain_text("Nine litres")
    expect(visitor.questions).to_have_text(["How much oil <in> December?"])
    visitor.wait_for_answer()
    asked = model.requests("chat")[-1].body["messages"][-1]["content"]
    assert "How much oil <in> December?" in asked
    visitor.button("Undo").click()
    expect(visitor.questions).to_have_count(0)
    expect(visitor.box).to_have_value("How much oil <in> December?")


def test_a_follow_up_remembers_and_a_new_chat_forgets(app: Running, model: OpenAIServer, visit: Visit) -> None:
    visitor = answered(visit(app), model, "Who cleans the lens?", "The second keeper does [1].")
    answered(visitor, model, "And with what?", "With spirit of wine [1].")
    assert "The second keeper does" in json.dumps(model.requests("chat")[-1].body["messages"])
    visitor.button("New chat").click()
    expect(visitor.questions).to_have_count(0)
    answered(visitor, model, "How far is the light seen?", "Nineteen sea miles [1].")
    assert "spirit of wine [1]" not in json.dumps(model.requests("chat")[-1].body["messages"])
    visitor.history.get_by_text("Earlier chats").click()
    entries = visitor.history.locator("button.open")
    expect(entries).to_have_text(["How far is the light seen?", "Who cleans the lens?"])
    entries.last.click()
    expect(visitor.questions).to_have_text(["Who cleans the lens?", "And with what?"])
    expect(visitor.conversation.locator("a.cite").first).to_have_text("1")
    visitor.history.get_by_text("Earlier chats").click()
    visitor.history.get_by_role("button", name="Delete: How far is the light seen?").click()
    expect(visitor.history.locator("button.open")).to_have_text(["Who cleans the lens?"])


def test_a_reload_and_a_restart_find_the_conversation(
    app: Running, model: OpenAIServer, visit: Visit, start_app: StartApp
) -> None:
    visitor = answered(visit(app), model, question := wick())
    visitor.page.reload()
    expect(visitor.questions).to_have_text([question])
    expect(visitor.answer.locator("a.cite")).to_have_count(2)
    expect(visitor.history).to_contain_text("Earlier chats")
    kept = visitor.page.evaluate("({...localStorage})")
    settings = app.services.settings
    later = visit(start_app(content_dir=settings.content_dir, ready=False))
    later.page.goto(f"{later.url}/health")  # of the same origin, without the page's own hand on what is kept
    later.page.evaluate(
        "kept => Object.entries(kept).forEach(([key, value]) => localStorage.setItem(key, value))", kept
    )
    later.arrive()
    expect(later.questions).to_have_text([question])
    expect(later.answer).to_contain_text("every four hours")


def test_a_thumb_is_counted_and_taken_back(app: Running, model: OpenAIServer, visit: Visit) -> None:
    visitor = answered(visit(app), model)
    liked, disliked = today(app).liked, today(app).disliked
    visitor.button("Like").click()
    wait_for(lambda: today(app).liked == liked + 1)
    visitor.button("Dislike").click()
    wait_for(lambda: (today(app).liked, today(app).disliked) == (liked, disliked + 1))


def test_a_mind_that_is_changed_at_once_is_heard(app: Running, model: OpenAIServer, visit: Visit) -> None:
    visitor = answered(visit(app), model)
    liked, disliked = today(app).liked, today(app).disliked
    visitor.button("Like").click()
    visitor.button("Dislike").click()
    wait_for(lambda: (today(app).liked, today(app).disliked) == (liked, disliked + 1))


def today(app: Running) -> Day:
    # In a thread: the browser's own loop runs in this one.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, app.services.usage.days(1)).result()[-1]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)


def test_an_answer_is_copied_as_markdown(app: Running, model: OpenAIServer, visit: Visit) -> None:
    visitor = answered(visit(app), model, answer="Trim *it* [1]: `a < b` and $x^2$, mail@example.org.")
    visitor.button("Copy message").last.click()
    copied = visitor.page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(
        r"Trim \*it\* \[1\]\(https://book\.example\.org/\S+\): `a < b` and \$x\^2\$, mail@example\.org\.", copied
    )


def test_a_model_that_fails_is_replaced_by_the_books_words(app: Running, model: OpenAIServer, visit: Visit) -> None:
    visitor = visit(app)
    model.always(Refuse(401), route="chat")
    visitor.ask("When does the horn sound in fog?")
    visitor.wait_for_answer()
    expect(visitor.answer).to_contain_text("every ninety seconds")
    expect(visitor.answer.locator("em").first).to_contain_text("book")
    model.always(None, route="chat")
    wait_for(lambda: not httpx.get(f"{app.url}/health").json()["down"])  # the next test asks this application as well


def test_answers_in_other_directions_and_a_phone(app: Running, model: OpenAIServer, visit: Visit) -> None:
    visitor = visit(app, size=PHONE)
    answered(
        visitor, model, "كم مرة؟", "يُقص الفتيل كل أربع ساعات [1].\n\n| أ | ب |\n|---|---|\n| ١ | ٢ |\n\n" + "x" * 300
    )
    assert visitor.answer.locator("p").first.evaluate("e => getComputedStyle(e).direction") == "rtl"
    expect(visitor.answer.locator("a.cite")).to_have_count(1)
    assert visitor.overflow() <= 0
    expect(visitor.button("Ask")).to_be_in_viewport()
    visitor.history.get_by_text("Earlier chats").click()
    assert visitor.overflow() <= 0


def test_a_readers_own_words_are_shown_as_they_were_written(app: Running, model: OpenAIServer, visit: Visit) -> None:
    """An image or a link in a question is its text: neither is fetched, drawn or opened."""
    question = "![x](/static/img/logo.svg) [here](/logout) <img src=/x> `a[0]` \\[x\\] [r]"
    visitor = answered(visit(app), model, question=question)
    expect(visitor.questions).to_have_text([question])
    assert visitor.questions.locator("img, a, code, .katex").count() == 0
