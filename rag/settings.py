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
GROUPS = {
    "Models": "embedder",
    "Index": "qdrant_url",
    "Book": "content_dir",
    "Conversations and limits": "max_context_messages",
    "Administration": "admin_token",
    "Service": "host",
}
"""Groups of settings, for the documentation: title -> its first setting; the order is that of the class."""

RATE_PATTERN = r"^\s*[1-9]\d{0,5}\s*/\s*([1-9]\d{0,3}\s*)?(second|minute|hour|day)s?\s*$"


class Settings(BaseSettings):
    """Use `Settings.load()`: it turns every bad value into one sentence (ConfigError)."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    # Models
    embedder: Literal["auto", "openai", "local"] = Field(
        default="auto", description="`openai`, `local`, or `auto`: OpenAI if it is configured"
    )
    generator: Literal["auto", "openai", "extractive"] = Field(
        default="auto",
        description="`openai`, `extractive` (sentences quoted from the book), or `auto`: OpenAI if it is configured",
    )
    openai_api_key: SecretStr | None = Field(default=None, description="the API key of OpenAI, or of the server below")
    openai_base_url: str | None = Field(
        default=None,
        description="another OpenAI-compatible server, for example `http://localhost:11434/v1`; it may need no key",
    )
    openai_chat_model: str = Field(default="gpt-5.4-mini", description="the model that writes the answers")
    openai_embedding_model: str = Field(
        default="text-embedding-3-small", description="the model that embeds the book and the questions"
    )
    openai_embedding_dimensions: int | None = Field(
        default=None, ge=1, le=8192, description="shorter vectors, if the model supports them; its own length if unset"
    )
    answer_timeout: float = Field(
        default=6.5,
        ge=1,
        le=600,
        description="seconds until the model's first word; after that the book is quoted. Raise it for a slow model",
    )
    daily_token_budget: int | None = Field(
        default=None, ge=1, description="chat tokens per UTC day; beyond it readers get extractive answers"
    )

    # Index
    qdrant_url: str | None = Field(
        default=None, description="a Qdrant server or Qdrant Cloud; if unset, the embedded engine under `DATA_DIR`"
    )
    qdrant_api_key: SecretStr | None = Field(default=None, description="the API key of that server")
    qdrant_collection: str = Field(
        default="book", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="the name of the collection on that server"
    )
    qdrant_shards: int = Field(default=1, ge=1, le=64, description="shards of a new collection")
    qdrant_replicas: int = Field(default=1, ge=1, le=8, description="replicas of a new collection")
    data_dir: Path = Field(
        default=Path(".data"),
        description="the folder for everything that is written: index, vectors, jobs, figures, admin token",
    )
    chunk_tokens: int = Field(default=500, ge=100, le=2000, description="the most tokens in a chunk, 100 to 2,000")
    chunk_overlap_tokens: int = Field(
        default=50,
        ge=0,
        le=400,
        description="the longest sentence repeated where a paragraph is split, 0 to 400 tokens",
    )
    embed_windows: bool = Field(
        default=True, description="several vectors per chunk: better answers, about four times as many vectors"
    )
    top_k: int = Field(default=5, ge=1, le=20, description="passages an answer may use, 1 to 20")
    ingest_on_start: bool = Field(
        default=True, description="bring an empty or stale index up to date when the service starts"
    )

    # Book
    content_dir: Path = Field(default=Path("content"), description="the folder with the Markdown files of the book")
    book_title: str | None = Field(
        default=None, description="the title shown on the page; the title of the first page if unset"
    )
    book_url: str | None = Field(
        default=None,
        description="the address of the published site with its base path, for links: `https://you.github.io/book/`",
    )
    book_flavor: Flavor = Field(
        default="auto",
        description="the site generator: `docusaurus`, `mkdocs`, `mdbook`, `sphinx`, `vitepress`, `starlight`, `hugo`, "
        "`github`, `other`, or `auto`: detected from the files",
    )
    book_route_base: str = Field(default="docs", description="Docusaurus' `routeBasePath`; `/` for none")
    book_trailing_slash: bool | None = Field(
        default=None, description="Docusaurus' `trailingSlash`: `true`, `false`, or unset"
    )
    book_language: str | None = Field(
        default=None, max_length=32, description="`english`, `german`, …; detected from the text if unset"
    )

    # Conversations and limits
    max_context_messages: int = Field(default=3, ge=0, le=20, description="exchanges a conversation remembers")
    session_ttl_minutes: int = Field(
        default=30, ge=1, le=1440, description="minutes after its last question until a conversation is forgotten"
    )
    rate_limit: str = Field(default="10/minute", pattern=RATE_PATTERN, description="questions per client address")
    rate_limit_api_key: str = Field(
        default="100/minute", pattern=RATE_PATTERN, description="questions per API key, and as many searches"
    )
    rate_limit_search: str = Field(
        default="60/minute",
        pattern=RATE_PATTERN,
        description="searches (`GET /search`) per client address, counted apart from its questions",
    )
    api_keys: Annotated[list[SecretStr], NoDecode] = Field(
        default=[], description="API keys, comma-separated; callers send one as `X-API-Key`"
    )
    redis_url: SecretStr | None = Field(
        default=None,
        description="shares conversations, answers, limits, the token budget and the ingest job between replicas",
    )
    allowed_origins: Names = Field(
        default=["https://mrowaisabdullah.github.io", "http://localhost:3000"],
        description="sites whose pages may call the API (CORS) beside that of `BOOK_URL`, comma-separated",
    )
    forwarded_allow_ips: Names = Field(
        default=["127.0.0.1"],
        description="proxies whose X-Forwarded-For is trusted, as addresses or CIDRs; on a Space, if unset, its proxy",
    )

    # Administration
    admin_token: SecretStr | None = Field(
        default=None,
        description="unlocks the admin tab and routes; if unset, one is generated and kept in the data folder",
    )
    admin_users: Names = Field(
        default=[], description="Hugging Face names that may use the admin tab on a Space, comma-separated"
    )
    keep_questions: bool = Field(
        default=False, description="store the text of questions the book could not answer; counts are always kept"
    )

    # Service
    host: str = Field(default="0.0.0.0", description="the address to listen on")  # noqa: S104 - a container is reached from outside
    port: int = Field(default=7860, ge=1, le=65535, description="the port to listen on")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="`debug`, `info`, `warning` or `error`"
    )
    log_json: bool = Field(default=False, description="write log lines as JSON objects")
    log_questions: bool = Field(default=False, description="write questions to the log; they are left out otherwise")
    mcp_server: bool = Field(default=False, description="offer the MCP tools at `/gradio_api/mcp/`")
    spaces_zero_gpu: bool = Field(
        default=False, description="experimental: report the start as a ZeroGPU Space expects"
    )

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
