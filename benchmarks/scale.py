"""What 1,000 to 100,000 queued jobs cost in memory and CPU, and what one decision of the schedule costs beside them.

Nobody else's numbers stand here: there is nothing of the kind to compare with, but a straight line. What a job costs
should not grow with their number.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import statistics
import time
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import attrs
from rich.console import Group
from rich.table import Table

from aimusic_async import MusicSession, Token, sonic
from aimusic_async.scheduling.durations import TaskKind
from aimusic_async.scheduling.schedule import Kind, Schedule

COUNTS = (1_000, 10_000, 100_000)
TOKEN_PERIOD = 3.0
INTERVAL = 15.0
SPREAD = 300.0
"""Seconds over which the watched tasks were accepted."""
LONGEST, MOST = 1.0, 2_000
"""Seconds of one measurement of decisions, and their number; whichever is reached first."""


@attrs.frozen
class Queued:
    """What one queued job cost, measured in a process of its own."""

    traced: float
    """Bytes that Python's allocators gave out; nan when they were not watched."""
    resident: float
    """Bytes by which the process grew; nan where the system does not say."""
    submit: float
    """Seconds of CPU."""
    cancel: float


class Never:
    """A rate limiter that grants nothing."""

    async def acquire(self) -> Token:
        """Wait for ever."""
        await asyncio.Event().wait()
        raise AssertionError

    def pause_until(self, moment: float) -> None:
        """Nothing to pause."""


def run(*, seeds: int) -> Group:
    """Measure every count, each in fresh processes; medians of `seeds` runs."""
    return Group(_queues(seeds), _decisions(seeds))


# --- queued jobs ---------------------------------------------------------------------------------------------------


def _queues(repetitions: int) -> Table:
    table = Table(title=f"A queued job (session open, no token ever granted), medians of {repetitions} runs")
    table.add_column("jobs", justify="right")
    for column in ("memory", "with its request", "RSS", "with its request", "submit, CPU", "cancel, CPU"):
        table.add_column(column, justify="right")
    # One process for each measurement: freed memory of the one before would hide what the next one takes.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh, max_tasks_per_child=1) as processes:
        for count in COUNTS:
            traced = [processes.submit(queue, count, own=own, traced=True).result().traced for own in (False, True)]
            bare, full = (
                [processes.submit(queue, count, own=own).result() for _ in range(repetitions)] for own in (False, True)
            )
            table.add_row(
                f"{count:,}",
                *(f"{size:,.0f} B" for size in traced),
                *(f"{statistics.median(one.resident for one in runs):,.0f} B" for runs in (bare, full)),
                f"{statistics.median(one.submit for one in bare) * 1e6:.1f} µs",
                f"{statistics.median(one.cancel for one in bare) * 1e6:.1f} µs",
            )
    return table


def queue(count: int, *, own: bool, traced: bool = False) -> Queued:
    """Queue so many jobs, of one request or of one each, and cancel them."""
    return asyncio.run(_queue(count, own=own, traced=traced))


async def _queue(count: int, *, own: bool, traced: bool) -> Queued:
    one = _request(0)
    async with MusicSession("sk-benchmark", "http://127.0.0.1:9", limiter=Never()) as music:
        music.submit(one).cancel()  # whatever is made once is made now
        await asyncio.sleep(0.01)
        if traced:
            tracemalloc.start()
        memory, resident, cpu = _traced(), _resident(), time.process_time()
        jobs = [music.submit(_request(number) if own else one) for number in range(count)]
        await asyncio.sleep(0)
        submit = time.process_time() - cpu
        memory, resident = _traced() - memory, _resident() - resident
        tracemalloc.stop()
        cpu = time.process_time()
        for job in jobs:
            job.cancel()
        await asyncio.sleep(0)
        cancel = time.process_time() - cpu
    return Queued(traced=memory / count, resident=resident / count, submit=submit / count, cancel=cancel / count)


def _request(number: int) -> sonic.CreateMusic:
    return sonic.CreateMusic(
        mv="sonic-v5", prompt=f"[Verse]\nSong {number} of many", title=f"Song {number}", tags="pop"
    )


def _traced() -> float:
    return tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else float("nan")


def _resident() -> float:
    pages = Path("/proc/self/statm")  # Linux; the highest mark that other systems report never falls
    return int(pages.read_text().split()[1]) * float(os.sysconf("SC_PAGE_SIZE")) if pages.exists() else float("nan")


# --- decisions -----------------------------------------------------------------------------------------------------


@attrs.frozen
class Decided:
    """What the schedule did for some tokens in a row, in seconds of CPU each."""

    decisions: list[float]
    """When is something due, and what is it?"""
    polls: list[float]
    """Learning that a task still runs, and when it is due again."""


def _decisions(repetitions: int) -> Table:
    table = Table(title=f"One decision (due_at, take), one poll's answer (polled): CPU, medians of {repetitions} runs")
    for column in ("waiting", "N submits", "worst", "N tasks", "worst", "both", "worst", "polled, N tasks"):
        table.add_column(column, justify="right")
    for count in COUNTS:
        cells = []
        polled = 0.0
        for submits, watched in ((count, 0), (0, count), (count, count)):
            runs = [_decide(submits, watched) for _ in range(repetitions)]
            cells.append(_short(statistics.median(statistics.median(one.decisions) for one in runs)))
            cells.append(_short(statistics.median(max(one.decisions) for one in runs)))
            if not submits:
                polled = statistics.median(statistics.median(one.polls) for one in runs)
        table.add_row(f"{count:,}", *cells, _short(polled))
    return table


def _decide(submits: int, watched: int) -> Decided:
    """Spend tokens, one a period; as many jobs wait after each as before."""
    schedule: Schedule[int] = Schedule()
    kind = TaskKind("sonic.create_music", 90.0)
    for job in range(watched):
        schedule.watch(job, kind, now=job * SPREAD / watched, interval=INTERVAL)
    for job in range(watched, watched + submits):
        schedule.add(job, Kind.SUBMIT, now=SPREAD)
    now, number = SPREAD, watched + submits
    decided = Decided([], [])
    ends = time.perf_counter() + LONGEST
    while len(decided.decisions) < MOST and time.perf_counter() < ends:
        now += TOKEN_PERIOD
        cpu = time.process_time()
        schedule.due_at(now)
        choice = schedule.take(now)
        decided.decisions.append(time.process_time() - cpu)
        if choice is not None and choice.kind is Kind.POLL:
            cpu = time.process_time()
            schedule.polled(choice.job, now)
            decided.polls.append(time.process_time() - cpu)
        elif choice is not None:
            schedule.add(number, Kind.SUBMIT, now=now)
            number += 1
    return decided


def _short(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f} µs" if seconds < 0.001 else f"{seconds * 1e3:,.1f} ms"
