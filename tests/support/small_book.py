"""A book of four short pages, and its index made by the real ingest."""

from contextlib import aclosing
from pathlib import Path
from typing import Any

from rag.build import build_ingestion
from rag.events import Finished
from rag.ingest.ingest import ingest
from rag.settings import Settings

PAGES = {
    "index.md": """# Walking machines

This book explains how walking machines keep their balance, how they plan their steps and how their batteries last.
""",
    "part-1/01-control.md": """# Feedback control

## PID control {#pid}

A PID controller keeps the robot upright by correcting the error between the wanted and the measured torso angle.
The proportional part reacts to the error itself. The integral part removes a steady offset. The derivative part damps
the motion before it overshoots.

```python
torque = kp * error[1] + ki * integral + kd * derivative
```

## Tuning the gains

Raise the proportional gain until the robot starts to oscillate, then halve it. Add the derivative gain to calm it.
""",
    "part-1/02-walking.md": """# Walking

## The zero moment point

The zero moment point must stay inside the support polygon, or the robot tips over its foot edge.

## Why do steps need a plan?

A step that is planned too late cannot catch a falling body, because the swing leg needs time to travel.
""",
    "part-2/03-batteries.md": """# Batteries

## Charging safely

Lithium cells must never be charged below zero degrees Celsius, because metallic lithium plates the anode.

## Hot swapping

A second battery carries the computer while the first one is exchanged, so the robot need not reboot.
""",
}


def write_book(folder: Path) -> Path:
    for path, text in PAGES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def book_settings(folder: Path, **changes: Any) -> Settings:
    """Settings for the book in `folder/content`, which is written if it is not there."""
    content = folder / "content"
    if not content.exists():
        write_book(content)
    values: dict[str, Any] = {"content_dir": content, "data_dir": folder / "data", "book_url": "https://book.example"}
    return Settings(**(values | changes))


async def index(settings: Settings, **options: Any) -> Finished:
    """Runs the ingest to its end."""
    parts = build_ingestion(settings)
    await parts.store.open()
    try:
        async with aclosing(ingest(parts, **options)) as events:
            finished = [event async for event in events][-1]
    finally:
        await parts.embedder.close()
        await parts.store.close()
    assert isinstance(finished, Finished), finished
    return finished
