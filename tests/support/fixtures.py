"""Fixtures of the world around the application, for every test."""

from collections.abc import Iterator

import pytest

from tests.support.openai_server import OpenAIServer


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    """A fresh loopback OpenAI-compatible server."""
    with OpenAIServer() as server:
        yield server
