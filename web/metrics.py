"""Figures for Prometheus, in a registry of this application's own."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@dataclass(frozen=True, slots=True)
class QuestionOutcome:
    """One question as measured: what became of it, milliseconds and tokens."""

    outcome: str
    retrieval_ms: float | None
    first_token_ms: float | None
    total_ms: float
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Metrics:
    """`asked`, `limited` and `ingested` are called as things happen; `text` is what /metrics answers."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.questions = Counter(
            "questions", "Questions by outcome and surface", ["outcome", "surface"], registry=self.registry
        )
        self.first_token = Histogram(
            "first_token_seconds", "Question to first token", buckets=SECONDS, registry=self.registry
        )
        self.retrieval = Histogram("retrieval_seconds", "Question to passages", buckets=SECONDS, registry=self.registry)
        self.tokens = Counter(
            "model_tokens", "Tokens sent to and written by the chat model", ["kind"], registry=self.registry
        )
        self.ingests = Counter("ingests", "Ingests by how they ended", ["status"], registry=self.registry)
        self.ingest_seconds = Histogram(
            "ingest_seconds", "Time an ingest took", buckets=(1, 5, 20, 60, 300, 1800), registry=self.registry
        )
        self.limited = Counter("rate_limited", "Requests refused by a rate limit", ["surface"], registry=self.registry)
        self.ratings = Counter(
            "ratings", "Ratings of answers, changed ones again", ["rating", "surface"], registry=self.registry
        )
        self.cache = Counter("answer_cache", "Answers by where they came from", ["result"], registry=self.registry)
        self.chunks = Gauge("index_chunks", "Chunks in the published index", registry=self.registry)
        self.documents = Gauge("index_documents", "Documents in the published index", registry=self.registry)

    def asked(self, asked: QuestionOutcome, surface: str) -> None:
        self.questions.labels(asked.outcome, surface).inc()
        if asked.first_token_ms is not None:
            self.first_token.observe(asked.first_token_ms / 1e3)
        if asked.retrieval_ms is not None:
            self.retrieval.observe(asked.retrieval_ms / 1e3)
        self.tokens.labels("prompt").inc(asked.prompt_tokens)
        self.tokens.labels("completion").inc(asked.completion_tokens)

    def text(self) -> bytes:
        return generate_latest(self.registry)
