"""The first word of an answer against a minimal relay: for one reader, and for a hundred.

One reader: a model server that says one word at once, a question to each side in turns, the median of many. The CPU
seconds beside it are those of whole answers. A hundred: 100 ms for the question's vector, 400 ms to the first word, 30
pieces a second for eight seconds. They begin within those, so that all are there at once when the last one comes. Each
side has its hundred in turns.
"""

import asyncio
import statistics

from benchmarks.figures import Figure
from benchmarks.processes import Served, cpu_seconds
from benchmarks.reader import Answer, ask
from benchmarks.serving import Sides, both, question, upstream

ROUNDS, READERS, WITHIN = 200, 100, 8.0
REALISTIC = {"embed": 0.1, "first": 0.4, "rate": 30.0, "pieces": 240.0}


def measure(*, quick: bool) -> list[Figure]:
    with upstream(pieces=1) as server, both(server) as sides:
        alone = asyncio.run(_alone(sides, ROUNDS // 4 if quick else ROUNDS))
    with upstream(**REALISTIC) as server, both(server) as sides:
        return [alone, *asyncio.run(_crowd(sides, READERS // 4 if quick else READERS, 1 if quick else 2))]


async def _alone(sides: Sides, rounds: int) -> Figure:
    clock: tuple[list[float], list[float]] = ([], [])
    cpu = [0.0, 0.0]
    for number in range(rounds + 5):
        for place, side in enumerate((sides.relay, sides.application)):
            before = cpu_seconds(side.process)
            answer = await ask(side.port, question(number))
            if number >= 5:  # the first ones load and calibrate
                clock[place].append(answer.first)
                cpu[place] += cpu_seconds(side.process) - before
    low, taken = (statistics.median(times) * 1e3 for times in clock)
    spent = [f"{seconds * 1e3 / rounds:.1f} ms" for seconds in cpu]
    measured = f"{low:.1f} ms relayed, {taken:.1f} ms here (CPU of a whole answer {spent[0]} and {spent[1]})"
    says = "First word of `/chat` ÷ a bare relay's, p50, one reader, instant model"
    return Figure("first word, 1", says, taken / low, 2.0, sides=measured)


async def _crowd(sides: Sides, readers: int, rounds: int) -> list[Figure]:
    ours, floor, failed = list[float](), list[float](), 0
    await asyncio.gather(*(ask(side.port, question(0)) for side in (sides.relay, sides.application)))
    for number in range(rounds):
        for side, times in ((sides.relay, floor), (sides.application, ours)):
            given = await at_once(side, 1000 * (number + 1), readers)
            answers = [answer for answer in given if isinstance(answer, Answer)]
            times += [answer.first for answer in answers]
            failed += (readers - len(answers)) if side is sides.application else 0
    low, taken = (statistics.quantiles(times, n=20)[-1] for times in (floor, ours))
    says = f"First word of `/chat` ÷ a bare relay's, p95, {readers} readers, realistic model"
    measured = f"{low * 1e3:.0f} ms relayed, {taken * 1e3:.0f} ms here"
    return [
        Figure(f"first word, {readers}", says, taken / low, 1.15, sides=measured),
        Figure(
            "failed answers", f"Answers that failed, {readers} readers", float(failed), 0.0, sides=f"{rounds} rounds"
        ),
    ]


async def at_once(side: Served, start: int, readers: int) -> list[Answer | BaseException]:
    """What each of them got, or why it got none."""

    async def reader(number: int) -> Answer:
        await asyncio.sleep(WITHIN * number / readers)
        return await ask(side.port, question(start + number))

    return await asyncio.gather(*map(reader, range(readers)), return_exceptions=True)
