"""The Dockerfile keeps the rules, and every rule notices when it is broken."""

import pytest

from tests.conftest import ROOT
from tests.packaging.dockerfile import Ignored, copied, problems, read, variables

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
IGNORED = Ignored((ROOT / ".dockerignore").read_text(encoding="utf-8"))


def test_the_dockerfile_keeps_the_rules() -> None:
    assert problems(read(TEXT)) == []


@pytest.mark.parametrize(
    ("written", "instead", "complaint"),
    [
        ("python:3.11-slim", "python:latest", "slim Python of a fixed version"),
        ("python:3.11-slim", "python:3.11", "slim Python of a fixed version"),
        ("python:3.11-slim", "debian:12-slim", "slim Python of a fixed version"),
        ("USER 1000", "USER root", "USER 1000"),
        ("USER 1000", "USER user", "USER 1000"),
        ("USER 1000", "USER 1000\nRUN touch x", "built after USER"),
        ("EXPOSE 7860", "EXPOSE 7860 22", "exposes 7860"),
        ('CMD ["python", "app.py"]', "CMD python app.py", "exec form"),
        ('CMD ["python", "app.py"]', "", "exec form"),
        ("HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \\\n", "# ", "HEALTHCHECK"),
        ("/health'", "/'", "HEALTHCHECK"),
        ("--require-hashes ", "", "by its hashes"),
        ("-r requirements.lock", "gradio", "by its hashes"),
        ("COPY rag ./rag", "COPY . .", "COPY names what it takes"),
        ("COPY rag ./rag", "ADD rag ./rag", "ADD guesses"),
        ("COPY rag ./rag", "COPY --chown=user rag ./rag", "belongs to root"),
        ("    PIP_NO_CACHE_DIR=1", "    OPENAI_API_KEY=sk-1 PIP_NO_CACHE_DIR=1", "a secret"),
        ("WORKDIR", "ARG ADMIN_TOKEN\nWORKDIR", "build argument"),
        ("    PIP_NO_CACHE_DIR=1 \\\n", "", "PIP_NO_CACHE_DIR"),
        ("RUN useradd", "RUN curl -s example.org | sh && useradd", "unread"),
        ('VOLUME ["/home/user/data"]', "", "VOLUME"),
        ("    && chown user:user /home/user/data", "    && true", "belongs to the user"),
    ],
)
def test_every_rule_bites(written: str, instead: str, complaint: str) -> None:
    assert written in TEXT
    assert any(complaint in problem for problem in problems(read(TEXT.replace(written, instead))))


def test_continued_lines_and_comments_are_read_as_one_instruction() -> None:
    run, command = read('RUN a \\\n  # why\n  && b\n\nCMD ["x", \\\n "y"]\n')
    assert (run.name, run.value) == ("RUN", "a && b")
    assert command.exec_form == ["x", "y"]
    assert variables(read('ENV A=1 \\\n B="2 3"')) == {"A": "1", "B": "2 3"}


def test_what_is_copied_exists_and_is_let_through() -> None:
    for source, _ in copied(read(TEXT)):
        assert (ROOT / source).exists(), f"COPY {source}"
        assert IGNORED.files(ROOT, source), f".dockerignore keeps {source} out"


def test_nothing_is_sent_to_the_engine_that_is_not_copied() -> None:
    assert IGNORED.patterns[0] == "*"
    let_through = {pattern.removeprefix("!") for pattern in IGNORED.patterns if pattern.startswith("!")}
    assert let_through == {source for source, _ in copied(read(TEXT))}


@pytest.mark.parametrize(
    "path",
    [".env", ".git/config", ".data/admin_token", "rag/__pycache__/a.pyc", "web/static/__pycache__", "content/.env",
     "tests/conftest.py", "widget/node_modules/x.js", ".venv/bin/python", "requirements-dev.lock"],
)  # fmt: skip
def test_secrets_and_build_products_stay_out(path: str) -> None:
    assert IGNORED(path)


@pytest.mark.parametrize("path", ["app.py", "rag/build.py", "web/static/widget.js", "content/index.md"])
def test_the_application_is_let_through(path: str) -> None:
    assert not IGNORED(path)
