"""Every setting, read once from the environment and `.env`. Only `rag.build` and `app.py` see this class."""

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import quote, unquote

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from rag.errors import ConfigError
from rag.types import GeneratorName

Flavor = Literal["auto", GeneratorName]
Names = Annotated[list[str], NoDecode]
_SHORTEST_SECRET = 4  # characters
RATE_PATTERN = r"^\s*[1-9]\d{0,5}\s*/\s*([1-9]\d{0,3}\s*)?(second|minute|hour|day)s?\s*$"


class Settings(BaseSettings):
    """Use `Settings.load()`: it turns every bad value into one sentence (ConfigError)."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    embedder: Literal["auto", "openai", "local"] = "auto"
    generator: Literal["auto", "openai", "extractive"] = "auto"

    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None
    openai_chat_model: str = "gpt-5.4-mini"
    answer_timeout: float = Field(default=6.5, ge=1, le=600)
    openai_embedding_model: str = "text-embedding-3-small"
    openai_embedding_dimensions: int | None = Field(default=None, ge=1, le=8192)

    qdrant_url: str | None = None
    qdrant_api_key: SecretStr | None = None
    qdrant_collection: str = Field(default="book", pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    qdrant_shards: int = Field(default=1, ge=1, le=64)
    qdrant_replicas: int = Field(default=1, ge=1, le=8)

    content_dir: Path = Path("content")
    data_dir: Path = Path(".data")

    book_title: str | None = None
    book_url: str | None = None
    book_flavor: Flavor = "auto"
    book_route_base: str = "docs"
    book_trailing_slash: bool | None = None
    book_language: str | None = Field(default=None, max_length=32)

    chunk_tokens: int = Field(default=500, ge=100, le=2000)
    chunk_overlap_tokens: int = Field(default=50, ge=0, le=400)
    embed_windows: bool = True
    top_k: int = Field(default=5, ge=1, le=20)

    max_context_messages: int = Field(default=3, ge=0, le=20)
    session_ttl_minutes: int = Field(default=30, ge=1, le=1440)

    allowed_origins: Names = ["https://mrowaisabdullah.github.io", "http://localhost:3000"]
    admin_token: SecretStr | None = None
    admin_users: Names = []
    api_keys: Annotated[list[SecretStr], NoDecode] = []
    rate_limit: str = Field(default="10/minute", pattern=RATE_PATTERN)
    rate_limit_api_key: str = Field(default="100/minute", pattern=RATE_PATTERN)
    rate_limit_search: str = Field(default="60/minute", pattern=RATE_PATTERN)
    daily_token_budget: int | None = Field(default=None, ge=1)
    redis_url: SecretStr | None = None
    forwarded_allow_ips: Names = ["127.0.0.1"]

    ingest_on_start: bool = True
    keep_questions: bool = False
    mcp_server: bool = False
    spaces_zero_gpu: bool = False
    host: str = "0.0.0.0"  # noqa: S104 - a container is reached from outside
    port: int = Field(default=7860, ge=1, le=65535)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_json: bool = False
    log_questions: bool = False

    @classmethod
    def load(cls) -> Self:
        """Reads the environment. Raises ConfigError with one line per bad setting; values are never repeated in it."""
        try:
            return cls()
        except ValidationError as error:
            raise ConfigError([_sentence(item["loc"], item["msg"]) for item in error.errors()]) from None

    @field_validator("allowed_origins", "admin_users", "api_keys", "forwarded_allow_ips", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """`a, b` as well as a list."""
        return [part for part in (p.strip() for p in value.split(",")) if part] if isinstance(value, str) else value

    @field_validator("log_level", "book_flavor", "book_language", "embedder", "generator", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("book_url", "openai_base_url", "qdrant_url")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None and not value.lower().startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.match(r"rediss?://[^/]", value.get_secret_value()):
            raise ValueError("must start with redis:// or rediss:// and name a host")
        return value

    @cached_property
    def openai_configured(self) -> bool:
        """A key, or a server of one's own that may need none."""
        return self.openai_api_key is not None or self.openai_base_url is not None

    @property
    def secrets(self) -> frozenset[str]:
        """Every value that nobody may read, in all its spellings: for the log to take out. Short ones are words."""
        given = [self.openai_api_key, self.qdrant_api_key, self.admin_token, self.redis_url, *self.api_keys]
        values = {value.get_secret_value() for value in given if value is not None}
        for url in (*values, self.openai_base_url, self.qdrant_url, self.book_url):
            if url and "://" in url:
                values |= _userinfo(url)
        spellings = {spelling for value in values for spelling in (value, quote(value, safe=""), unquote(value))}
        return frozenset(spelling for spelling in spellings if len(spelling) >= _SHORTEST_SECRET)

    @property
    def uses_openai_embeddings(self) -> bool:
        return self.embedder == "openai" or (self.embedder == "auto" and self.openai_configured)

    @property
    def uses_openai_chat(self) -> bool:
        return self.generator == "openai" or (self.generator == "auto" and self.openai_configured)


def _userinfo(url: str) -> set[str]:
    """The user's name with the password, and the password, of a URL that has them."""
    userinfo, at, _ = url.partition("://")[2].partition("/")[0].rpartition("@")
    return {userinfo, userinfo.partition(":")[2]} - {""} if at else set()


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    name = str(location[0]).upper() if location else "settings"
    return f"{name}: {message.removeprefix('Value error, ')}"
