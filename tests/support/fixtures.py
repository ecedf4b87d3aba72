"""Fixtures of the world around the application, for every test."""

from collections.abc import Iterator

import pytest

from tests.support.openai_server import OpenAIServer
from tests.support.redis_server import RedisServer


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    """A fresh loopback OpenAI-compatible server."""
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A fresh Redis; skipped by name where it is not installed, unless REQUIRE_REDIS is set."""
    with RedisServer() as server:
        yield server
