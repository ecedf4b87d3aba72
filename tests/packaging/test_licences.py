"""What was made by others says so beside it, and under which licence."""

import json
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

DATA = ROOT / "rag" / "data"
VENDORED = sorted(folder for folder in DATA.iterdir() if folder.is_dir())


@pytest.mark.parametrize("folder", VENDORED, ids=lambda folder: folder.name)
def test_vendored_data_has_its_licence_beside_it(folder: Path) -> None:
    licence = folder / "LICENSE"
    if licence.is_file():
        text = licence.read_text(encoding="utf-8")
        assert "Copyright" in text or "copyright" in text
        assert len(text) > 500, "the whole text, not its name"
        return
    for file in folder.iterdir():
        first = file.read_text(encoding="utf-8").partition("\n")[0]
        assert "Copyright" in first, f"{file.name} does not say whose it is"


def test_the_built_widget_names_what_it_holds() -> None:
    first = (ROOT / "web" / "static" / "widget.js").read_text(encoding="utf-8").partition("\n")[0]
    package = (ROOT / "widget" / "package.json").read_text(encoding="utf-8")
    [held] = json.loads(package)["dependencies"]
    assert held in first
    assert "MIT" in first
    licences = (ROOT / "web" / "static" / "widget.LICENSES.txt").read_text(encoding="utf-8")
    assert re.findall(r"^== (.+) ==$", licences, re.MULTILINE) == [held]


def test_the_project_s_own_licence_goes_into_the_image() -> None:
    assert "Ask the Book contributors" in (ROOT / "LICENSE").read_text()
    assert "LICENSE" in (ROOT / "Dockerfile").read_text()
