"""Settings choose the parts, and putting them together touches nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from rag.build import build_ingestion, build_pipeline, build_sessions
from rag.settings import Settings
from tests.support.small_book import book_settings

KEY = {"openai_api_key": "sk-test"}


@pytest.mark.parametrize(
    ("changes", "mode"),
    [
        ({}, "offline"),
        (KEY, "openai"),
        ({"openai_base_url": "http://127.0.0.1:9/v1"}, "openai"),
        ({**KEY, "generator": "extractive"}, "offline"),
        ({"generator": "openai"}, "openai"),
    ],
)
def test_the_settings_choose_the_mode(tmp_path: Path, changes: dict[str, str], mode: str) -> None:
    assert build_pipeline(book_settings(tmp_path, **changes)).mode == mode


@pytest.mark.parametrize(
    ("changes", "embedder", "price"),
    [
        ({}, "all-minilm", 0.0),
        (KEY, "openai:text-embedding-3-small", 0.02),
        ({**KEY, "openai_embedding_model": "text-embedding-3-large"}, "openai:text-embedding-3-large", 0.13),
        ({**KEY, "openai_embedding_model": "unheard-of"}, "openai:unheard-of", None),
        ({"openai_base_url": "http://127.0.0.1:9/v1"}, "openai:text-embedding-3-small", None),
        ({**KEY, "embedder": "local"}, "all-minilm", 0.0),
    ],
)
def test_the_settings_choose_the_embedder(
    tmp_path: Path, changes: dict[str, str], embedder: str, price: float | None
) -> None:
    parts = build_ingestion(book_settings(tmp_path, **changes))
    assert parts.embedder.fingerprint.startswith(embedder)
    assert parts.price == price


def test_building_touches_nothing(tmp_path: Path) -> None:
    settings = Settings(content_dir=tmp_path / "content", data_dir=tmp_path / "data", qdrant_url="http://127.0.0.1:9")
    build_pipeline(settings)
    build_ingestion(settings)
    build_sessions(settings)
    assert list(tmp_path.iterdir()) == []


async def test_opening_and_closing_twice_does_no_harm(tmp_path: Path) -> None:
    pipeline = build_pipeline(book_settings(tmp_path))
    await pipeline.open()
    await pipeline.close()
    await pipeline.close()


async def test_the_memory_of_conversations_follows_the_settings() -> None:
    conversations = build_sessions(Settings(max_context_messages=0))
    session, history = await conversations.resume(None)
    assert history == ()
    assert session


def test_what_is_not_used_is_not_imported(tmp_path: Path) -> None:
    """Offline the OpenAI SDK, the Qdrant client and the chunker stay out, and with them a second of every command."""
    code = (
        "import sys; from rag.build import build_pipeline; from rag.settings import Settings;"
        "build_pipeline(Settings());"
        "heavy = {'openai', 'qdrant_client', 'fastapi', 'gradio', 'redis', 'rag.markdown.chunking'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        env={"DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
