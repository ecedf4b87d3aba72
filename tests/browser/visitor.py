"""A person at the page: what one sees of it, and what one does with it. Whatever breaks is a complaint."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request, Route, expect

from tests.browser.chromium import AXE, DESK

BOOK = "https://book.example.org/guide/"
STILL_MS = 350
REST_MS = 700
HEARD_MS = 5_000
TRIES = 4
PUBLISHED = "<!doctype html><title>The published book</title><h1>The published book</h1>"


class Visitor:
    """`complaints` holds console errors, page errors and requests to any host but the application's and the book's."""

    def __init__(self, browser: Browser, url: str, size: dict[str, int] | None = None, theme: str = "light") -> None:
        self.url, self.theme = url, theme
        self.complaints: list[str] = []
        viewport: Any = size or DESK
        self.context: BrowserContext = browser.new_context(
            viewport=viewport, bypass_csp=False, permissions=["clipboard-read", "clipboard-write"]
        )
        self.context.set_default_timeout(20_000)
        self.context.route(self._is_elsewhere, self._elsewhere)
        self.page: Page = self.context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))

    def _is_elsewhere(self, url: str) -> bool:
        return urlsplit(url).scheme.startswith("http") and not url.startswith(self.url)

    def _elsewhere(self, route: Route, request: Request) -> None:
        if request.url.startswith(BOOK):
            route.fulfill(body=PUBLISHED, content_type="text/html")
        else:
            self.complaints.append(f"request to another host: {request.url}")
            route.abort()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"console {message.type}: {message.text}")

    def arrive(self) -> "Visitor":
        self.page.goto(f"{self.url}/?__theme={self.theme}")
        expect(self.box).to_be_visible()
        return self

    def leave(self) -> None:
        self.context.close()
        assert not self.complaints, self.complaints

    # Chat

    @property
    def box(self) -> Locator:
        return self.page.get_by_label("Your question", exact=True)

    @property
    def conversation(self) -> Locator:
        return self.page.locator("#conversation")

    @property
    def examples(self) -> Locator:
        return self.conversation.locator("button.example")

    @property
    def sources(self) -> Locator:
        """The lines that open the lists of sources."""
        return self.conversation.locator(".thought-group > [role=button]")

    @property
    def answer(self) -> Locator:
        """The last answer's text."""
        return self.conversation.locator(".bot-row").last.locator(".message-content").last

    @property
    def questions(self) -> Locator:
        return self.conversation.locator(".user-row [data-testid=user]")

    @property
    def history(self) -> Locator:
        return self.page.locator("#history")

    def ask(self, question: str) -> None:
        """What still stands in the box was not heard, by a page that has just come perhaps, and is sent again."""
        before = self.questions.count()
        self.box.fill(question)
        for _ in range(TRIES):
            if self.box.input_value() == question:
                self.box.fill(question)
                self.box.press("Enter")
            with suppress(AssertionError):
                expect(self.questions).to_have_count(before + 1, timeout=HEARD_MS)
                return
        expect(self.questions).to_have_count(before + 1)

    def wait_for_answer(self) -> None:
        """Until the last answer is whole: nothing moves any more, and a question can be asked again."""
        expect(self.button("Retry").last).to_be_visible()
        before = ""
        while before != (before := self.conversation.inner_text()) or self.button("Stop the answer").is_visible():
            self.page.wait_for_timeout(STILL_MS)
        expect(self.button("Ask")).to_be_visible()

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def note(self) -> Locator:
        return self.page.locator(".note")

    # Admin

    def open_admin(self, token: str | None = "keeper") -> None:
        self.page.get_by_role("tab", name="Admin").click()
        if token is not None:
            self.page.get_by_label("Admin token").fill(token)
            self.button("Unlock").click()

    @property
    def job(self) -> Locator:
        return self.page.locator("#job .job")

    @property
    def documents(self) -> Locator:
        return self.page.locator("#documents")

    def section(self, name: str) -> None:
        self.page.get_by_role("tab", name=name, exact=True).click()

    # Both

    def settle(self) -> None:
        """Lets whatever has come be drawn, and whatever fades in come to rest."""
        self.page.wait_for_timeout(REST_MS)

    def serious(self) -> Sequence[dict[str, Any]]:
        """What axe finds that is serious or critical, with the pointer on nothing: under it a colour is another."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text(encoding="utf-8"))
        self.page.mouse.move(0, 0)
        self.settle()
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert found["passes"], "axe looked at nothing"
        return [
            {"rule": violation["id"], "where": [node["html"][:160] for node in violation["nodes"]][:4]}
            for violation in found["violations"]
            if violation["impact"] in {"serious", "critical"}
        ]

    def overflow(self) -> int:
        """How many pixels the page is wider than the window."""
        width: int = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return width
