"""The least that shows a chat page: a Gradio interface mounted on FastAPI, and nothing behind it."""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio
import uvicorn
from fastapi import FastAPI


def bare() -> FastAPI:
    app = FastAPI()

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "healthy"}

    def answer(message: str, _: list[object]) -> str:
        return message

    with gradio.Blocks() as blocks:
        gradio.ChatInterface(answer)
    mounted: FastAPI = gradio.mount_gradio_app(app, blocks, path="/")
    return mounted


if __name__ == "__main__":
    uvicorn.run(bare(), host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
