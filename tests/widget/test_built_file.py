"""The committed widget is the build of its source, within its size, and its own tests pass."""

import json
import os
import shutil
import subprocess

from tests.widget.conftest import WIDGET_SOURCE, absent


def test_the_built_file_is_fresh_small_and_tested() -> None:
    npm = shutil.which("npm")
    if npm is None or not (WIDGET_SOURCE / "node_modules").is_dir():
        absent("the widget's packages are not installed (npm ci in widget/)")
    checked = subprocess.run(
        [str(npm), "run", "--silent", "check"],
        cwd=WIDGET_SOURCE,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert checked.returncode == 0, checked.stdout[-4000:] + checked.stderr[-4000:]


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((WIDGET_SOURCE / "package-lock.json").read_text(encoding="utf-8"))
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
    assert all("integrity" in package for name, package in lock["packages"].items() if name)
