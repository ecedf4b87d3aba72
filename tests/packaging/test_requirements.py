"""What is installed: direct dependencies with bounds in requirements.txt, everything with hashes in the locks."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.conftest import ROOT

LOCKS = ["requirements.lock", "requirements-dev.lock"]
OURS = {"rag", "web", "app"}
OPTIONAL = {"spaces"}  # ZeroGPU hardware brings it; the one import is guarded
LOCKED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")


def listed(text: str) -> Iterator[tuple[Requirement, str]]:
    """Every requirement with the comment beside it."""
    for line in text.splitlines():
        written, _, comment = line.partition("#")
        if written.strip() and not written.startswith("-r "):
            yield Requirement(written.strip()), comment.strip()


def direct() -> dict[str, tuple[Requirement, str]]:
    found = listed((ROOT / "requirements.txt").read_text())
    return {canonicalize_name(requirement.name): (requirement, comment) for requirement, comment in found}


def imported() -> dict[str, list[str]]:
    """The top-level modules that the application imports from elsewhere, and where."""
    found: dict[str, list[str]] = {}
    files = [ROOT / "app.py", *(ROOT / "rag").rglob("*.py"), *(ROOT / "web").rglob("*.py")]
    for file in files:
        for module in _modules(file):
            if module not in sys.stdlib_module_names and module not in OURS | OPTIONAL:
                found.setdefault(module, []).append(str(file.relative_to(ROOT)))
    return found


def _modules(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def locked(name: str) -> dict[str, Version]:
    matches = map(LOCKED.match, (ROOT / name).read_text().splitlines())
    return {canonicalize_name(m["name"]): Version(m["version"]) for m in matches if m}


def test_every_import_is_a_direct_dependency() -> None:
    names = packages_distributions()
    missing = {
        module: places
        for module, places in imported().items()
        if not {canonicalize_name(name) for name in names.get(module, [])} & set(direct())
    }
    assert not missing, "imported, but not in requirements.txt"


def test_every_dependency_is_imported_or_says_why_it_is_there() -> None:
    names = packages_distributions()
    used = {canonicalize_name(name) for module in imported() for name in names.get(module, [])}
    idle = [name for name, (_, comment) in direct().items() if name not in used and not comment]
    assert not idle, "neither imported nor explained"


def test_bounds_leave_a_space_room_to_resolve() -> None:
    for name, (requirement, comment) in direct().items():
        operators = {specifier.operator for specifier in requirement.specifier}
        if operators == {"=="}:
            assert comment, f"{name} is pinned without a reason"
            continue
        assert operators == {">=", "<"}, f"{name} needs a floor and an upper bound"
        (above,) = [Version(s.version) for s in requirement.specifier if s.operator == "<"]
        assert above.release[1:] in {(), (0,)}, f"{name} is bounded by something other than a major version"


def test_gradio_is_never_pinned() -> None:
    """A Space installs its sdk_version in the same call: a pin that differs would break its build."""
    requirement, _ = direct()["gradio"]
    assert "==" not in str(requirement.specifier)
    assert requirement.extras == {"oauth", "mcp"}, "as a Space installs it"


def test_requirements_hold_no_hashes_addresses_or_options() -> None:
    text = (ROOT / "requirements.txt").read_text()
    assert "--" not in text
    assert "://" not in text
    assert " @ " not in text


def test_each_is_listed_once() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        names = [canonicalize_name(r.name) for r, _ in listed((ROOT / name).read_text())]
        assert len(names) == len(set(names)), name


@pytest.mark.parametrize("name", LOCKS)
def test_the_locked_versions_are_within_the_bounds(name: str) -> None:
    versions = locked(name)
    for requirement, _ in direct().values():
        found = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(found), f"{requirement} is locked at {found}"


@pytest.mark.parametrize("name", LOCKS)
def test_everything_locked_has_a_hash(name: str) -> None:
    joined = (ROOT / name).read_text().replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) > 50
    for line in lines:
        assert LOCKED.match(line), f"not a pin: {line[:80]}"
        assert re.search(r"--hash=sha256:[0-9a-f]{64}(\s|$)", line), f"no hash: {line[:80]}"


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--(extra-)?index-url|--find-links|--trusted-host)\b", text, re.MULTILINE)


def test_both_locks_agree() -> None:
    run, dev = locked(LOCKS[0]), locked(LOCKS[1])
    assert {name: dev.get(name) for name in run} == run, "what is tested is not what runs"
