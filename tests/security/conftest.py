"""Attacks over real HTTP on the real application. Each test names what it tries; all of it once worked."""

from tests.web.conftest import indexes, openai_settings, start

__all__ = ["indexes", "openai_settings", "start"]
