"""A Dockerfile read into its instructions, the rules this project's one keeps, and what .dockerignore lets through.

No container engine is needed. The rules cover what can be told from the text: https://docs.docker.com/reference/dockerfile/.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_CONTINUED = re.compile(r"\\\s*$")
_SECRET = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL)", re.IGNORECASE)
_VARIABLE = re.compile(r'(\w+)=("[^"]*"|\S+)')


@dataclass(frozen=True, slots=True)
class Instruction:
    name: str
    value: str

    @property
    def words(self) -> list[str]:
        """The words that are no `--flag`."""
        return [word for word in self.value.split() if not word.startswith("--")]

    @property
    def exec_form(self) -> list[str] | None:
        """The JSON array of a CMD; None for the shell form."""
        start = self.value.find("[")
        try:
            parsed = json.loads(self.value[start:]) if start >= 0 else None
        except ValueError:
            return None
        return parsed if isinstance(parsed, list) and all(isinstance(word, str) for word in parsed) else None


def read(text: str) -> list[Instruction]:
    """The instructions in order; comments go, continued lines are joined."""
    found: list[Instruction] = []
    logical = ""
    for line in text.splitlines():
        if line.lstrip().startswith("#") or not line.strip():
            continue
        logical += _CONTINUED.sub(" ", line)
        if not _CONTINUED.search(line):
            name, _, value = logical.strip().partition(" ")
            found.append(Instruction(name.upper(), " ".join(value.split())))
            logical = ""
    return found


def variables(instructions: Iterable[Instruction]) -> dict[str, str]:
    """What ENV sets."""
    pairs = (pair for item in instructions if item.name == "ENV" for pair in _VARIABLE.findall(item.value))
    return {name: value.strip('"') for name, value in pairs}


def copied(instructions: Iterable[Instruction]) -> list[tuple[str, str]]:
    """(source, destination folder or file) of every COPY."""
    copies = [item.words for item in instructions if item.name == "COPY"]
    return [(source, words[-1]) for words in copies for source in words[:-1]]


def problems(instructions: list[Instruction]) -> list[str]:
    """Every rule that is broken, one sentence each."""
    return [*_base(instructions), *_build(instructions), *_run(instructions)]


def _named(instructions: Iterable[Instruction], name: str) -> list[Instruction]:
    return [item for item in instructions if item.name == name]


def _base(instructions: list[Instruction]) -> Iterator[str]:
    images = [item.words[0] for item in _named(instructions, "FROM")]
    if not images or instructions[0].name not in {"FROM", "ARG"}:
        yield "it begins with FROM"
    for image in images:
        name, _, tag = image.partition(":")
        if name != "python" or not re.fullmatch(r"3\.\d+(\.\d+)?-slim(-\w+)?(@sha256:[0-9a-f]{64})?", tag):
            yield f"the base is a slim Python of a fixed version, not {image}"


def _build(instructions: list[Instruction]) -> Iterator[str]:
    for item in _named(instructions, "ADD"):
        yield f"COPY says what it does, ADD guesses: {item.value}"
    for item in instructions:
        if item.name in {"ENV", "ARG"} and any(_SECRET.search(name) for name, _ in _VARIABLE.findall(item.value)):
            yield f"a secret does not belong in an image: {item.name} {item.value}"
        if item.name == "ARG" and _SECRET.search(item.value) and "=" not in item.value:
            yield f"a build argument stays in the image's history: {item.value}"
        if item.name == "COPY" and ("--chown" in item.value or "--chmod" in item.value):
            yield f"code belongs to root, so that the application cannot change it: {item.value}"
    if any(source in {".", "./"} or "*" in source for source, _ in copied(instructions)):
        yield "COPY names what it takes"
    for item in _named(instructions, "RUN"):
        if re.search(r"\b(curl|wget)\b[^|;&]*\|", item.value) or re.search(r"\bsudo\b", item.value):
            yield f"nothing from the network is run unread, nothing needs sudo: {item.value}"
        for command in re.split(r"&&|;", item.value):
            if re.search(r"\bpip3? install\b", command) and not re.search(
                r"--require-hashes.* -r requirements\.lock", command
            ):
                yield f"only the locked set is installed, and only by its hashes: {command.strip()}"
    if variables(instructions).get("PIP_NO_CACHE_DIR") != "1":
        yield "pip's cache would stay in the image: PIP_NO_CACHE_DIR=1"


def _run(instructions: list[Instruction]) -> Iterator[str]:
    users = _named(instructions, "USER")
    if not users or users[-1].value != "1000":
        yield "it runs as USER 1000, by number: an orchestrator can see that it is not root"
    elif any(item.name in {"RUN", "COPY"} for item in instructions[instructions.index(users[-1]) :]):
        yield "what is built after USER belongs to the user, who could change it"
    if [item.value for item in _named(instructions, "EXPOSE")] != ["7860"]:
        yield "it exposes 7860 and nothing else"
    starts = _named(instructions, "CMD")
    if len(starts) != 1 or not starts[0].exec_form or _named(instructions, "ENTRYPOINT"):
        yield 'one CMD in exec form ["…"]: a shell would keep SIGTERM to itself'
    checks = _named(instructions, "HEALTHCHECK")
    if len(checks) != 1 or "/health" not in checks[0].value or checks[0].exec_form is None:
        yield "one HEALTHCHECK in exec form that asks /health"
    environment = variables(instructions)
    writable = [volume for item in _named(instructions, "VOLUME") for volume in item.exec_form or item.words]
    if environment.get("DATA_DIR") not in writable:
        yield "DATA_DIR is a VOLUME: the index outlives the container"
    if not re.search(rf"chown \S*user\S* {environment.get('DATA_DIR', '-')}", " ".join(i.value for i in instructions)):
        yield "DATA_DIR belongs to the user"


class Ignored:
    """Answers by the patterns of a .dockerignore; the last one that matches a path or a folder above it counts."""

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines()]
        self.patterns = [line for line in lines if line and not line.startswith("#")]

    def __call__(self, path: str) -> bool:
        """`path` is relative to the build's context, with forward slashes."""
        parts = path.split("/")
        places = {"/".join(parts[:end]) for end in range(1, len(parts) + 1)}
        ignored = False
        for pattern in self.patterns:
            matches = _glob(pattern.removeprefix("!").strip("/"))
            if any(matches.fullmatch(place) for place in places):
                ignored = not pattern.startswith("!")
        return ignored

    def files(self, root: Path, source: str) -> list[str]:
        """The files that COPY of `source` takes."""
        start = root / source
        found = [start] if start.is_file() else sorted(path for path in start.rglob("*") if path.is_file())
        names = [path.relative_to(root).as_posix() for path in found]
        return [name for name in names if not self(name)]


def _glob(pattern: str) -> re.Pattern[str]:
    """`*` and `?` stop at a slash, `**` does not."""
    written = re.escape(pattern)
    written = (
        written.replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    )
    return re.compile(written)
