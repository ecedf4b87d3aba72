"""What can go wrong, a class per decision that a caller can take.

    RagError
      InvalidQuestion      the reader: ask differently
      IndexEmpty           the author: ingest
      IndexMismatch        the author: re-ingest
      IngestRunning        wait or watch
      ContentError         the author: one line per file
      StoreUnavailable     the operator
      ModelError           the model answered with a failure
        ModelAuthError     the operator: the key
        ModelRateLimited   wait `retry_after` seconds
        ModelUnavailable   wait `retry_after` seconds
      BudgetExhausted      wait until the budget is renewed
    ConfigError            at start: one line per bad setting

`str(error)` is always a sentence for a person and never holds a secret or the text of a foreign
exception. Which HTTP status a class has is the web's business; `code` is its name everywhere.
"""

from typing import ClassVar


class RagError(Exception):
    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after


class InvalidQuestion(RagError):
    code = "invalid_question"


class IndexEmpty(RagError):
    code = "index_empty"
    retryable = True


class IndexMismatch(RagError):
    code = "index_stale"


class IngestRunning(RagError):
    code = "ingest_running"
    retryable = True


class ContentError(RagError):
    code = "content_error"


class StoreUnavailable(RagError):
    code = "store_unavailable"
    retryable = True


class ModelError(RagError):
    code = "model_error"
    retryable = True


class ModelAuthError(ModelError):
    code = "model_auth"
    retryable = False


class ModelRateLimited(ModelError):
    code = "model_rate_limited"


class ModelUnavailable(ModelError):
    code = "model_unavailable"


class BudgetExhausted(RagError):
    code = "budget_exhausted"
    retryable = True


class ConfigError(RagError):
    """`problems` holds one sentence per bad setting."""

    code = "config_error"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
