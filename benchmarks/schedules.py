"""How soon N songs are there at one request per 3 seconds: ours, what people write today, and the best that could be.

Virtual time over the sandbox, real HTTP, task durations log-normal (median 90 s, sigma 0.35), which no schedule knows.
All ways use the same token period, so that the schedule alone is compared.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random
import statistics
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import attrs
import looptime
from rich.table import Table

from aimusic_async import MusicSession, TokenBucket, sonic
from aimusic_async.sandbox import Options, Sandbox

COUNTS = (10, 30, 100, 300)
SONG = sonic.CreateMusic(mv="sonic-v5", prompt="[Verse]\nOne of many")


@attrs.frozen
class Run:
    """When each song was there, in seconds from the start, and what it took."""

    ends: list[float]
    requests: int
    refusals: int

    @property
    def makespan(self) -> float:
        """When the last song was there."""
        return max(self.ends)

    @property
    def turnaround(self) -> float:
        """When a song was there on average."""
        return statistics.fmean(self.ends)


def _virtual(work: Callable[[], Awaitable[Run]]) -> Run:
    loop = looptime.new_event_loop(_enabled=True)
    try:
        return loop.run_until_complete(work())  # type: ignore[arg-type]
    finally:
        loop.close()


async def ours(box: Sandbox, count: int) -> list[float]:
    """Submit all in one group."""
    clock = asyncio.get_running_loop().time
    ends: list[float] = []
    async with MusicSession.sandbox(box) as music, music.group() as group:
        started = clock()
        for _ in range(count):
            group.submit(SONG)
        async for _ in group.as_completed():
            ends.append(clock() - started)  # noqa: PERF401 - the moment counts, not the list
    return ends


async def gather(box: Sandbox, count: int) -> list[float]:
    """What people write: `asyncio.gather`, a first-come-first-served limiter, a poll every 20 seconds."""
    clock = asyncio.get_running_loop().time
    limiter = TokenBucket()
    body = {"task_type": "create_music", "custom_mode": True, "mv": SONG.mv, "prompt": SONG.prompt}
    started = clock()

    async with aiohttp.ClientSession(box.url, headers={"Authorization": f"Bearer {box.key}"}) as http:

        async def ask(method: str, path: str, **rest: Any) -> Any:
            await limiter.acquire()
            async with http.request(method, f"/api/v1{path}", **rest) as response:
                return await response.json()

        async def song() -> float:
            task_id = (await ask("POST", "/sonic/create", json=body))["task_id"]
            while True:
                await asyncio.sleep(20)
                answer = await ask("GET", f"/sonic/task/{task_id}")
                if all(clip["state"] == "succeeded" for clip in answer.get("data") or [{"state": ""}]):
                    return clock() - started

        return list(await asyncio.gather(*(song() for _ in range(count))))


def clairvoyant(durations: list[float], period: float) -> Run:
    """Know every duration: look at each task once, as soon as it has finished, and else submit."""
    now, ends, running, waiting = 0.0, [], [], list(reversed(durations))
    while waiting or running:
        if running and (running[0] <= now or not waiting):
            now = max(now, heapq.heappop(running))
            ends.append(now)
        else:
            heapq.heappush(running, now + waiting.pop())
        now += period
    return Run(ends, requests=2 * len(durations), refusals=0)


def _measure(way: Callable[[Sandbox, int], Awaitable[list[float]]], durations: list[float]) -> Run:
    async def work() -> Run:
        options = Options(credits=10**6, durations=lambda _operation, number: durations[number])
        async with Sandbox(options) as box:
            ends = await way(box, len(durations))
            return Run(ends, requests=len(box.books.requests), refusals=len(box.books.refusals))

    return _virtual(work)


def run(*, seeds: int) -> Table:
    """Measure every way at every count; figures are ratios to the clairvoyant schedule, means over the seeds."""
    table = Table(title=f"N songs, 1 request per {TokenBucket().period:g} s; ratios to the clairvoyant, {seeds} seeds")
    for column in ("N", "way", "mean turnaround", "makespan", "first song", "requests a song", "refusals"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for count in COUNTS:
        for way in (ours, gather):
            rows = []
            for seed in range(seeds):
                dice = random.Random(seed)
                durations = [dice.lognormvariate(math.log(90), 0.35) for _ in range(count)]
                rows.append((_measure(way, durations), clairvoyant(durations, TokenBucket().period)))
            table.add_row(
                str(count),
                way.__name__,
                *(
                    f"{statistics.fmean(value(got) / value(best) for got, best in rows):.2f}"
                    for value in (lambda one: one.turnaround, lambda one: one.makespan, lambda one: min(one.ends))
                ),
                f"{statistics.fmean(got.requests / count for got, _ in rows):.1f}",
                str(sum(got.refusals for got, _ in rows)),
            )
    return table
