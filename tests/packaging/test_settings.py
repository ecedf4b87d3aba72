"""Every setting stands in `.env.example` and in the README with its real default, and nothing else does."""

import re
from pathlib import Path
from typing import Any

import pytest

from rag.settings import Settings
from tests.conftest import ROOT

EXAMPLE = ROOT / ".env.example"
FIELDS = {name.upper(): field for name, field in Settings.model_fields.items()}
_LINE = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
_ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]*)` \| (.*?) \| (.+?) \|$", re.MULTILINE)


def as_written(default: object) -> str:
    """A default as it stands in an environment; nothing for what is unset."""
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, list):
        return ",".join(default)
    return str(default)


DEFAULTS = {name: as_written(field.get_default(call_default_factory=True)) for name, field in FIELDS.items()}


def readme_rows() -> list[tuple[str, str, str]]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    _, section = text.split("\n## Settings\n", 1)
    return _ROW.findall(section.split("\n## ", 1)[0])


def test_the_example_names_every_setting_with_its_default_and_nothing_else() -> None:
    lines = _LINE.findall(EXAMPLE.read_text(encoding="utf-8"))
    assert len(lines) == len(dict(lines)), "a setting stands there twice"
    assert dict(lines) == DEFAULTS


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


def test_the_readme_explains_every_setting_with_its_default_and_nothing_else() -> None:
    rows = readme_rows()
    assert len(rows) == len({name for name, _, _ in rows}), "a setting stands there twice"
    shown = {name: "" if default == "unset" else default.strip("`") for name, default, _ in rows}
    assert shown == DEFAULTS


def test_every_explanation_says_something() -> None:
    for name, _, meaning in readme_rows():
        assert len(meaning.split()) >= 3, name


def test_choices_are_named() -> None:
    """Where only some words are accepted, the README says which."""
    meanings = {name: meaning for name, _, meaning in readme_rows()}
    for name, field in FIELDS.items():
        for choice in _choices(field.annotation):
            assert f"`{choice}`" in meanings[name], f"{name} does not name {choice}"


def _choices(annotation: Any) -> tuple[str, ...]:
    arguments = getattr(annotation, "__args__", ())
    return arguments if all(isinstance(argument, str) for argument in arguments) else ()
