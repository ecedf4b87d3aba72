"""Ways in which a file on disk comes to be another than the one that was written."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path


def _random_bytes(path: Path, chance: random.Random) -> None:
    """Some bytes where the file holds something."""
    content = bytearray(path.read_bytes())
    held = [at for at in range(0, len(content), 512) if any(content[at : at + 512])] or [0]
    start = chance.choice(held)
    some = chance.randbytes(chance.choice([1, 16, 512]))
    content[start : start + len(some)] = some
    path.write_bytes(content)


def _all_random(path: Path, chance: random.Random) -> None:
    path.write_bytes(chance.randbytes(min(path.stat().st_size, 2**20)) or b"x")


def _cut(path: Path, chance: random.Random) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(chance.randrange(size) if size else 1)


def _zeroed(path: Path, _: random.Random) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _emptied(path: Path, _: random.Random) -> None:
    path.write_bytes(b"")


def _deleted(path: Path, _: random.Random) -> None:
    path.unlink()


def _swapped(path: Path, chance: random.Random) -> None:
    others = [other for other in path.parent.parent.rglob("*") if other.is_file() and other != path]
    if others:
        other = chance.choice(sorted(others))
        kept = path.read_bytes()
        shutil.copyfile(other, path)
        other.write_bytes(kept)


KINDS: dict[str, Callable[[Path, random.Random], None]] = {
    "random bytes": _random_bytes,
    "all random": _all_random,
    "cut short": _cut,
    "zeroed": _zeroed,
    "emptied": _emptied,
    "deleted": _deleted,
    "swapped with another": _swapped,
}


def damaged(path: Path, kind: str, chance: random.Random) -> bool:
    """Damage the file, or take the folder away; False when it is still what it was."""
    if path.is_dir():
        shutil.rmtree(path)
        return True
    before = path.read_bytes()
    KINDS[kind](path, chance)
    return not path.exists() or path.read_bytes() != before
