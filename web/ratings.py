"""What readers think of answers: limited like every request, and counted once for each answer."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal

from web.access import Limits
from web.asking import Client
from web.figures import Figures
from web.metrics import Metrics
from web.problems import Problem

Rating = Literal["up", "down"]
REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Given:
    """An answer that has been given. Of its question there is a digest, to know it again."""

    question: bytes
    liked: bool | None = None


class Ratings:
    """Remembers the latest answers that have been given, and how each was rated. No other answer can be rated.

    The id of an answer is random and told to nobody but its reader.
    """

    def __init__(self, limits: Limits, metrics: Metrics, figures: Figures, remembered: int = REMEMBERED) -> None:
        self._limits, self._metrics, self._figures = limits, metrics, figures
        self._given: OrderedDict[str, Given] = OrderedDict()
        self._remembered = remembered

    def given(self, message_id: str, question: str) -> None:
        """An answer of this id is on its way. The oldest is forgotten for a new one."""
        self._given[message_id] = Given(_digest(question))
        if len(self._given) > self._remembered:
            self._given.popitem(last=False)

    async def rate(self, client: Client, message_id: str, rating: Rating) -> None:
        """The last rating of an answer wins; an answer that is not remembered is not counted. Raises Problem 429."""
        await self._change(client, message_id, liked=rating == "up", question="")

    async def change(self, client: Client, message_id: str, liked: bool | None, question: str) -> None:
        """As `rate`, for a surface that knows the answer's question; `liked` None takes a rating back.

        What is said to be the question is kept only where it is that of the answer.
        """
        await self._change(client, message_id, liked=liked, question=question)

    async def _change(self, client: Client, message_id: str, *, liked: bool | None, question: str) -> None:
        await self._admit(client)
        given = self._given.get(message_id)
        if given is None:
            self._metrics.ratings.labels("unknown", client.surface).inc()
            return
        self._given[message_id] = replace(given, liked=liked)
        if liked is not given.liked:
            self._count(client, liked, given.liked, question if _digest(question) == given.question else "")

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


def _digest(question: str) -> bytes:
    return sha256(question.encode("utf-8", "replace")).digest()[:16]
