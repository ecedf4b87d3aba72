"""The least that answers from a book: FastAPI, the OpenAI SDK and the engine, nothing checked, nothing cited.

Reads the index that the application has published in DATA_DIR. The floor of the chat's figures.
"""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as qe
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI
from pydantic import BaseModel

_PASSAGES = 5


class Question(BaseModel):
    question: str


def relay(data: Path, base_url: str) -> FastAPI:
    app = FastAPI()
    client = AsyncOpenAI(api_key="none", base_url=base_url)
    index = data / "index"
    shard = qe.EdgeShard.load(str(index / (index / "current").read_text().strip() / "shard"))

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "healthy"}

    @app.post("/chat")
    async def chat(asked: Question) -> StreamingResponse:
        return StreamingResponse(answer(asked.question), media_type="text/event-stream")

    async def answer(question: str) -> AsyncIterator[str]:
        embedded = await client.embeddings.create(model="text-embedding-3-small", input=question)
        found = nearest(np.array(embedded.data[0].embedding, np.float32))
        yield _event({"type": "sources", "sources": found})
        book = "\n\n".join(f"[{number}] {text}" for number, text in enumerate(found, 1))
        messages: Any = [
            {"role": "system", "content": f"Answer from these passages and cite them.\n\n{book}"},
            {"role": "user", "content": question},
        ]
        stream = await client.chat.completions.create(model="gpt-5.4-mini", messages=messages, stream=True)
        async for part in stream:
            if part.choices and part.choices[0].delta.content:
                yield _event({"type": "chunk", "content": part.choices[0].delta.content})
        yield _event({"type": "done"})

    def nearest(vector: Any) -> list[str]:
        request = qe.QueryRequest(
            limit=_PASSAGES, query=qe.Query.Nearest(vector, using="dense"), with_payload=True, with_vector=False
        )
        windows = [(point.payload or {})["chunk"] for point in shard.query_batch(qe.QueryBatchRequest([request]))[0]]
        chunks = shard.retrieve(list(dict.fromkeys(windows)), with_payload=True, with_vector=False)
        return [(record.payload or {})["text"] for record in chunks]

    return app


def _event(event: dict[str, Any]) -> str:
    return f"data: {json.dumps(event)}\n\n"


if __name__ == "__main__":
    served = relay(Path(os.environ["DATA_DIR"]), os.environ["OPENAI_BASE_URL"])
    uvicorn.run(served, host="127.0.0.1", port=int(os.environ["PORT"]), access_log=False, log_level="warning")
