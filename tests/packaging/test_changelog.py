"""One version, everywhere it is told."""

import re
import tomllib

import yaml

import rag
from tests.conftest import ROOT

TEXT = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_latest_release_is_this_version() -> None:
    releases = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$", TEXT, re.MULTILINE)
    assert releases[0] == rag.__version__
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == rag.__version__
    contract = yaml.safe_load((ROOT / "specs/1-rag-backend/contracts/openapi.yaml").read_text(encoding="utf-8"))
    assert contract["info"]["version"] == rag.__version__


def test_the_form_is_kept() -> None:
    assert TEXT.startswith("# Changelog\n")
    assert "## [Unreleased]" in TEXT
    assert set(re.findall(r"^### (.+)$", TEXT, re.MULTILINE)) <= KINDS
