"""The README's front matter as a Hugging Face Space reads it: https://huggingface.co/docs/hub/spaces-config-reference."""

import re
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
KNOWN = {
    "title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file", "short_description",
    "hf_oauth", "hf_oauth_scopes", "startup_duration_timeout", "license", "tags", "pinned", "header", "fullWidth",
    "thumbnail", "models", "datasets", "disable_embedding",
}  # fmt: skip


@pytest.fixture(scope="module")
def front() -> dict[str, Any]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\n"), "a Space reads its settings from the very first line"
    loaded = yaml.safe_load(text.split("---\n", 2)[1])
    assert isinstance(loaded, dict)
    return loaded


def test_every_field_is_one_that_spaces_know(front: dict[str, Any]) -> None:
    assert set(front) <= KNOWN
    assert {"title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file"} <= set(front)


def test_the_card_is_accepted(front: dict[str, Any]) -> None:
    assert front["title"].strip()
    assert {front["colorFrom"], front["colorTo"]} <= COLOURS
    assert 0 < len(front["short_description"]) <= 60
    assert 1 <= len(front["emoji"]) <= 2
    assert not front["emoji"].isascii()
    assert all(isinstance(tag, str) for tag in front["tags"])


def test_the_space_runs_what_is_tested_here(front: dict[str, Any]) -> None:
    locked = re.search(r"^gradio==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert front["sdk"] == "gradio"
    assert locked is not None
    assert front["sdk_version"] == locked[1]


def test_the_python_is_the_one_the_project_needs(front: dict[str, Any]) -> None:
    assert isinstance(front["python_version"], str), "unquoted, 3.10 would be the number 3.1"
    assert re.fullmatch(r"3\.\d+", front["python_version"])
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert f'requires-python = ">={front["python_version"]}"' in pyproject
    assert f"FROM python:{front['python_version']}-slim" in (ROOT / "Dockerfile").read_text()


def test_the_application_and_its_licence_are_there(front: dict[str, Any]) -> None:
    assert (ROOT / front["app_file"]).is_file()
    assert front["license"] == "mit"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")


def test_the_owner_can_sign_in(front: dict[str, Any]) -> None:
    """Without it a Space has no OAuth application, and the admin tab could be opened by the token alone."""
    assert front["hf_oauth"] is True


def test_a_first_ingest_has_time_to_start(front: dict[str, Any]) -> None:
    assert re.fullmatch(r"[1-9]\d*(m|h)", front["startup_duration_timeout"])
