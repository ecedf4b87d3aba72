"""README and docs: their links exist, their commands run, and the application answers as they show."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from rag.corpus.slugs import GithubSlugger
from rag.settings import Settings
from tests.conftest import ROOT
from tests.packaging.readme import API, README, Shown, blocks, keys, links, sessions
from tests.support.running import Running, running_app

PAGES = [
    "index.md", "01-foundations/03-balance.md", "03-control-and-learning/11-feedback-control.md",
    "04-into-the-world/glossary.md",
]  # fmt: skip
TOKEN = "the admin token"
CURLS = [shown for shown in sessions(API) if shown.command.startswith("curl ")]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A part of the sample book, large enough for the questions that the README asks. One was asked already: a figure
    is told from the first time on.
    """
    place = tmp_path_factory.mktemp("readme")
    for page in PAGES:
        (place / "content" / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / "content" / page, place / "content" / page)
    values: dict[str, Any] = {
        "_env_file": None,
        "embedder": "local",
        "generator": "extractive",
        "content_dir": place / "content",
        "data_dir": place / "data",
        "admin_token": TOKEN,
        "rate_limit": "10000/minute",
        "book_url": "https://you.github.io/book/",
    }
    with running_app(Settings(**values)) as running:
        running.wait_for_index(120)
        httpx.post(f"{running.url}/chat", json={"question": "What is balance?"}).raise_for_status()
        yield running


@pytest.mark.parametrize(("page", "link"), links(), ids=lambda value: getattr(value, "name", value))
def test_a_relative_link_leads_somewhere(page: Path, link: str) -> None:
    if link.startswith(("http://", "https://")):
        return
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    assert target.exists(), link
    if anchor:
        headings = re.findall(r"^#{1,6} +(.+?)\s*$", target.read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {GithubSlugger().slug(heading) for heading in headings}, link


def test_the_readme_is_short() -> None:
    assert README.count("\n") <= 150


def test_the_places_of_the_figures_are_there_once() -> None:
    for name in ("quality", "speed"):
        opening, closing = f"<!-- figures:{name} -->", f"<!-- /figures:{name} -->"
        assert README.count(opening) == README.count(closing) == 1
        assert README.index(opening) < README.index(closing)


def test_every_route_of_the_contract_is_shown() -> None:
    contract = yaml.safe_load((ROOT / "specs/1-rag-backend/contracts/openapi.yaml").read_text(encoding="utf-8"))
    shown = [re.sub(r"/ingest/[^/\s?]+/cancel", "/ingest/{task_id}/cancel", curl.command) for curl in CURLS]
    for path in contract["paths"]:
        assert any(re.search(rf"localhost:7860{re.escape(path)}(\s|$)", command) for command in shown), path


@pytest.mark.parametrize("shown", CURLS, ids=lambda shown: shown.command[:60])
def test_a_command_answers_as_shown(app: Running, shown: Shown) -> None:
    """Run as they stand, against a running application; every name that is shown is in the answer."""
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("curl and bash are not here: the README's commands were not run")
    admin = {"x-admin-token": TOKEN}
    task = httpx.get(f"{app.url}/ingest/status", headers=admin).json()["task_id"]
    command = shown.command.replace("localhost:7860", app.url.removeprefix("http://"))
    command = re.sub(r"/ingest/\S+/cancel", f"/ingest/{task}/cancel", command)
    command = command.replace("-…", "-0000-4000-8000-000000000000")  # a shortened id
    environment = os.environ | {"ADMIN": f"X-Admin-Token: {TOKEN}"}
    done = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout, done.stderr
    assert shown.keys <= keys(done.stdout)
    if "metrics" in command:
        names = {line.partition("{")[0].partition(" ")[0] for line in shown.answer.splitlines() if line != "…"}
        assert names <= set(re.findall(r"^\w+", done.stdout, re.MULTILINE))
    elif not shown.keys:
        assert done.stdout.strip() == shown.answer.strip()
    elif '"code":' in shown.answer:
        assert re.findall(r'"code":"\w+"', shown.answer)[0] in done.stdout


def test_the_script_runs(app: Running, tmp_path: Path) -> None:
    (script,) = blocks(API, "python")
    assert f'"{TOKEN}"' in script
    done = subprocess.run(
        [sys.executable, "-c", script.replace("http://localhost:7860", app.url)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "[1] The zero moment point https://you.github.io/book/docs/foundations/balance#zmp" in done.stdout
    assert "100 %" in done.stdout
    assert f"{len(PAGES)} documents" in done.stdout


def test_the_command_line_has_the_options_that_are_named() -> None:
    for line in blocks(README, "bash")[0].splitlines():
        command = line.split()[3]
        usage = subprocess.run(
            [sys.executable, "-m", "rag", command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for option in re.findall(r"(?<!\w)--?[a-z][\w-]*", line.replace("-m rag", "")):
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", usage), f"{command} has no {option}"


def test_every_command_of_the_command_line_is_shown() -> None:
    usage = subprocess.run(
        [sys.executable, "-m", "rag", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    commands = set(re.findall(r"^    (\w+)  ", usage, re.MULTILINE))
    assert commands == {line.split()[3] for line in blocks(README, "bash")[0].splitlines()}


def test_every_target_of_the_makefile_is_named() -> None:
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([\w-]+)", contributing))
    assert named == set(phony[1].split())
