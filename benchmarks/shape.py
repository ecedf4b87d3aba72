"""`make shape`: the structure of the code against its limits.

    python -m benchmarks.shape            prints a table; exit code 1 when a limit is crossed

Modules and lines are those of rag/ and web/, tests not counted. The hops of a question are the modules whose code runs
between the HTTP request and the last event of an answer by a model, once everything is loaded; its nested generators
are the most asynchronous generators of ours that wait in each other at one moment. The hops of a document are the
modules whose code runs while a changed page is ingested.
"""

import ast
import asyncio
import inspect
import re
import statistics
import sys
import tempfile
import tokenize
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import httpx

from rag.build import build_ingestion, build_pipeline, build_sessions
from rag.ingest.ingest import ingest
from rag.settings import Settings
from tests.support.openai_server import OpenAIServer
from web.api import create_app
from web.services import Services

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("rag", "web")
SMALL = 50  # lines

# Names that were given up for the field's standard terms.
RETIRED = [
    "Provider",
    "Patience",
    "Lexicon",
    "hoard_little",
    "settle",
    "give_back",
    "made_now",
    "Recipe",
    "Lean",
    "Ruler",
    "Sought",
    "Scored",
    "Preload",
    "Known",
    "About",
    "Cutter",
    "CutDocument",
    "Tally",
    "Board",
    "Alone",
    "Asked",
    "Waits",
    "MarkerScanner",
    "SignFilter",
    "Dialect",
    "Ended",
    "Envelope",
    "Guard",
    "Asking",
    "Survey",
    "prepared",
    "look_ahead",
    "Missing",
]


@dataclass(slots=True)
class Module:
    """One file: its dotted name, lines, syntax tree, and the modules of ours that it imports."""

    name: str
    path: Path
    lines: int
    tree: ast.Module
    comments: int
    imports: set[str] = field(default_factory=set)


def modules() -> dict[str, Module]:
    found: dict[str, Module] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[name] = Module(name, path, source.count("\n"), ast.parse(source), _comments(path))
    for module in found.values():
        module.imports = set(_imports(module.tree, found)) - {module.name}
    return found


def _comments(path: Path) -> int:
    """Comments that are not directives of a tool."""
    with path.open("rb") as file:
        tokens = [token.string for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT]
    return sum(not re.match(r"#\s*(noqa|type:|fmt:|pragma)", text) for text in tokens)


def _imports(tree: ast.Module, known: dict[str, Module]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in known or node.module in known:
                    yield whole if whole in known else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)


def _functions(found: dict[str, Module]) -> list[int]:
    nodes = (node for module in found.values() for node in ast.walk(module.tree))
    return sorted(
        (node.end_lineno or 0) - node.lineno + 1
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def _small_with_one_importer(found: dict[str, Module]) -> list[str]:
    importers = Counter(name for module in found.values() for name in module.imports)
    return [
        module.name
        for module in found.values()
        if module.lines < SMALL and importers[module.name] == 1 and module.path.name != "__init__.py"
    ]


def _names_with_two_meanings(found: dict[str, Module]) -> list[str]:
    homes = defaultdict(set)
    for module in found.values():
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef):
                homes[node.name.lstrip("_")].add(module.name)
    return sorted(name for name, places in homes.items() if len(places) > 1)


def _retired(found: dict[str, Module]) -> list[str]:
    used = {
        name
        for module in found.values()
        for node in ast.walk(module.tree)
        for name in (getattr(node, "name", None), getattr(node, "id", None), getattr(node, "attr", None))
    }
    return [name for name in RETIRED if name in used]


def _cycles(found: dict[str, Module]) -> list[str]:
    """Modules that import each other at load time; imports inside functions and for types alone are not counted."""
    graph = {name: set(_imports(_load_time(module.tree), found)) - {name} for name, module in found.items()}

    def reaches(start: str, goal: str) -> bool:
        seen, queue = set[str](), list(graph[start])
        while queue:
            name = queue.pop()
            if name == goal:
                return True
            if name not in seen:
                seen.add(name)
                queue += graph[name]
        return False

    return [name for name in graph if reaches(name, name)]


def _load_time(tree: ast.Module) -> ast.Module:
    return ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])


def _broad_excepts(found: dict[str, Module]) -> int:
    handlers = (node for module in found.values() for node in ast.walk(module.tree))
    return sum(
        isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")))
        for node in handlers
    )


# What runs


@dataclass(slots=True)
class Trace:
    """The files that ran; by task, the most asynchronous generators on its stack at one moment."""

    files: set[str] = field(default_factory=set)
    depths: dict[str, int] = field(default_factory=dict)

    @property
    def hops(self) -> int:
        return len(self.files)

    @property
    def nested(self) -> int:
        """Tasks that hand an answer to each other are one chain, so their depths add up."""
        return sum(self.depths.values())


@contextmanager
def traced() -> Iterator[Trace]:
    """Which of our modules run in this thread, and how many of our asynchronous generators wait in each other."""
    trace = Trace()
    ours = {str(ROOT / package) for package in PACKAGES}
    known: dict[CodeType, bool] = {}

    def on_call(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call" or not known.setdefault(code, any(code.co_filename.startswith(place) for place in ours)):
            return
        trace.files.add(code.co_filename)
        if code.co_flags & inspect.CO_ASYNC_GENERATOR:
            running = asyncio.current_task()
            task = getattr(running and running.get_coro(), "__qualname__", "")
            trace.depths[task] = max(trace.depths.get(task, 0), _depth(frame, ours))

    sys.setprofile(on_call)
    try:
        yield trace
    finally:
        sys.setprofile(None)


def _depth(frame: FrameType | None, ours: set[str]) -> int:
    depth = 0
    while frame is not None:
        generator = frame.f_code.co_flags & inspect.CO_ASYNC_GENERATOR
        depth += bool(generator) and any(frame.f_code.co_filename.startswith(place) for place in ours)
        frame = frame.f_back
    return depth


async def _trace_question(settings: Settings) -> Trace:
    services = Services(settings, build_pipeline(settings), build_sessions(settings))
    app = create_app(services)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        await client.post("/chat", json={"question": "What is a support polygon?"})
        with traced() as trace:
            answer = await client.post("/chat", json={"question": "How does a PID controller keep a robot upright?"})
        assert '"type":"done"' in answer.text, answer.text[-300:]
    return trace


async def _trace_document(settings: Settings) -> Trace:
    with traced() as trace:
        async with build_ingestion(settings) as parts:
            async for _ in ingest(parts):
                pass
    return trace


def _run(work: Callable[[Settings], Coroutine[Any, Any, Trace]], settings: Settings) -> Trace:
    return asyncio.run(work(settings))


def traces() -> tuple[Trace, Trace]:
    """Of a question and of a changed document, both with a model server on loopback."""
    with tempfile.TemporaryDirectory() as place, OpenAIServer() as server:
        content = Path(place, "content")
        content.mkdir()
        for source in sorted((ROOT / "content").rglob("*.md"))[:4]:
            (content / source.name).write_bytes(source.read_bytes())
        values: dict[str, Any] = {
            "_env_file": None,
            "content_dir": content,
            "data_dir": Path(place, "data"),
            "openai_api_key": server.key,
            "openai_base_url": server.base_url,
            "rate_limit": "1000/minute",
            "ingest_on_start": False,
        }
        settings = Settings(**values)
        _run(_trace_document, settings)  # the first one builds the index
        with next(content.glob("*.md")).open("a", encoding="utf-8") as page:
            page.write("\n\nOne more sentence.\n")
        document = _run(_trace_document, settings)
        return _run(_trace_question, settings), document


def main() -> int:
    found = modules()
    question, document = traces()
    sizes, lines = _functions(found), [module.lines for module in found.values()]
    total = sum(lines)
    rows: list[tuple[str, float, float | None, str]] = [
        ("modules", len(found), 95, ""),
        ("lines", total, 16_000, ""),
        ("longest module", max(lines), 400, ""),
        ("median module", statistics.median(lines), None, ""),
        ("median function", statistics.median(sizes), None, ""),
        ("95th percentile function", sizes[int(len(sizes) * 0.95)], None, ""),
        ("modules a question passes", question.hops, 30, ""),
        ("nested generators of a question", question.nested, 8, ""),
        ("modules a document passes", document.hops, 28, ""),
        _listed("modules under 50 lines with one importer", _small_with_one_importer(found)),
        _listed("class names with two meanings", _names_with_two_meanings(found)),
        _listed("retired names", _retired(found)),
        _listed("modules in import cycles", _cycles(found)),
        ("broad excepts", _broad_excepts(found), None, ""),
        ("comments per 100 lines", round(100 * sum(module.comments for module in found.values()) / total, 1), None, ""),
    ]
    for name, value, limit, note in rows:
        held = "    " if limit is None else "pass" if value <= limit else "FAIL"
        bar = "" if limit is None else f"<= {limit:g}"
        print(f"{held}  {name:<42} {value:>8g}  {bar:<9} {note}".rstrip())
    return int(any(limit is not None and value > limit for _, value, limit, _ in rows))


def _listed(name: str, found: list[str]) -> tuple[str, float, float | None, str]:
    return name, len(found), 0, ", ".join(found)


if __name__ == "__main__":
    sys.exit(main())
