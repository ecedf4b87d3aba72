"""The nouns. The type says how far down the pipe a thing is.

    Document    one Markdown file, read and hashed, with the URL it is published at
    Section     a heading and the body below it
    Chunk       what is stored: a piece of one document within the token budget
    Hit         a chunk as the store returned it, with its raw scores
    Passage     a chunk that was chosen and numbered, once: [n] means this everywhere
    Citation    a passage that the answer really used
    Exchange    one earlier question, its answer and the chunks it cited
    Message     one turn as a chat model sees it

A Section is not stored and a Chunk has no score; a Hit is not numbered and a Passage is not yet
cited. Every class is frozen: what a later stage adds, it adds in a type of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote

Role = Literal["system", "user", "assistant"]

_FRAGMENT_SAFE = "-._~!$&'()*+,;=:@/?"  # RFC 3986, section 3.5


def deep_link(url: str, anchor: str | None) -> str:
    """The page URL with the anchor as its percent-encoded fragment."""
    return f"{url}#{quote(anchor, safe=_FRAGMENT_SAFE)}" if anchor else url


GeneratorName = Literal["docusaurus", "mkdocs", "mdbook", "github", "sphinx", "vitepress", "starlight", "hugo", "other"]
"""What publishes a book; `other` is none that is known."""


@dataclass(frozen=True, slots=True)
class Inclusion:
    """A piece of a document's text that its file only names: the places of the two, half open, and their line ends."""

    text: tuple[int, int]
    file: tuple[int, int]
    line_ends: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Document:
    """One Markdown file. `path` is relative to the content root, with forward slashes.

    `trail` holds the labels of the folders above it ("Part 2"), `url` the page's published URL without
    a fragment, `sha256` the hash of everything its chunks depend on: the bytes, the URL and the trail. `flavor` is
    the generator that publishes it: its rules give the headings their anchors; `options` are what its configuration
    file switches on. `text` has line ends folded to newlines and no byte order mark, and holds what the file includes;
    every offset counts in it.
    """

    path: str
    title: str
    text: str
    sha256: str
    url: str
    trail: tuple[str, ...] = ()
    description: str = ""
    flavor: GeneratorName = "docusaurus"
    options: frozenset[str] = frozenset()
    inclusions: tuple[Inclusion, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its body. `lines` is half open and 0-based; `anchor` is None where the page itself is meant."""

    heading_path: tuple[str, ...]
    anchor: str | None
    lines: tuple[int, int]
    text: str
    level: int = 0


@dataclass(frozen=True, slots=True)
class InnerHeading:
    """A heading that begins inside a text, at the character `offset`; the rest is as in a Chunk."""

    offset: int
    heading_path: tuple[str, ...]
    anchor: str | None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of one document within the token budget, and the place it came from.

    `heading_path` starts with the page's title. `lines` and `chars` are half open, 0-based ranges of the
    decoded file; `tokens` counts `text` in cl100k_base. `id` is a uuid5 of what the chunk is. A chunk that holds
    several short sections stands under the heading of the first; those of the others are `inner`, in order.
    """

    id: str
    path: str
    heading_path: tuple[str, ...]
    url: str
    anchor: str | None
    ordinal: int
    lines: tuple[int, int]
    chars: tuple[int, int]
    text: str
    tokens: int
    trail: tuple[str, ...] = ()
    inner: tuple[InnerHeading, ...] = ()

    @property
    def title(self) -> str:
        """The deepest heading."""
        return self.heading_path[-1] if self.heading_path else self.path

    @property
    def link(self) -> str:
        """The URL of the exact heading."""
        return deep_link(self.url, self.anchor)

    @property
    def breadcrumb(self) -> str:
        return " › ".join(self.heading_path)

    @property
    def embed_text(self) -> str:
        """What is indexed: the heading path in front of the text."""
        return f"{self.breadcrumb}\n\n{self.text}" if self.heading_path else self.text


@dataclass(frozen=True, slots=True)
class SparseVector:
    indices: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk as the store scored it; every score is the engine's own, before any normalising.

    `bm25` of the chunk, `window_bm25` and `window_cosine` of its best windows, `chunk_cosine` against the mean
    of its windows' vectors. Without dense vectors both cosines are 0. `terms` are those of the chunk's `embed_text`,
    stemmed, in its order.
    """

    chunk: Chunk
    bm25: float = 0.0
    window_bm25: float = 0.0
    window_cosine: float = 0.0
    chunk_cosine: float = 0.0
    terms: Sequence[int] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Passage:
    """A chosen chunk. `text` may be longer than the chunk's: neighbours that continue each other are joined.

    `inner` is the heading within `text` below which the evidence stands; None where that is the chunk's own. What a
    reader is shown and sent to is this passage's title, breadcrumb and link, never the chunk's.
    """

    number: int
    chunk: Chunk
    score: float
    text: str
    chunk_ids: tuple[str, ...] = ()
    inner: InnerHeading | None = None

    @property
    def heading_path(self) -> tuple[str, ...]:
        return (self.inner or self.chunk).heading_path

    @property
    def anchor(self) -> str | None:
        return (self.inner or self.chunk).anchor

    @property
    def title(self) -> str:
        """The deepest heading."""
        return self.heading_path[-1] if self.heading_path else self.chunk.path

    @property
    def link(self) -> str:
        """The URL of the exact heading."""
        return deep_link(self.chunk.url, self.anchor)

    @property
    def breadcrumb(self) -> str:
        return " › ".join(self.heading_path)

    @property
    def section_text(self) -> str:
        """Its Markdown from the heading of the evidence on."""
        return self.text[self.inner.offset :] if self.inner else self.text


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What was found for a question, best first. `grounded` is False when the book does not seem to hold the answer;
    `relevance` says whether a model might find it in the passages all the same: it is asked from a half on. `named`:
    the question only names the first passage's section.
    """

    query: str
    passages: tuple[Passage, ...]
    grounded: bool
    overview: bool = False
    named: bool = False
    relevance: float = 1.0


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage the answer used; `quote` is an excerpt that stands word for word in the passage."""

    number: int
    title: str
    heading_path: tuple[str, ...]
    url: str
    quote: str
    passage: Passage


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and its answer. `cited` holds the ids of the chunks the answer cited."""

    question: str
    answer: str
    cited: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Where the reader is; both parts may be missing."""

    url: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens the model was sent and wrote."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class OutlineHeading:
    level: int
    text: str
    anchor: str | None


@dataclass(frozen=True, slots=True)
class DocumentRecord:
    """What the index knows of one document without reading its chunks. `ingested_at` is seconds since the epoch.

    `lead` is the description or the first paragraph, at most 300 characters.
    """

    path: str
    title: str
    url: str
    sha256: str
    trail: tuple[str, ...]
    chunks: int
    tokens: int
    ingested_at: float
    headings: tuple[OutlineHeading, ...] = ()
    lead: str = ""


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """The index as a whole. An index that was never built has an empty fingerprint and no documents."""

    fingerprint: str = ""
    documents: int = 0
    chunks: int = 0
    windows: int = 0
    tokens: int = 0
    built_at: float | None = None
