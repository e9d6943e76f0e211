"""Which share of a plan a session uses, and whether requests ever depart faster: against a server in its own process.

A plan of 10, 50 and 200 requests per second, one at once and a tenth of a second's worth at once; without a journal,
with a SQLite file (and the limiter of that file), and with a journal that takes 10 ms a transaction. What is possible
is what rate, margin and capacity allow. At a capacity of 1 the next period begins with a departure, so what passes
between a grant and its departure (a commit, most of all) is lost each time; with more, it is not.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs
from aiohttp import web
from rich.table import Table

from aimusic_async import MemoryJournal, MusicSession, TokenBucket, sonic
from aimusic_async.events import Event, RequestSent
from aimusic_async.journal.protocol import JobJournal, Outcome
from aimusic_async.journal.steps import Step
from benchmarks.serving import serving

RATES = (10.0, 50.0, 200.0)
COMMIT = 0.01
"""Seconds that a transaction of the slow journal takes."""
PATH = "/api/v1/sonic/create"


class SlowJournal(MemoryJournal):
    """A journal on a slow disk."""

    async def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        """Store steps, together."""
        await asyncio.sleep(COMMIT)
        return await super().apply(steps)


@attrs.frozen
class Plan:
    """One row of the table."""

    rate: float
    capacity: int
    journal: str

    @property
    def period(self) -> float:
        """Seconds from one request to the next, margin included."""
        return TokenBucket(self.rate).period


@attrs.frozen
class Used:
    """How a session used its plan."""

    share: float
    """Of what the plan and the margin allow, after the first burst."""
    densest: float
    """Departures in the densest window, of those that the plan allows there (without the margin)."""


JOURNALS = ("none", "SQLite", f"{COMMIT * 1000:.0f} ms a commit")
PLANS = tuple(
    Plan(rate, capacity, journal)
    for journal in JOURNALS
    for rate in RATES
    for capacity in sorted({1, max(int(rate / 10), 1)})
)


def run(*, seeds: int) -> Table:
    """Watch each plan for `seeds` seconds."""
    table = Table(
        title=f"How much of a plan is used in {seeds} s, of what rate, margin and capacity allow; every request a song"
    )
    for column in ("journal", "a second", "at once", "allowed", "used", "share", "densest window, of the plan's"):
        table.add_column(column, justify="left" if column == "journal" else "right")
    with serving(PATH, _answer) as url:
        before = PLANS[0].journal
        for plan in PLANS:
            if plan.journal != before:
                table.add_section()
            before = plan.journal
            used = asyncio.run(_use(plan, url, float(seeds)))
            table.add_row(
                plan.journal,
                f"{plan.rate:g}",
                str(plan.capacity),
                f"{1 / plan.period:.1f}/s",
                f"{used.share / plan.period:.1f}/s",
                f"{used.share:.1%}",
                f"{used.densest:.1%}",
            )
    return table


async def _use(plan: Plan, url: str, seconds: float) -> Used:
    departed: list[float] = []
    clock = asyncio.get_running_loop().time

    def note(event: Event) -> None:
        if isinstance(event, RequestSent):
            departed.append(clock())

    with tempfile.TemporaryDirectory() as folder:
        journal: Path | JobJournal | None = {
            JOURNALS[0]: None,
            JOURNALS[1]: Path(folder) / "jobs.db",
            JOURNALS[2]: SlowJournal(),
        }[plan.journal]
        async with MusicSession(
            "key", url, rate=plan.rate, capacity=plan.capacity, journal=journal, poll_interval=10_000
        ) as music:
            music.events.listen(note)
            count = plan.capacity + int(seconds / plan.period)
            jobs = [
                music.submit(sonic.CreateMusic(prompt="la", mv="sonic-v5", title=str(number)), key=str(number))
                for number in range(count)
            ]
            await asyncio.gather(*(job.accepted() for job in jobs))
            for job in jobs:
                job.cancel()
    # The first burst is what the quiet time before saved: it is no rate.
    share = (count - plan.capacity) * plan.period / (departed[-1] - departed[0])
    return Used(share, _densest(departed, plan))


def _densest(moments: Sequence[float], plan: Plan) -> float:
    """Return how much of what the plan allows was used in the window where that is most."""
    return max(
        number / (plan.capacity + plan.rate * (last - first))
        for place, first in enumerate(moments)
        for number, last in enumerate(moments[place:], 1)
    )


async def _answer(request: web.Request) -> web.Response:
    await request.read()
    return web.json_response({"task_id": "task"})
