"""Where processes of the application that write the same index agree on the one ingest, and see how far it is."""

from typing import Protocol

from rag.ingest.job_snapshot import JobSnapshot


class Board(Protocol):
    """Nothing here fails because nobody can be asked: a process that is alone decides alone."""

    async def claim(self, job: JobSnapshot) -> JobSnapshot | None:
        """None: the job may run here. Else the job that runs elsewhere; IngestRunning when only that is known."""
        ...

    async def tell(self, job: JobSnapshot) -> bool:
        """Shows the job to the others and renews its claim. True when one of them wants it cancelled."""
        ...

    async def end(self, job: JobSnapshot) -> None:
        """Shows the job's end and gives its claim back."""
        ...

    async def look(self) -> JobSnapshot | None:
        """The latest job of any process, ended when its process is gone; None when none is to be seen."""
        ...

    async def stop(self, task_id: str) -> None:
        """Asks whoever runs the job to cancel it."""
        ...

    async def close(self) -> None: ...


class Alone:
    """The board of an application that is one process."""

    async def claim(self, job: JobSnapshot) -> JobSnapshot | None:  # noqa: ARG002
        return None

    async def tell(self, job: JobSnapshot) -> bool:  # noqa: ARG002
        return False

    async def end(self, job: JobSnapshot) -> None:
        pass

    async def look(self) -> JobSnapshot | None:
        return None

    async def stop(self, task_id: str) -> None:
        pass

    async def close(self) -> None:
        pass
