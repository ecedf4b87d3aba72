"""Nothing is told to the makers of what is used."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

_EMBEDS = """
import asyncio
from rag.embedding.local import LocalEmbedder

async def main() -> None:
    embedder = LocalEmbedder()
    await embedder.open()
    print((await embedder.embed_query("a robot")).shape)
    await embedder.close()

asyncio.run(main())
"""


def test_the_local_model_leaves_no_trace_in_the_home_folder(tmp_path: Path) -> None:
    """Its runtime's telemetry begins with a device id kept there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))}
    done = subprocess.run(
        [sys.executable, "-c", _EMBEDS],
        cwd=ROOT,
        env=kept | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout == "(384,)\n"
    assert list(tmp_path.rglob("*")) == []
