"""The embedded engine beside others in the same process."""

import asyncio
from dataclasses import replace
from pathlib import Path

from rag.store.edge import EdgeStore, edge_writer_for
from tests.support.indexed import CONFIG, indexed

PAGES = 1000


async def test_others_get_on_while_the_pages_of_a_large_book_are_read(tmp_path: Path) -> None:
    record, chunks = indexed("page.md", ["Robots walk"])
    async with edge_writer_for(tmp_path)(CONFIG) as writer:
        await writer.replace(record, chunks)
        for number in range(PAGES):
            await writer.replace(replace(record, path=f"{number:04}.md", chunks=0), [])
        await writer.publish()
    store = EdgeStore(tmp_path)
    await store.open()
    turns = 0
    reading = [asyncio.create_task(store.documents()) for _ in range(2)]
    while not all(task.done() for task in reading):
        turns += 1
        await asyncio.sleep(0)
    first, second = [task.result() for task in reading]
    assert turns > 4
    assert len(first) == PAGES + 1
    assert all(one is other for one, other in zip(first, second, strict=True)), "read twice"
    assert (await store.info()).windows == len(chunks[0].windows)
    await store.close()
