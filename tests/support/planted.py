"""Secrets that a test gives to the application, looked for where they must not be."""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

SECRET_SETTINGS = ("OPENAI_API_KEY", "QDRANT_API_KEY", "ADMIN_TOKEN", "API_KEYS", "REDIS_URL")
URL_SETTINGS = ("OPENAI_BASE_URL", "QDRANT_URL", "BOOK_URL", "REDIS_URL")
_SHORTEST = 12  # characters: what is shorter may be a word of the book
_PASSWORD = re.compile(r"://[^/\s:@]*:([^/\s]+)@")
_LARGEST = 20_000_000  # bytes of a file


def secrets_of(settings: Mapping[str, str]) -> set[str]:
    """The secrets among the settings as they may be spelled."""
    found = {part.strip() for name in SECRET_SETTINGS for part in settings.get(name, "").split(",")}
    found |= {match[1] for name in URL_SETTINGS for match in _PASSWORD.finditer(settings.get(name, ""))}
    return {spelling for secret in found if len(secret) >= _SHORTEST for spelling in (secret, quote(secret, safe=""))}


def spilled(text: str | bytes, settings: Mapping[str, str]) -> list[str]:
    """The secrets that are in a text."""
    data = text.encode() if isinstance(text, str) else text
    return [secret for secret in secrets_of(settings) if secret.encode() in data]


def spilled_by_files(folder: Path, settings: Mapping[str, str]) -> list[str]:
    """What lies below `folder` with a secret in it; an `.env` is where secrets belong."""
    if not secrets_of(settings):
        return []
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".env" and not path.is_symlink()]
    return [
        f"{secret} is in {path}"
        for path in files
        if path.stat().st_size <= _LARGEST
        for secret in spilled(path.read_bytes(), settings)
    ]


def spilled_by_processes(pid: int, settings: Mapping[str, str]) -> list[str]:
    """The command lines of a process and its children, which every user of the machine may read, with a secret."""
    found: list[str] = []
    pids = [pid]
    while pids:
        process = Path("/proc") / str(pids.pop())
        try:
            command = (process / "cmdline").read_bytes()
            children = (process / "task" / process.name / "children").read_text()
        except OSError:  # it has ended, or there is no /proc here
            continue
        found += [f"{secret} is in the command line {command!r}" for secret in spilled(command, settings)]
        pids += [int(child) for child in children.split()]
    return found
