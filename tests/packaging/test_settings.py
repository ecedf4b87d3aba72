"""`.env.example` and docs/settings.md are what the settings generate, and say enough."""

import re
from pathlib import Path
from typing import Any

import pytest

from rag.cli.settings import example, page
from rag.settings import Settings
from tests.conftest import ROOT

EXAMPLE = ROOT / ".env.example"
MEANINGS = {name: field.description or "" for name, field in Settings.model_fields.items()}


def test_the_generated_files_are_up_to_date() -> None:
    """`make docs` writes them."""
    assert EXAMPLE.read_text(encoding="utf-8") == example()
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == page()


def test_every_setting_is_in_a_group_once() -> None:
    shown = re.findall(r"^\| `([A-Z0-9_]+)` \|", page(), re.MULTILINE)
    assert shown == [name.upper() for name in Settings.model_fields]


def test_the_example_as_it_is_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Copied to .env it gives the settings of an empty environment."""
    monkeypatch.delenv("DATA_DIR")
    untouched = Settings.load()
    copy = tmp_path / ".env"
    copy.write_bytes(EXAMPLE.read_bytes())
    monkeypatch.setitem(Settings.model_config, "env_file", str(copy))
    assert Settings.load().model_dump() == untouched.model_dump()


def test_every_line_of_the_example_is_a_setting_a_comment_or_empty() -> None:
    """A comment beside a value would become part of it in readers simpler than ours."""
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        assert not line or line.startswith("#") or re.fullmatch(r"[A-Z0-9_]+=[^\s#]*", line), line


def test_every_explanation_says_something() -> None:
    for name, meaning in MEANINGS.items():
        assert len(meaning.split()) >= 3, name


def test_choices_are_named() -> None:
    """Where only some words are accepted, the description says which."""
    for name, field in Settings.model_fields.items():
        for choice in _choices(field.annotation):
            assert f"`{choice}`" in MEANINGS[name], f"{name} does not name {choice}"


def _choices(annotation: Any) -> tuple[str, ...]:
    arguments = getattr(annotation, "__args__", ())
    return arguments if all(isinstance(argument, str) for argument in arguments) else ()
