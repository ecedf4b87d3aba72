"""A reader of the book: what one sees of the widget, and what one does with it."""

from typing import Any

from playwright.sync_api import ConsoleMessage, Locator, Page, Request, expect

# What a browser says by itself about an answer of 4xx or 5xx, or none at all, is not a fault of the page.
EXPECTED_NOISE = ("Failed to load resource", "net::ERR_", "blocked by CORS policy")


class Reader:
    def __init__(self, page: Page, site_url: str) -> None:
        self.page = page
        self.site_url = site_url
        self.complaints: list[str] = []
        self.requested: list[str] = []
        self.asked: list[dict[str, Any]] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(noise in message.text for noise in EXPECTED_NOISE):
            self.complaints.append(message.text)

    def _request(self, request: Request) -> None:
        self.requested.append(request.url)
        if request.method == "POST" and request.url.endswith("/chat"):
            self.asked.append(dict(request.post_data_json or {}))

    def visit(self, path: str = "/index.html") -> None:
        self.page.goto(self.site_url + path)
        self.page.wait_for_function("window.AskTheBook")

    def open(self) -> None:
        self.launcher.click()
        expect(self.panel).to_be_visible()

    def ask(self, question: str = "How does a PID loop work?") -> None:
        if not self.panel.is_visible():
            self.open()
        self.input.fill(question)
        self.input.press("Enter")

    def wait_for_answer(self) -> None:
        expect(self.exchanges.last.locator(".tools")).to_be_visible()

    @property
    def launcher(self) -> Locator:
        return self.page.locator("ask-the-book .launcher")

    @property
    def panel(self) -> Locator:
        return self.page.locator("ask-the-book .panel")

    @property
    def frame(self) -> Locator:
        return self.page.locator("ask-the-book .frame")

    @property
    def input(self) -> Locator:
        return self.panel.locator("textarea")

    @property
    def send(self) -> Locator:
        return self.panel.locator(".send")

    @property
    def exchanges(self) -> Locator:
        return self.panel.locator(".exchange")

    @property
    def answer(self) -> Locator:
        return self.exchanges.last.locator(".answer")

    @property
    def problem(self) -> Locator:
        return self.exchanges.last.locator(".problem")

    @property
    def retry(self) -> Locator:
        return self.problem.locator(".retry")

    @property
    def announced(self) -> Locator:
        return self.panel.locator("[role=status]")

    def button(self, name: str) -> Locator:
        return self.page.locator("ask-the-book").get_by_role("button", name=name, exact=True)

    def select(self, selector: str) -> None:
        """Selects the text of an element as a mouse would."""
        self.page.locator(selector).click(click_count=3)
