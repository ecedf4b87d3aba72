"""Files of an index and of DATA_DIR that are not as they were written: named, never believed, mended by themselves."""

import json
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from rag.embedding.base import Vectors
from rag.embedding.cache import CachedEmbedder
from rag.errors import IndexMismatch
from rag.store.checksums import checksums, damage
from rag.store.edge import EdgeStore, edge_writer_for
from tests.rag.test_embedding_cache import Counting
from tests.rag.test_generations import content, written
from tests.support.damage import KINDS, damaged
from tests.support.indexed import CONFIG
from web.auth import AdminToken

NAMED = ["is damaged (", "cannot be read", "is not as it was written", "that is not there"]


async def refusal(folder: Path) -> str | None:
    """What a reader is told of an index that is not opened."""
    try:
        await content(folder)
    except IndexMismatch as error:
        return error.message
    return None


async def test_every_kind_of_damage_to_every_kind_of_file_is_named_and_never_believed(tmp_path: Path) -> None:
    await written(tmp_path / "whole", "one")
    before = await content(tmp_path / "whole")
    generation = (tmp_path / "whole" / "index" / "current").read_text()
    names = sorted(checksums(tmp_path / "whole" / "index" / generation))
    chance = random.Random(13)
    tried = refused = 0
    for kind in KINDS:
        for name in chance.sample(names, 5):
            folder = tmp_path / "damaged"
            shutil.copytree(tmp_path / "whole", folder)
            tried += damaged(folder / "index" / generation / name, kind, chance)
            said = await refusal(folder)
            if said is None:
                assert await content(folder) == before, f"{kind}: {name}"
            else:
                refused += 1
                assert any(words in said for words in NAMED), said
                async with edge_writer_for(folder)(CONFIG) as writer:
                    assert writer.rebuilding
                await written(folder, "one")
                assert (await content(folder))[1:] == before[1:]
            shutil.rmtree(folder)
    assert refused >= tried * 0.8 > 20  # what is written over an empty lock file, say, harms nothing


async def test_a_file_that_does_not_belong_to_an_index_is_named(tmp_path: Path) -> None:
    await written(tmp_path, "one")
    segments = next((tmp_path / "index").glob("*/shard/segments"))
    (segments / "stray").mkdir()
    store = EdgeStore(tmp_path)
    await store.open()
    with pytest.raises(IndexMismatch, match="stray does not belong there"):
        await store.info()


async def test_what_an_index_says_of_itself_is_not_believed_when_it_was_changed(tmp_path: Path) -> None:
    await written(tmp_path, "one")
    about = next((tmp_path / "index").glob("*/about.json"))
    said = json.loads(about.read_text())
    said["config"]["average_words"] += 1
    about.write_text(json.dumps(said))
    store = EdgeStore(tmp_path)
    await store.open()
    with pytest.raises(IndexMismatch, match=r"about\.json is not as it was written"):
        await store.config()


async def test_opening_an_index_many_times_leaves_it_as_it_was_written(tmp_path: Path) -> None:
    await written(tmp_path, "one")
    for _ in range(5):
        stores = [EdgeStore(tmp_path) for _ in range(3)]
        for store in stores:
            await store.open()
            assert await store.documents()
        for store in stores:
            await store.close()


def test_zeros_count_alike_as_a_hole_and_written_out(tmp_path: Path) -> None:
    for name in ("hole", "written"):
        (tmp_path / name).mkdir()
    with (tmp_path / "hole" / "file").open("wb") as file:
        file.write(b"start")
        file.truncate(5 * 2**20)
        file.seek(3 * 2**20)
        file.write(b"middle")
    shutil.copyfile(tmp_path / "hole" / "file", tmp_path / "written" / "file")
    (tmp_path / "written" / "file").write_bytes((tmp_path / "hole" / "file").read_bytes())
    expected = checksums(tmp_path / "hole")
    assert checksums(tmp_path / "written") == expected
    with (tmp_path / "written" / "file").open("r+b") as file:
        file.seek(4 * 2**20)
        file.write(b"moved")
    assert damage(tmp_path / "written", expected) == "file is not as it was written"


VECTORS = 1500


async def embedded(path: Path) -> tuple[Vectors, int]:
    """The vectors of some texts as an ingest gets them, and for how many a model was asked."""
    counting = Counting(dimensions=256)
    cache = CachedEmbedder(counting, path)
    vectors = [await cache.embed_documents([f"{n}" for n in range(at, at + 50)]) for at in range(0, VECTORS, 50)]
    await cache.close()
    return np.concatenate(vectors), len(counting.documents)


@pytest.mark.parametrize("kind", [*KINDS, "zeroed in the middle", "another number"])
async def test_kept_vectors_that_were_damaged_are_embedded_once_more_and_never_believed(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "vectors.sqlite"
    whole, asked = await embedded(path)
    assert asked == VECTORS
    kept = path.read_bytes()
    chance = random.Random(kind)
    if kind in KINDS:
        KINDS[kind](path, chance)
    else:
        start, end = (200_000, 500_000) if kind == "zeroed in the middle" else (300_000, 300_004)
        path.write_bytes(kept[:start] + bytes(end - start) + kept[end:])
    vectors, again = await embedded(path)
    np.testing.assert_array_equal(vectors, whole)
    assert again <= VECTORS
    vectors, once_more = await embedded(path)
    np.testing.assert_array_equal(vectors, whole)
    assert once_more == 0
    if kind in ("random bytes", "zeroed in the middle", "another number"):
        assert again < VECTORS / 2


async def test_vectors_that_an_earlier_version_kept_are_believed_when_they_can_be(tmp_path: Path) -> None:
    path = tmp_path / "vectors.sqlite"
    whole, _ = await embedded(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE vector SET data = substr(data, 1, length(data) - 4)")
        database.execute("UPDATE vector SET data = zeroblob(1024) WHERE id <= 3")
    vectors, again = await embedded(path)
    np.testing.assert_array_equal(vectors, whole)
    assert again == 3


@pytest.mark.parametrize("kept", [b"\xff\xfe\x00\x81" * 8, b"\x00" * 40, b"\n", "Schlüssel".encode()])
def test_an_admin_token_that_is_no_text_is_replaced(kept: bytes, tmp_path: Path) -> None:
    file = tmp_path / "admin_token"
    file.write_bytes(kept)
    admin = AdminToken(None, tmp_path)
    admin.open()
    assert file.read_bytes() != kept
    assert admin.opens(file.read_text().strip())
