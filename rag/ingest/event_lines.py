"""IngestEvents as lines of JSON: how the ingest worker tells the application what happens."""

from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from rag.events import IngestEvent

MAX_LINE = 8 * 1024 * 1024  # bytes; a plan that adds 50,000 files still fits

_event: TypeAdapter[IngestEvent] = TypeAdapter(Annotated[IngestEvent, Field(discriminator="type")])


def encode(event: IngestEvent) -> str:
    """One line, without its line feed."""
    return _event.dump_json(event).decode()


def decode(line: str | bytes) -> IngestEvent | None:
    """The event, or None when the line is not one."""
    try:
        return _event.validate_json(line)
    except ValidationError:
        return None
