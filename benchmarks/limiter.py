"""The token bucket beside aiolimiter and pyrate-limiter: cost of a token, exactness, fairness, cancelled waiters.

Exactness, fairness and cancelling are measured in virtual time; pyrate-limiter is given the loop's clock for that, in
the way that its documentation shows, and a bucket without its background thread. The exception: at 50 per second
aiolimiter sets timers closer than the virtual clock's steps, which then stands still; it gets some real seconds.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import attrs
import looptime
from aiolimiter import AsyncLimiter
from pyrate_limiter import AbstractClock, InMemoryBucket, Limiter, Rate, SingleBucketFactory, StateBucket
from pyrate_limiter import TokenBucket as PyrateTokenBucket
from rich.console import Group
from rich.table import Table

from aimusic_async import TokenBucket

ROUNDS = 15
TOKENS = 2_000
"""Tokens of one contender in one round, none of which has to be waited for."""
VIRTUAL, REAL = 120.0, 5.0
"""Seconds for which exactness is watched."""
CALLERS = 20
WAITERS = 10_000
CANCELLED = 1_000

T = TypeVar("T")
Acquire = Callable[[], Awaitable[object]]


class LoopClock(AbstractClock):
    """pyrate-limiter's clock (milliseconds), driven by the event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def now(self) -> int:
        """Return the loop's time."""
        return int(self._loop.time() * 1000)


def ours(rate: int, seconds: float) -> Acquire:
    """Exact to the clock, for comparison: the standard margin is what the network needs."""
    return TokenBucket(rate / seconds, margin=0).acquire


def ours_with_margin(rate: int, seconds: float) -> Acquire:
    """As a session has it."""
    return TokenBucket(rate / seconds).acquire


def aiolimiter(rate: int, seconds: float) -> Acquire:
    """As its documentation begins."""
    return AsyncLimiter(rate, seconds).acquire


def aiolimiter_smooth(rate: int, seconds: float) -> Acquire:
    """Without bursts."""
    return AsyncLimiter(1, seconds / rate).acquire


def pyrate(rate: int, seconds: float) -> Acquire:
    """As its documentation begins: a log of the window, in memory."""
    bucket = InMemoryBucket([Rate(rate, int(seconds * 1000))])
    bucket._clock = LoopClock()  # noqa: SLF001 - what its documentation says to do
    return Limiter(SingleBucketFactory(bucket, schedule_leak=False)).try_acquire_async


def pyrate_smooth(rate: int, seconds: float) -> Acquire:
    """Its token bucket, without bursts and without the 50 ms that it waits longer by default."""
    return _pyrate_state(Rate(rate, int(seconds * 1000), burst=1), LoopClock())


def _pyrate_state(rate: Rate, clock: AbstractClock) -> Acquire:
    bucket = StateBucket([rate], algorithm=PyrateTokenBucket(), clock=clock)
    return Limiter(SingleBucketFactory(bucket, schedule_leak=False), buffer_ms=0).try_acquire_async


Make = Callable[[int, float], Acquire]
WAYS: dict[str, Make] = {
    "TokenBucket, margin=0": ours,
    "TokenBucket": ours_with_margin,
    "aiolimiter": aiolimiter,
    "aiolimiter, one at a time": aiolimiter_smooth,
    "pyrate-limiter": pyrate,
    "pyrate-limiter, token bucket": pyrate_smooth,
}
SMOOTH = ("TokenBucket, margin=0", "aiolimiter, one at a time", "pyrate-limiter, token bucket")


def run(*, seeds: int) -> Group:
    """Measure all four; costs are medians."""
    return Group(_costs(), _exactness(), _crowds(seeds), _cancelling(seeds))


def _virtual(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    loop = looptime.new_event_loop(_enabled=True)
    try:
        result: T = loop.run_until_complete(work())
        return result
    finally:
        loop.close()


# --- cost ------------------------------------------------------------------------------------------------------------


def _costs() -> Table:
    took = asyncio.run(_take_turns())
    table = Table(
        title=f"One token that is there already: CPU, medians of {ROUNDS} rounds in turns, ratio to aiolimiter"
    )
    _columns(table, "limiter", "CPU", "ratio")
    for name, own in took.items():
        ratios = (mine / other for mine, other in zip(own, took["aiolimiter"], strict=True))
        table.add_row(name, _micro(statistics.median(own)), f"{statistics.median(ratios):.2f}")
    return table


async def _take_turns() -> dict[str, list[float]]:
    many = 10**9
    ways: dict[str, Acquire] = {
        "TokenBucket": TokenBucket(many, capacity=many, margin=0).acquire,
        "aiolimiter": aiolimiter(many, 1),
        "pyrate-limiter": pyrate(many, 1),
        "pyrate-limiter, token bucket": _pyrate_state(Rate(many, 1000), LoopClock()),
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, acquire in ways.items():
            cpu = time.process_time()
            for _ in range(TOKENS):
                await acquire()
            took[name].append((time.process_time() - cpu) / TOKENS)
    return took


# --- exactness -------------------------------------------------------------------------------------------------------


def _exactness() -> Table:
    table = Table(
        title=f"{CALLERS} callers that never stop, {VIRTUAL:.0f} seconds of virtual time (* {REAL:.0f} real ones)"
    )
    _columns(table, "limiter", "limit", "smallest gap", "most in a window", "granted, of the limit")
    for rate, seconds in ((1, 3.0), (50, 1.0)):
        for name, make in WAYS.items():
            real = rate > 1 and make in (aiolimiter, aiolimiter_smooth)
            watched = REAL if real else VIRTUAL
            work = partial(_grants, make, rate, seconds, watched)
            moments = asyncio.run(work()) if real else _virtual(work)
            gap = min(later - sooner for sooner, later in pairwise(moments))
            table.add_row(
                name + " *" * real,
                f"{rate} per {seconds:g} s",
                f"{gap * 1000:.1f} ms",
                str(_most_within(moments, seconds)),
                f"{len(moments) * seconds / rate / watched:.1%}",
            )
        table.add_section()
    return table


async def _grants(make: Make, rate: int, seconds: float, watched: float) -> list[float]:
    acquire, clock = make(rate, seconds), asyncio.get_running_loop().time
    started, moments = clock(), []

    async def caller() -> None:
        while True:
            await acquire()
            moments.append(clock() - started)

    callers = [asyncio.create_task(caller()) for _ in range(CALLERS)]
    await asyncio.sleep(watched)
    await _end(callers)
    return moments


def _most_within(moments: list[float], seconds: float) -> int:
    """Return the greatest number of grants in any window; a microsecond is no difference."""
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= seconds - 1e-6:
            first += 1
        most = max(most, last - first + 1)
    return most


# --- fairness --------------------------------------------------------------------------------------------------------


def _crowds(repetitions: int) -> Table:
    table = Table(title=f"{WAITERS:,} waiters, half of them at the start, half one by one as a token falls due")
    _columns(
        table,
        "limiter",
        "overtaken by a later",
        "longest wait (periods)",
        "CPU a grant",
        "ratio to aiolimiter",
    )
    runs = {name: [_virtual(partial(_crowd, WAYS[name])) for _ in range(repetitions)] for name in SMOOTH}
    base = [one.cpu for one in runs[SMOOTH[1]]]
    for name, own in runs.items():
        ratios = (one.cpu / other for one, other in zip(own, base, strict=True))
        table.add_row(
            name,
            f"{own[0].overtaken:.1%}",
            f"{own[0].longest:,.0f}",
            _micro(statistics.median(one.cpu for one in own)),
            f"{statistics.median(ratios):.2f}",
        )
    return table


@attrs.frozen
class Crowd:
    """How many waiters were served."""

    overtaken: float
    """Share of those that somebody who came later was served before."""
    longest: float
    """Wait, in periods."""
    cpu: float
    """Seconds a grant, making the waiting task included."""


async def _crowd(make: Make) -> Crowd:
    period, half = 3.0, WAITERS // 2
    acquire, clock = make(1, period), asyncio.get_running_loop().time
    served: list[int] = []
    waits: list[float] = []

    async def waiter(number: int) -> None:
        await asyncio.sleep(max(0, number - half + 1) * period)
        came = clock()
        await acquire()
        served.append(number)
        waits.append((clock() - came) / period)

    cpu = time.process_time()
    await asyncio.gather(*(waiter(number) for number in range(WAITERS)))
    cpu = time.process_time() - cpu
    latest = overtaken = 0
    for number in served:
        overtaken += number < latest
        latest = max(latest, number)
    return Crowd(overtaken=overtaken / WAITERS, longest=max(waits), cpu=cpu / WAITERS)


# --- cancelling ------------------------------------------------------------------------------------------------------


def _cancelling(repetitions: int) -> Table:
    table = Table(
        title=f"{CANCELLED:,} of {2 * CANCELLED:,} waiters cancelled: the older half, the younger, every other one"
    )
    _columns(table, "limiter", "CPU: older", "younger", "every other", "the next is served after (periods)")
    for name in SMOOTH:
        runs = [
            [_virtual(partial(_cancel, WAYS[name], which)) for _ in range(repetitions)]
            for which in (slice(0, CANCELLED), slice(CANCELLED, None), slice(0, None, 2))
        ]
        costs = (_micro(statistics.median(cpu for cpu, _ in run)) for run in runs)
        table.add_row(name, *costs, f"{max(waited for run in runs for _, waited in run):.2f}")
    return table


async def _cancel(make: Make, which: slice) -> tuple[float, float]:
    """Return seconds of CPU a cancelled waiter, and periods from the token before to the next one granted."""
    period = 3.0
    acquire, clock = make(1, period), asyncio.get_running_loop().time
    served: list[float] = []

    async def waiter() -> None:
        await acquire()
        served.append(clock())

    await acquire()
    started = clock()
    waiters = [asyncio.create_task(waiter()) for _ in range(2 * CANCELLED)]
    await asyncio.sleep(period / 2)
    cpu = time.process_time()
    await _end(waiters[which])
    cpu = time.process_time() - cpu
    await asyncio.sleep(2 * period)
    await _end(waiters)
    return cpu / CANCELLED, (served[0] - started) / period if served else float("inf")


# --- what they have in common ----------------------------------------------------------------------------------------


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _columns(table: Table, *names: str) -> None:
    for number, name in enumerate(names):
        table.add_column(name, justify="right" if number else "left")


def _micro(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} µs"
