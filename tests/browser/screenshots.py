"""Pictures of the running application for the README: `python -m tests.browser.screenshots DIR`.

The real application on the sample book, offline, on a loopback port, with data of its own in a temporary folder.
"""

import sys
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, expect
from pydantic import SecretStr

from rag.settings import Settings
from tests.browser.chromium import DESK, PHONE, ROOT, chromium
from tests.browser.visitor import BOOK, Visitor
from tests.support.running import running_app

QUESTION = "How does a PID controller keep a humanoid upright?"
COLOURS = 256


@dataclass(frozen=True)
class Picture:
    name: str
    theme: str
    size: dict[str, int]


PICTURES = [
    Picture(f"{what}-{theme}-{size['width']}", theme, size)
    for what, theme, size in [
        ("chat", "light", DESK),
        ("chat", "dark", DESK),
        ("chat", "light", PHONE),
        ("chat", "dark", PHONE),
        ("empty", "light", DESK),
        ("admin", "light", DESK),
        ("admin", "dark", PHONE),
    ]
]


def take(browser: Browser, url: str, picture: Picture, folder: Path) -> None:
    visitor = Visitor(browser, url, size=picture.size, theme=picture.theme).arrive()
    expect(visitor.examples.first).to_be_visible()
    if picture.name.startswith("chat"):
        visitor.ask(QUESTION)
        visitor.wait_for_answer()
        visitor.page.wait_for_timeout(800)  # it scrolls to the end by itself first
        visitor.conversation.get_by_role("log").evaluate("element => element.scrollTo(0, 0)")
    elif picture.name.startswith("admin"):
        visitor.open_admin()
        expect(visitor.documents).to_contain_text("up to date")
    visitor.page.mouse.move(0, 0)
    visitor.page.wait_for_timeout(800)
    save(visitor.page.screenshot(), folder / f"{picture.name}.png")
    visitor.leave()


def save(picture: bytes, path: Path) -> None:
    """A palette is enough for a page, and a third of the bytes."""
    with Image.open(BytesIO(picture)) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Settings.model_config["env_file"] = None
    with tempfile.TemporaryDirectory() as data:
        settings = Settings(
            content_dir=ROOT / "content",
            data_dir=Path(data),
            book_url=BOOK,
            embedder="local",
            generator="extractive",
            qdrant_url=None,
            admin_token=SecretStr("keeper"),
            rate_limit="1000/minute",
        )
        with running_app(settings) as app, chromium() as browser:
            app.wait_for_index(300)
            for picture in PICTURES:
                take(browser, app.url, picture, folder)
                print(f"{picture.name}.png {(folder / f'{picture.name}.png').stat().st_size // 1000} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
