"""What readers think of answers: limited like every request, and counted once for each answer."""

from collections import OrderedDict
from typing import Literal

from web.access import Limits
from web.asking import Client
from web.figures import Figures
from web.metrics import Metrics
from web.problems import Problem

Rating = Literal["up", "down"]
REMEMBERED = 10_000


class Ratings:
    """Remembers the latest answers that have been given, and how each was rated."""

    def __init__(self, limits: Limits, metrics: Metrics, figures: Figures, remembered: int = REMEMBERED) -> None:
        self._limits, self._metrics, self._figures = limits, metrics, figures
        self._given: OrderedDict[str, bool | None] = OrderedDict()
        self._remembered = remembered

    def given(self, message_id: str) -> None:
        """An answer of this id is on its way."""
        self._remember(message_id, None)

    async def rate(self, client: Client, message_id: str, rating: Rating) -> None:
        """The last rating of an answer wins; an answer that is not remembered is not counted. Raises Problem 429."""
        await self._admit(client)
        if message_id not in self._given:
            self._metrics.ratings.labels("unknown", client.surface).inc()
            return
        self._rated(client, message_id, liked=rating == "up", before=self._given[message_id], question="")

    async def change(self, client: Client, answer: str, liked: bool | None, before: bool | None, question: str) -> None:
        """For a surface that names its answers and remembers how each was rated `before`; what this process has heard
        of one since then counts more. `liked` None takes a rating back. Raises Problem 429.
        """
        await self._admit(client)
        self._rated(client, answer, liked=liked, before=self._given.get(answer, before), question=question)

    def _rated(self, client: Client, answer: str, *, liked: bool | None, before: bool | None, question: str) -> None:
        self._remember(answer, liked)
        if liked is not before:
            self._count(client, liked, before, question)

    def _remember(self, answer: str, liked: bool | None) -> None:
        """The oldest is forgotten for a new one."""
        self._given[answer] = liked
        if len(self._given) > self._remembered:
            self._given.popitem(last=False)

    def _count(self, client: Client, liked: bool | None, before: bool | None, question: str) -> None:
        name = {True: "up", False: "down", None: "taken_back"}[liked]
        self._metrics.ratings.labels(name, client.surface).inc()
        self._figures.rated(liked, before, question)

    async def _admit(self, client: Client) -> None:
        try:
            await self._limits.admit_rating(client.host)
        except Problem:
            self._metrics.limited.labels(client.surface).inc()
            raise
