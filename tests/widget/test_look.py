"""How it looks, on what, and for whom: theme, phone, direction, keyboard, screen readers."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.widget.fake_chat_server import Answer, FakeChatServer, Refuse
from tests.widget.reader import Reader
from tests.widget.static_site import StaticSite


def test_the_theme_follows_the_page_live(reader: Reader) -> None:
    reader.visit()
    expect(reader.frame).to_have_attribute("data-theme", "light")
    reader.page.emulate_media(color_scheme="dark")
    expect(reader.frame).to_have_attribute("data-theme", "dark")
    reader.page.evaluate("document.documentElement.dataset.theme = 'light'")
    expect(reader.frame).to_have_attribute("data-theme", "light")
    reader.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    reader.page.emulate_media(color_scheme="light")
    expect(reader.frame).to_have_attribute("data-theme", "dark")
    reader.open()
    expect(reader.panel).to_have_css("background-color", "rgb(27, 30, 35)")


def test_colours_and_words_are_the_pages(reader: Reader, site: StaticSite) -> None:
    site.attributes = {
        "data-accent": "rgb(120, 20, 60)",
        "data-title": "Frag das Buch",
        "data-strings": json.dumps({"placeholder": "Deine Frage …", "close": "Schließen", "send": "Senden"}),
        "data-theme": "dark",
        "data-side": "start",
    }
    reader.visit()
    expect(reader.launcher).to_have_text("Frag das Buch")
    expect(reader.launcher).to_have_css("background-color", "rgb(120, 20, 60)")
    reader.launcher.click()
    expect(reader.frame).to_have_attribute("data-theme", "dark")
    expect(reader.input).to_have_attribute("placeholder", "Deine Frage …")
    expect(reader.send).to_have_attribute("aria-label", "Senden")
    box = reader.panel.bounding_box()
    assert box
    assert box["x"] < 100
    reader.button("Schließen").click()
    expect(reader.panel).to_be_hidden()


def test_the_page_and_the_widget_do_not_style_each_other(reader: Reader) -> None:
    reader.visit()
    before = reader.page.evaluate("getComputedStyle(document.querySelector('h1')).cssText")
    reader.page.evaluate(
        """() => {
            const sheet = new CSSStyleSheet();
            sheet.replaceSync('* { color: red !important; letter-spacing: 1em } button { display: none !important }');
            document.adoptedStyleSheets = [sheet];
        }"""
    )
    reader.open()
    expect(reader.panel.locator("h2")).to_have_css("color", "rgb(34, 38, 44)")
    expect(reader.panel.locator("h2")).to_have_css("letter-spacing", "normal")
    expect(reader.input).to_be_focused()
    expect(reader.input).to_have_css("outline-style", "none")
    reader.page.evaluate("document.adoptedStyleSheets = []")
    assert reader.page.evaluate("getComputedStyle(document.querySelector('h1')).cssText") == before


def test_on_a_phone_it_is_a_sheet_that_gives_way_to_the_book(phone_reader: Reader) -> None:
    reader = phone_reader
    reader.page.emulate_media(reduced_motion="reduce")
    reader.visit()
    reader.launcher.tap()
    box = reader.panel.bounding_box()
    assert box
    assert (box["x"], box["width"]) == (0, 390)
    assert box["y"] + box["height"] == pytest.approx(844, abs=1)
    assert box["height"] > 760
    expect(reader.panel).to_have_attribute("aria-modal", "true")
    expect(reader.panel).to_be_focused()
    font = reader.input.evaluate("element => parseFloat(getComputedStyle(element).fontSize)")
    assert font >= 16
    reader.ask()
    reader.wait_for_answer()
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert reader.panel.locator(".conversation").evaluate("element => element.scrollWidth <= element.clientWidth")
    reader.answer.locator("a.cite").first.tap()
    reader.page.wait_for_url("**/control.html#pid-control")
    expect(reader.panel).to_be_hidden()
    expect(reader.page.locator("#pid-control")).to_be_in_viewport()
    reader.launcher.tap()
    expect(reader.answer).to_contain_text("PID loop")
    reader.answer.locator("a.cite").last.tap()
    expect(reader.panel).to_be_hidden()
    expect(reader.page.locator("#tuning")).to_be_in_viewport()


def test_right_to_left_follows_the_page(reader: Reader, server: FakeChatServer) -> None:
    server.next(Answer(text="حلقة التحكم تصحح الخطأ [1].", answered=True))
    reader.visit("/arabic.html")
    expect(reader.frame).to_have_attribute("dir", "rtl")
    box = reader.launcher.bounding_box()
    assert box
    assert box["x"] < 100
    reader.ask("كيف تعمل؟")
    reader.wait_for_answer()
    expect(reader.answer).to_have_css("direction", "rtl")
    reader.page.evaluate("document.documentElement.dir = 'ltr'")
    expect(reader.frame).to_have_attribute("dir", "ltr")


def test_the_keyboard_reaches_everything(reader: Reader, server: FakeChatServer) -> None:
    reader.visit()
    reader.page.locator("#next").focus()
    reader.page.keyboard.press("Control+i")
    expect(reader.input).to_be_focused()
    reader.page.keyboard.type("How?")
    reader.page.keyboard.press("Shift+Enter")
    reader.page.keyboard.type("Really?")
    reader.page.keyboard.press("Enter")
    reader.wait_for_answer()
    assert server.questions[0].body["question"] == "How?\nReally?"
    seen = set()
    for _ in range(40):
        reader.page.keyboard.press("Tab")
        inside = "document.activeElement.shadowRoot?.activeElement"
        assert reader.page.evaluate(f"!!{inside}"), "focus left the panel"
        seen.add(reader.page.evaluate(f"{inside}.getAttribute('aria-label') || {inside}.textContent.trim()"))
    for name in ("New conversation", "Close", "Copy", "Helpful", "Not helpful", "Try again", "Your question"):
        assert name in seen
    assert any(name.startswith("Source 1") for name in seen)
    reader.page.keyboard.press("Shift+Tab")
    reader.page.keyboard.press("Escape")
    expect(reader.panel).to_be_hidden()
    expect(reader.page.locator("#next")).to_be_focused()


def test_the_shortcut_takes_the_selection_along(reader: Reader) -> None:
    reader.visit()
    reader.select("#first")
    reader.page.keyboard.press("Control+i")
    expect(reader.panel.locator(".chip q")).to_contain_text("A robot is a machine")


def test_the_shortcut_is_the_pages_to_choose(reader: Reader, site: StaticSite) -> None:
    site.attributes = {"data-shortcut": "alt+shift+k"}
    reader.visit()
    reader.page.keyboard.press("Control+i")
    expect(reader.panel).to_be_hidden()
    reader.page.keyboard.press("Alt+Shift+K")
    expect(reader.input).to_be_focused()


def test_what_is_said_aloud_is_the_state_and_the_whole_answer_once(reader: Reader, server: FakeChatServer) -> None:
    server.next(Answer(pause=0.02))
    reader.visit()
    reader.open()
    reader.page.evaluate(
        """() => {
            window.said = [];
            const { shadowRoot } = document.querySelector('ask-the-book');
            const live = shadowRoot.querySelector('[role=status]');
            new MutationObserver(() => said.push(live.textContent)).observe(live, {childList: true, subtree: true});
        }"""
    )
    reader.ask()
    reader.wait_for_answer()
    said = reader.page.evaluate("window.said")
    assert said[0] == "Searching the book…"
    assert len(said) == 2
    assert said[1].startswith("Answer: A PID loop corrects the error")
    assert "Ça suffit" in said[1]


def test_the_end_of_a_growing_answer_stays_in_sight_unless_the_reader_scrolls_up(
    reader: Reader, server: FakeChatServer
) -> None:
    server.next(Answer(text="A line of the answer.\n\n" * 80, pause=0.05, size=60))
    reader.visit()
    reader.ask()
    scroller = reader.panel.locator(".conversation")
    from_end = "element => element.scrollHeight - element.scrollTop - element.clientHeight"
    expect(reader.answer.locator("p").nth(25)).to_be_visible()
    reader.page.wait_for_timeout(100)
    assert scroller.evaluate(from_end) < 80
    expect(reader.exchanges.last).to_have_attribute("data-running", "")
    scroller.evaluate("element => element.scrollTop = 0")
    reader.wait_for_answer()
    assert scroller.evaluate("element => element.scrollTop") == 0


def test_less_motion_where_it_is_wished(reader: Reader) -> None:
    reader.page.emulate_media(reduced_motion="reduce")
    reader.visit()
    reader.open()
    expect(reader.panel).to_have_css("animation-name", "none")
    reader.page.emulate_media(reduced_motion="no-preference")
    expect(reader.panel).to_have_css("animation-name", "rise")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious(
    browser: Browser, server: FakeChatServer, site: StaticSite, axe_source: Path, theme: str, width: int
) -> None:
    site.attributes = {"data-theme": theme, "data-examples": "What is a robot?"}
    context = browser.new_context(viewport={"width": width, "height": 844}, bypass_csp=True, reduced_motion="reduce")
    context.set_default_timeout(8000)
    try:
        reader = Reader(context.new_page(), site.url)
        reader.visit()
        assert _serious(reader, axe_source) == []
        reader.open()
        assert _serious(reader, axe_source) == []
        reader.page.evaluate("AskTheBook.ask('How?', 'the selected text')")
        reader.wait_for_answer()
        assert _serious(reader, axe_source) == []
        server.next(Refuse(503, "model_unavailable", retry_after=30))
        reader.ask("And?")
        expect(reader.problem).to_be_visible()
        reader.input.fill("next")
        assert _serious(reader, axe_source) == []
    finally:
        context.close()


def _serious(reader: Reader, axe_source: Path) -> list[dict[str, Any]]:
    if not reader.page.evaluate("'axe' in window"):
        reader.page.evaluate(axe_source.read_text(encoding="utf-8"))
    found = reader.page.evaluate("axe.run(document.querySelector('ask-the-book'), {resultTypes: ['violations']})")
    assert found["passes"], "axe looked at nothing"
    return [
        {"rule": violation["id"], "where": [node["target"] for node in violation["nodes"]]}
        for violation in found["violations"]
        if violation["impact"] in {"serious", "critical"}
    ]
