"""The running service against its own OpenAPI document: whatever is sent, what comes back is what the document says."""

import subprocess
import sys
from pathlib import Path

from tests.web.conftest import Start


def test_schemathesis_finds_nothing(start: Start, tmp_path: Path) -> None:
    app = start()
    (tmp_path / "schemathesis.toml").write_text('[auth.openapi.AdminToken]\napi_key = "keeper"\n')
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{app.url}/openapi.json"),
        *("--checks", "all", "--phases", "examples,coverage,fuzzing", "--max-examples", "25", "--seed", "1"),
        *("--request-timeout", "30", "--no-color", "--continue-on-failure"),
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert "No issues found" in run.stdout, run.stdout[-2000:]
