"""`SharedTokenBucket`: four processes on one file, in real time; how much of the limit they get, evenly, at what cost.

Nothing here needs the network: a grant is what an `acquire()` returned, counted from when it is spent.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path

import attrs
from rich.console import Group
from rich.table import Table

from aimusic_async.limiting.shared import SharedTokenBucket

TASKS = 10
"""That never stop asking, in each process."""
TOKENS = 500
"""Of each round that measures the cost; none has to be waited for."""


@attrs.frozen
class Limit:
    """What is shared in one row, and by how many."""

    processes: int
    rate: int
    seconds: float = 1.0
    margin: float | None = None
    capacity: int = 1

    def bucket(self, path: Path) -> SharedTokenBucket:
        """Return what one process has."""
        return SharedTokenBucket(path, rate=self.rate / self.seconds, capacity=self.capacity, margin=self.margin)


LIMITS = (
    Limit(1, 50, margin=0),
    Limit(4, 50, margin=0),
    Limit(4, 50),
    Limit(4, 50, capacity=5),
    Limit(4, 200, capacity=20),
    Limit(4, 5),
    Limit(4, 1, 3.0),
)


def run(*, seeds: int) -> Group:
    """Watch each limit for `seeds` seconds, and those with a longer period for as many periods."""
    return Group(_shared(seeds), _costs(2 * seeds))


def _shared(watched: int) -> Table:
    table = Table(title=f"{TASKS} tasks in each process that never stop asking, {watched} s (or periods), real time")
    columns = (
        "processes",
        "limit",
        "at once",
        "period",
        "granted, of possible",
        "smallest gap",
        "most in a window",
        "shares",
    )
    for name in columns:
        table.add_column(name, justify="right")
    for limit in LIMITS:
        seconds = watched * limit.seconds
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "line"
            spent = _watch(limit, path, seconds)
            period = limit.bucket(path).period
        moments = sorted(itertools.chain(*spent))
        possible = int(seconds / period) + limit.capacity
        shares = [len(own) / len(moments) for own in spent]
        table.add_row(
            str(limit.processes),
            f"{limit.rate} per {limit.seconds:g} s",
            str(limit.capacity),
            f"{period * 1000:.0f} ms",
            f"{len(moments)} of {possible}, {len(moments) / possible:.1%}",
            f"{min(late - early for early, late in itertools.pairwise(moments)) * 1000:.1f} ms",
            str(_most_within(moments, limit.seconds)),
            f"{min(shares):.0%} to {max(shares):.0%}",
        )
    return table


def _watch(limit: Limit, path: Path, seconds: float) -> list[list[float]]:
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(limit.processes)
    answers = spawn.SimpleQueue()
    work = [
        spawn.Process(target=_process, args=(limit, path, seconds, together, answers)) for _ in range(limit.processes)
    ]
    for process in work:
        process.start()
    spent: list[list[float]] = [answers.get() for _ in work]
    for process in work:
        process.join()
    return spent


def _process(
    limit: Limit, path: Path, seconds: float, together: Barrier, answers: multiprocessing.SimpleQueue[list[float]]
) -> None:
    answers.put(asyncio.run(_ask_all_the_time(limit, path, seconds, together)))


async def _ask_all_the_time(limit: Limit, path: Path, seconds: float, together: Barrier) -> list[float]:
    spent: list[float] = []
    async with limit.bucket(path) as bucket:

        async def caller() -> None:
            while True:
                token = await bucket.acquire()
                spent.append(time.time())
                token.spent()

        together.wait()
        callers = [asyncio.create_task(caller()) for _ in range(TASKS)]
        await asyncio.sleep(seconds)
        for task in callers:
            task.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
    return spent


def _most_within(moments: Sequence[float], seconds: float) -> int:
    """Return the greatest number of grants in any window; what the clock cannot resolve is no difference."""
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= seconds - 1e-5:
            first += 1
        most = max(most, last - first + 1)
    return most


# --- cost ------------------------------------------------------------------------------------------------------------


def _costs(rounds: int) -> Table:
    table = Table(title=f"One token that is there already: medians of {rounds} rounds of {TOKENS}")
    for name in ("", "takes", "CPU"):
        table.add_column(name, justify="right" if name else "left")
    for name, spend in (("acquire()", False), ("acquire(), spent()", True)):
        took = asyncio.run(_cost(rounds, spend=spend))
        table.add_row(name, *(f"{statistics.median(one) * 1e6:.0f} µs" for one in zip(*took, strict=True)))
    return table


async def _cost(rounds: int, *, spend: bool) -> list[tuple[float, float]]:
    took = []
    with tempfile.TemporaryDirectory() as folder:
        async with SharedTokenBucket(Path(folder) / "line", rate=1e9, margin=0) as bucket:
            for _ in range(rounds):
                wall, cpu = time.perf_counter(), time.process_time()
                for _ in range(TOKENS):
                    token = await bucket.acquire()
                    if spend:
                        token.spent()
                took.append(((time.perf_counter() - wall) / TOKENS, (time.process_time() - cpu) / TOKENS))
    return took
