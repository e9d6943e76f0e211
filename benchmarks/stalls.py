"""How long 100,000 jobs hold the event loop: the longest turn of everything that ends or resumes many jobs at once.

A turn is one callback of the loop, in CPU time of its thread, so that other processes do not count. Python's own full
garbage collections come on top of that, wherever they happen to fall; they have a table of their own.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import statistics
import tempfile
import time
from asyncio import events
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from rich.console import Group
from rich.table import Table

from aimusic_async import AuthenticationError, MusicSession, Token, TokenBucket, sonic

JOBS = 100_000
LIMIT = 0.020
"""Seconds that no turn may take."""
NOWHERE = "http://127.0.0.1:9"


class Gate:
    """A rate limiter that grants nothing before it is opened."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self._bucket = TokenBucket(100, margin=0)

    async def acquire(self) -> Token:
        """Wait for the opening, then for a token."""
        await self.opened.wait()
        return await self._bucket.acquire()

    def pause_until(self, moment: float) -> None:
        """Nothing to pause."""


class Turns:
    """Measures the turns of every event loop of this process while it is entered."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.collecting = 0.0  # in this turn
        self._run = events.Handle._run  # noqa: SLF001 - there is no other place where a turn can be seen

    def __enter__(self) -> Self:
        def timed(handle: events.Handle) -> None:
            self.collecting, began = 0.0, time.thread_time()
            self._run(handle)
            self.longest = max(self.longest, time.thread_time() - began - self.collecting)

        events.Handle._run = timed  # type: ignore[method-assign]  # noqa: SLF001 - as above
        gc.callbacks.append(self._collected)
        return self

    def __exit__(self, *exc_info: object) -> None:
        events.Handle._run = self._run  # type: ignore[method-assign]  # noqa: SLF001 - as above
        gc.callbacks.remove(self._collected)

    def _collected(self, phase: str, _info: dict[str, int]) -> None:
        now = time.thread_time()
        if phase == "start":
            self._since = now
        else:
            self.collecting += now - self._since

    def take(self) -> float:
        """Return the longest turn since the last time."""
        longest, self.longest = self.longest, 0.0
        return longest


def run(*, seeds: int) -> Group:
    """Measure each call `seeds` times."""
    logging.getLogger("aimusic_async").setLevel(logging.CRITICAL)
    return Group(_turns(seeds), _collections())


def _turns(rounds: int) -> Table:
    measured: dict[str, list[float]] = {}
    for _ in range(rounds):
        with Turns() as turns:
            for name, seconds in asyncio.run(_measure(turns, JOBS)):
                measured.setdefault(name, []).append(seconds)
    table = Table(title=f"The longest turn of the event loop with {JOBS:,} jobs, medians of {rounds} runs")
    for column in ("call", "longest turn", f"at most {LIMIT * 1e3:.0f} ms"):
        table.add_column(column, justify="left" if column == "call" else "right")
    for name, all_seconds in measured.items():
        seconds = statistics.median(all_seconds)
        table.add_row(name, f"{seconds * 1e3:.1f} ms", "yes" if seconds <= LIMIT else "no")
    return table


async def _measure(turns: Turns, jobs: int) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []

    def note(name: str) -> None:
        found.append((name, turns.take()))

    async with _session(Gate()) as music:
        group = music.group(on_failure="keep", timeout=jobs * 100e-6)
        async with group:
            await _fill(group.submit, jobs)
            note("entering jobs into a group")
        note("a group's time-out")
        with suppress(TimeoutError):
            async with music.group() as group, asyncio.timeout(None) as limit:
                await _fill(group.submit, jobs)
                turns.take()
                limit.reschedule(0)
                await asyncio.Event().wait()
        await asyncio.sleep(0)
        note("leaving a group by an exception")
        await _fill(music.submit, jobs)
        turns.take()
    note("closing a session")
    async with _refusing() as url:
        gate = Gate()
        async with _session(gate, url) as music:
            try:
                async with music.group() as group:
                    await _fill(group.submit, jobs)
                    turns.take()
                    gate.opened.set()
            except* AuthenticationError:
                pass
            note("a 401 with a batch waiting")
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "jobs.db"
        async with _session(Gate(), journal=journal) as music:
            await _fill(music.submit, jobs, key=lambda number: f"song {number}")
            turns.take()
            await music.journal.jobs(limit=1)  # waits until all are written down
            note("entering jobs into a journal")
        note("closing a session with a journal")
        async with _session(Gate(), journal=journal) as music:
            await music.resume()
            note("resume()")
            await music.journal.jobs(limit=1)
            note("what the journal says of resumed jobs")
    return found


@asynccontextmanager
async def _session(gate: Gate, url: str = NOWHERE, journal: Path | None = None) -> AsyncIterator[MusicSession]:
    async with MusicSession("k" * 20, url, limiter=gate, journal=journal) as music:
        yield music


async def _fill(
    submit: Callable[..., object], jobs: int, key: Callable[[int], str | None] = lambda _number: None
) -> None:
    for number in range(jobs):
        submit(_song(number), key=key(number))
        if number % 100 == 0:
            await asyncio.sleep(0)


def _song(number: int) -> sonic.CreateMusic:
    return sonic.CreateMusic(mv="sonic-v5", prompt=f"[Verse]\nSong {number}", title=f"Song {number}")


@asynccontextmanager
async def _refusing() -> AsyncIterator[str]:
    """Serve a service to which every key is wrong."""

    async def refuse(_request: web.Request) -> web.Response:
        return web.json_response({"type": "unauthorized", "error": "Invalid API key"}, status=401)

    app = web.Application()
    app.router.add_post("/{path:.*}", refuse)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


# --- garbage collections -------------------------------------------------------------------------------------------


def _collections() -> Table:
    table = Table(title=f"A full garbage collection with {JOBS:,} queued jobs")
    for column in ("jobs", "objects a job", "with its request", "pause"):
        table.add_column(column, justify="right")
    objects, own, pause = asyncio.run(_collect())
    table.add_row(f"{JOBS:,}", f"{objects - own:.1f}", f"{objects:.1f}", f"{pause * 1e3:.0f} ms")
    return table


async def _collect() -> tuple[float, float, float]:
    """Return the tracked objects of a job, of its request alone, and the seconds of one full collection."""
    gc.collect()
    before = len(gc.get_objects())
    requests: list[Any] = [_song(number) for number in range(JOBS)]
    gc.collect()
    own = len(gc.get_objects()) - before
    async with _session(Gate()) as music:
        for number, request in enumerate(requests):
            music.submit(request)
            if number % 100 == 0:
                await asyncio.sleep(0)
        gc.collect()
        all_of_them = len(gc.get_objects()) - before
        pauses = []
        for _ in range(5):
            began = time.thread_time()
            gc.collect()
            pauses.append(time.thread_time() - began)
    return all_of_them / JOBS, own / JOBS, statistics.median(pauses)
