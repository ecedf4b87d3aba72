"""The sample book as a real Docusaurus build, served as GitHub Pages serves a project site: below a base path."""

import mimetypes
import os
import subprocess
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.widget.loopback import LoopbackServer

EXAMPLE = Path(__file__).resolve().parents[2] / "widget" / "examples" / "docusaurus"
BASE = "/humanoid-book/"
# Built once, whatever port the server has then.
PLACEHOLDER = "http://ask-the-book.invalid"
BUILD_SECONDS = 400


def is_installed() -> bool:
    return (EXAMPLE / "node_modules" / "@docusaurus" / "core").is_dir()


def build(content: Path, out: Path, *options: str) -> None:
    """Raises AssertionError with the end of what Docusaurus said when it cannot build the book."""
    built = subprocess.run(
        ["node", "node_modules/@docusaurus/core/bin/docusaurus.mjs", "build", "--out-dir", str(out), *options],
        cwd=EXAMPLE,
        env={**os.environ, "ASK_THE_BOOK_SERVER": PLACEHOLDER, "BOOK_CONTENT": str(content), "CI": "1"},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
    )
    assert built.returncode == 0, (built.stdout + built.stderr)[-4000:]


class DocusaurusSite(LoopbackServer):
    def __init__(self, files: Path) -> None:
        self.chat_url = ""
        self._files = files.resolve()
        super().__init__(Starlette(routes=[Route(BASE + "{path:path}", self._file)]))

    async def _file(self, request: Request) -> Response:
        path = (self._files / request.path_params["path"]).resolve()
        if path.is_dir():
            path = path / "index.html"
        if not path.is_relative_to(self._files) or not path.is_file():
            path = self._files / "404.html"
        content = path.read_bytes().replace(PLACEHOLDER.encode(), self.chat_url.encode())
        return Response(content, media_type=mimetypes.guess_type(path.name)[0])
