"""The named endpoints as a program meets them: every one, accepted and refused."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client  # type: ignore[import-untyped]
from gradio_client.exceptions import AppError  # type: ignore[import-untyped]
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from pydantic import SecretStr

from rag.settings import Settings
from tests.support.books import write_book
from tests.support.running import Running, running_app

ADMIN = {"X-Admin-Token": "keeper"}
QUESTION = "How often is the wick trimmed?"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One offline application for the whole file."""
    folder = tmp_path_factory.mktemp("client")
    environment = pytest.MonkeyPatch()
    for name in Settings.model_fields:
        environment.delenv(name.upper(), raising=False)
    environment.setitem(Settings.model_config, "env_file", None)
    settings = Settings(
        content_dir=write_book(folder / "content"),
        data_dir=folder / "data",
        admin_token=SecretStr("keeper"),
        rate_limit="1000/minute",
        book_url="https://example.org/book/",
        api_keys=[SecretStr("sk-reader")],
        mcp_server=True,
    )
    with running_app(settings) as running:
        running.wait_for_index()
        yield running
    environment.undo()


@pytest.fixture(scope="module")
def client(app: Running) -> Client:
    return Client(app.url, verbose=False)


@pytest.fixture(scope="module")
def admin(app: Running) -> Client:
    return Client(app.url, verbose=False, headers=ADMIN)


def test_the_api_page_shows_these_endpoints_and_no_others(app: Running, client: Client) -> None:
    info = client.view_api(return_format="dict")
    assert set(info["named_endpoints"]) == {
        "/chat", "/search", "/ingest", "/status", "/documents"
    }  # fmt: skip
    assert not info["unnamed_endpoints"]
    chat = httpx.get(f"{app.url}/gradio_api/info").json()["named_endpoints"]["/chat"]
    assert [p["parameter_name"] for p in chat["parameters"]] == ["question", "session_id"]
    assert chat["description"].startswith("Ask the book.")
    returned = chat["returns"][0]["type"]
    assert set(returned["properties"]) == {"answer", "sources", "citations", "session_id", "answered"}


def test_chat_streams_and_ends_with_the_whole_answer(client: Client) -> None:
    job = client.submit(QUESTION, api_name="/chat")
    final: Any = job.result(timeout=30)
    assert set(final) == {"answer", "sources", "citations", "session_id", "answered"}
    assert final["answered"] is True
    assert "every four hours" in final["answer"]
    number = final["citations"][0]["n"]
    source = next(source for source in final["sources"] if source["n"] == number)
    assert f"[{number}]: {source['url']}" in final["answer"]
    growing = [output["answer"] for output in job.outputs()]
    assert growing[0] == ""
    assert len(growing) > 2
    assert growing[-1] == final["answer"]


def test_chat_continues_a_conversation(client: Client) -> None:
    first: Any = client.predict("How much oil does a night in December take?", api_name="/chat")
    second: Any = client.predict("And in June?", first["session_id"], api_name="/chat")
    assert second["session_id"] == first["session_id"]
    assert "two and a half" in second["answer"] or "2.5" in second["answer"]
    other: Any = client.predict(QUESTION, "6e2f2a52-0000-4000-8000-000000000000", api_name="/chat")
    assert other["session_id"] not in {first["session_id"], "6e2f2a52-0000-4000-8000-000000000000"}


@pytest.mark.parametrize(("question", "said"), [("  ", "question"), ("x" * 2001, "2,000")])
def test_chat_refuses_in_a_sentence(client: Client, question: str, said: str) -> None:
    with pytest.raises(AppError, match=said):
        client.predict(question, api_name="/chat")


def test_search(client: Client) -> None:
    found: Any = client.predict(QUESTION, 2, api_name="/search")
    assert found["query"] == QUESTION
    assert found["grounded"] is True
    assert 1 <= len(found["passages"]) <= 2
    assert "four hours" in " ".join(passage["text"] for passage in found["passages"])
    for k in (0, 51):
        with pytest.raises(AppError, match="1 to 50"):
            client.predict(QUESTION, k, api_name="/search")
    with pytest.raises(AppError, match="question"):
        client.predict("", 3, api_name="/search")


def test_status(client: Client) -> None:
    status: Any = client.predict(api_name="/status")
    assert status["title"] == "The lighthouse keeper's handbook"
    assert (status["status"], status["mode"], status["index_state"]) == ("healthy", "offline", "ready")
    assert (status["documents"], status["chunks"] > 3) == (4, True)


def test_documents_need_the_token(client: Client, admin: Client) -> None:
    with pytest.raises(AppError, match="admin token"):
        client.predict(api_name="/documents")
    documents: Any = admin.predict(api_name="/documents")
    assert {document["file"] for document in documents} >= {"index.md", "01-lamp/01-oil.md"}
    assert {document["status"] for document in documents} == {"indexed"}


def test_ingest_needs_the_token_and_streams_snapshots(app: Running, client: Client, admin: Client) -> None:
    before = app.services.pipeline.jobs.latest()
    with pytest.raises(AppError, match="admin token"):
        client.predict(True, api_name="/ingest")
    wrong = Client(app.url, verbose=False, headers={"X-Admin-Token": "guess"})
    with pytest.raises(AppError, match="admin token"):
        wrong.predict(False, api_name="/ingest")
    assert app.services.pipeline.jobs.latest() == before
    job = admin.submit(True, api_name="/ingest")
    final: Any = job.result(timeout=60)
    assert final["status"] == "completed"
    assert final["progress"]["percent"] == 100
    snapshots: Any = job.outputs()
    assert len({snapshot["task_id"] for snapshot in snapshots}) == 1
    percents = [snapshot["progress"]["percent"] for snapshot in snapshots]
    assert percents == sorted(percents)


def test_two_ask_at_once(client: Client) -> None:
    jobs = [client.submit(QUESTION, api_name="/chat") for _ in range(4)]
    answers: list[Any] = [job.result(timeout=30) for job in jobs]
    assert len({answer["session_id"] for answer in answers}) == 4


def test_rate_limits_count_by_address_and_a_key_lifts_them(tmp_path: Path) -> None:
    settings = Settings(
        content_dir=write_book(tmp_path / "content"),
        data_dir=tmp_path / "data",
        rate_limit="1/hour",
        rate_limit_search="1/hour",
        api_keys=[SecretStr("sk-reader")],
        admin_token=SecretStr("keeper"),
    )
    with ExitStack() as stack:
        app = stack.enter_context(running_app(settings))
        app.wait_for_index()
        anybody = Client(app.url, verbose=False)
        anybody.predict(QUESTION, api_name="/chat")
        anybody.predict(QUESTION, api_name="/search")
        for name in ("/chat", "/search"):
            with pytest.raises(AppError, match=re.compile(r"wait \d+ s")):
                anybody.predict(QUESTION, api_name=name)
        known = Client(app.url, verbose=False, headers={"X-API-Key": "sk-reader"})
        for _ in range(3):
            known.predict(QUESTION, api_name="/search")


async def test_mcp_offers_two_tools_that_answer_in_markdown(app: Running) -> None:
    async with (
        streamablehttp_client(f"{app.url}/gradio_api/mcp/") as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        assert set(tools) == {"ask_book", "search_book"}
        assert (tools["ask_book"].description or "").startswith("Ask the book a question.")
        assert set(tools["ask_book"].inputSchema["properties"]) == {"question"}
        answer = await session.call_tool("ask_book", {"question": QUESTION})
        (said,) = [item.text for item in answer.content if item.type == "text"]
        assert "every four hours" in said
        assert re.search(r"\[1\]: https://example\.org/book/\S+", said)
        found = await session.call_tool("search_book", {"query": QUESTION, "k": 1})
        (passages,) = [item.text for item in found.content if item.type == "text"]
        assert passages.startswith("## ")
        refused = await session.call_tool("ask_book", {"question": " "})
        assert refused.isError
        assert "Traceback" not in json.dumps([item.model_dump() for item in refused.content])


def test_without_the_setting_there_is_no_mcp(tmp_path: Path) -> None:
    settings = Settings(content_dir=write_book(tmp_path / "content"), data_dir=tmp_path / "data", ingest_on_start=False)
    with running_app(settings) as app:
        assert httpx.get(f"{app.url}/gradio_api/mcp/").status_code == 404
        info = httpx.get(f"{app.url}/gradio_api/info").json()
        assert set(info["named_endpoints"]) == {"/chat", "/search", "/ingest", "/status", "/documents"}


def test_leaving_does_not_stop_an_ingest(app: Running, admin: Client) -> None:
    job = admin.submit(True, api_name="/ingest")
    while not job.outputs():
        time.sleep(0.02)
    job.cancel()
    watcher = threading.Thread(target=app.wait_for_index)
    watcher.start()
    watcher.join(60)
    latest = app.services.pipeline.jobs.latest()
    assert latest is not None
    assert latest.status == "completed"
