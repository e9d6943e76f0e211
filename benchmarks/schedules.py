"""How soon N songs are there at one request per 3 seconds: ours, what people write today, and the best that could be.

Virtual time over the sandbox, real HTTP, task durations log-normal (median 90 s, sigma 0.35), which no way knows.
All ways use the same token period, so that only the schedules are compared. The clairvoyant knows every duration: it
polls each task once, as soon as it has finished, and otherwise submits. With webhooks nobody has to poll: the service
reports, and the limit is one request a song.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import looptime
from aiohttp import web
from aiohttp.test_utils import TestServer
from rich.console import Group
from rich.table import Table

from aimusic_async import MusicSession, TokenBucket, WebhookConfig, sonic, webhooks
from aimusic_async.sandbox import Options, Sandbox
from benchmarks import plot

COUNTS = (1, 10, 30, 100, 300, 1000)
LOADS = (0.3, 0.6, 0.9)
STREAM = 150
MEDIAN, SIGMA = 90.0, 0.35
MANY = 1000
PERIOD = TokenBucket().period
SONG = sonic.CreateMusic(mv="sonic-v5", prompt="[Verse]\nOne of many")
LIMIT = "limit: one request a song"
PICTURE = Path(__file__).with_name("schedules.png")


@attrs.frozen
class Work:
    """Songs to make: when each is asked for, and how long the service will take for it (seconds)."""

    arrivals: list[float]
    durations: list[float]

    @classmethod
    def batch(cls, count: int, seed: int) -> Work:
        """All asked for at once."""
        return cls([0.0] * count, _durations(count, seed))

    @classmethod
    def stream(cls, load: float, seed: int) -> Work:
        """Asked for one by one, at a share of what two requests a song allow."""
        dice, now, arrivals = random.Random(f"{seed} arrivals"), 0.0, []
        for _ in range(STREAM):
            now += dice.expovariate(load / (2 * PERIOD))
            arrivals.append(now)
        return cls(arrivals, _durations(STREAM, seed))


@attrs.frozen
class Run:
    """When each song was there, by the order of asking, and what it took."""

    work: Work
    ends: Sequence[float]
    requests: int
    refusals: int = 0

    @property
    def turnarounds(self) -> list[float]:
        """Seconds from asking to having, song by song."""
        return [end - arrival for end, arrival in zip(self.ends, self.work.arrivals, strict=True)]

    @property
    def figures(self) -> tuple[float, float, float, float]:
        """Makespan, mean and 95th turnaround, time to the first song."""
        sorted_ = sorted(self.turnarounds)
        return max(self.ends), statistics.fmean(sorted_), sorted_[math.ceil(0.95 * len(sorted_)) - 1], min(self.ends)


Make = Callable[[], Awaitable[object]]
Play = Callable[[Sandbox, Work], Awaitable[list[float]]]
Way = Callable[[Work], Run]


def _durations(count: int, seed: int) -> list[float]:
    dice = random.Random(seed)
    return [dice.lognormvariate(math.log(MEDIAN), SIGMA) for _ in range(count)]


# --- the ways --------------------------------------------------------------------------------------------------------


async def _as_asked(work: Work, make: Make) -> list[float]:
    """Ask for each song when it arrives, and note when it is there."""
    clock = asyncio.get_running_loop().time
    started, ends = clock(), [0.0] * len(work.arrivals)

    async def one(number: int) -> None:
        await asyncio.sleep(work.arrivals[number])
        await make()
        ends[number] = clock() - started

    await asyncio.gather(*(one(number) for number in range(len(ends))))
    return ends


async def ours(box: Sandbox, work: Work) -> list[float]:
    """aimusic_async: submit, and await."""
    async with MusicSession.sandbox(box) as music:
        return await _as_asked(work, lambda: music.submit(SONG).result())


@asynccontextmanager
async def _hooked(box: Sandbox, *, refused: float = 0.0) -> AsyncIterator[MusicSession]:
    """Yield a session behind a web server with a door, which refuses a share of what the service brings."""
    dice = random.Random("refused")
    doors: list[Any] = []

    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=503) if dice.random() < refused else await doors[0](request)

    app = web.Application()
    app.router.add_post("/hook", handle)
    async with TestServer(app) as server:
        webhook = WebhookConfig(str(server.make_url("/hook")), "the secret of a benchmark")
        async with MusicSession.sandbox(box, webhook=webhook) as music:
            doors.append(webhooks.aiohttp_handler(music))
            yield music


async def with_webhooks(box: Sandbox, work: Work) -> list[float]:
    """The same, and the service reports when a song is there."""
    async with _hooked(box) as music:
        return await _as_asked(work, lambda: music.submit(SONG).result())


@asynccontextmanager
async def _handmade(box: Sandbox, waits: Callable[[], Iterator[float]]) -> Any:
    """Yield what people write: a limiter, first come first served, and a loop that waits and polls."""
    limiter = TokenBucket()
    body = {"task_type": "create_music", "custom_mode": True, "mv": SONG.mv, "prompt": SONG.prompt}
    async with aiohttp.ClientSession(box.url, headers={"Authorization": f"Bearer {box.key}"}) as http:

        async def ask(method: str, path: str, **rest: Any) -> Any:
            await limiter.acquire()
            async with http.request(method, f"/api/v1{path}", **rest) as response:
                return await response.json()

        async def song() -> None:
            task_id = (await ask("POST", "/sonic/create", json=body))["task_id"]
            for wait in waits():
                await asyncio.sleep(wait)
                clips = (await ask("GET", f"/sonic/task/{task_id}")).get("data")
                if clips and all(clip["state"] == "succeeded" for clip in clips):
                    return

        yield song


def _every_20_seconds() -> Iterator[float]:
    while True:
        yield 20.0


def _backing_off() -> Iterator[float]:
    wait = 10.0
    while True:
        yield wait
        wait = min(wait * 1.5, 60.0)


async def gather(box: Sandbox, work: Work) -> list[float]:
    """All at once, a poll every 20 seconds."""
    async with _handmade(box, _every_20_seconds) as song:
        return await _as_asked(work, song)


async def ten_at_a_time(box: Sandbox, work: Work) -> list[float]:
    """The same, with ten songs under way at a time."""
    ten = asyncio.Semaphore(10)
    async with _handmade(box, _every_20_seconds) as song:

        async def one() -> None:
            async with ten:
                await song()

        return await _as_asked(work, one)


async def backing_off(box: Sandbox, work: Work) -> list[float]:
    """All at once, polls after 10 seconds, then 15, 22, … up to 60."""
    async with _handmade(box, _backing_off) as song:
        return await _as_asked(work, song)


def clairvoyant(work: Work) -> Run:
    """The schedule of somebody who knows every duration."""
    now, ends = 0.0, [0.0] * len(work.arrivals)
    running: list[tuple[float, int]] = []
    waiting = list(range(len(ends)))[::-1]
    while waiting or running:
        ready = [running[0][0]] if running else []
        if waiting:
            ready.append(work.arrivals[waiting[-1]])
        now = max(now, min(ready))
        if running and running[0][0] <= now:
            _, number = heapq.heappop(running)
            ends[number] = now
        else:
            number = waiting.pop()
            heapq.heappush(running, (now + work.durations[number], number))
        now += PERIOD
    return Run(work, ends, requests=2 * len(ends))


def one_request_a_song(work: Work) -> Run:
    """The schedule of somebody who need not poll: songs are sent in the order of asking, and are there by themselves.

    Nothing that sends in this order can be sooner.
    """
    sent, ends = -PERIOD, []
    for arrival, duration in zip(work.arrivals, work.durations, strict=True):
        sent = max(arrival, sent + PERIOD)
        ends.append(sent + duration)
    return Run(work, ends, requests=len(ends))


# --- measuring -------------------------------------------------------------------------------------------------------


def _virtual(work: Awaitable[Any]) -> Any:
    loop = looptime.new_event_loop(_enabled=True)
    try:
        return loop.run_until_complete(work)  # type: ignore[arg-type]
    finally:
        loop.close()


def _options(work: Work, **more: Any) -> Options:
    durations = work.durations
    return Options(credits=10**6, http_webhooks=True, durations=lambda _operation, number: durations[number], **more)


def measure(play: Play, work: Work) -> Run:
    """Make the songs in one way, in a sandbox of its own."""

    async def played() -> Run:
        async with Sandbox(_options(work)) as box:
            ends = await play(box, work)
            return Run(work, ends, requests=len(box.books.requests), refusals=len(box.books.refusals))

    run: Run = _virtual(played())
    return run


WAYS: dict[str, Way] = {
    "aimusic_async": partial(measure, ours),
    "aimusic_async, webhooks": partial(measure, with_webhooks),
    "gather, poll every 20 s": partial(measure, gather),
    "ten at a time": partial(measure, ten_at_a_time),
    "gather, backing off": partial(measure, backing_off),
    LIMIT: one_request_a_song,
}


@attrs.frozen
class Deliveries:
    """What became of songs whose webhooks did not all arrive."""

    lags: list[float]
    """Seconds from the end of each task until its song was there."""
    missing: int
    requests: float
    """For each song."""


def unreliable(work: Work, *, lost: float = 0.0, refused: float = 0.0, seed: int = 0) -> Deliveries:
    """Make the songs with webhooks, a tenth of them doubled; some are `lost` for good, some attempts `refused`."""

    async def played() -> Deliveries:
        clock = asyncio.get_running_loop().time
        there: dict[str | None, float] = {}
        options = _options(work, webhook_lost=lost, webhook_doubled=0.1, seed=seed)
        async with Sandbox(options) as box, _hooked(box, refused=refused) as music:
            jobs = [music.submit(SONG) for _ in work.arrivals]

            async def one(number: int) -> None:
                await jobs[number].wait()
                there[jobs[number].task_id] = clock()

            await asyncio.gather(*(one(number) for number in range(len(jobs))))
            tasks = zip(box.books.taken(), work.durations, strict=True)
            over = {task.task_id: task.at + seconds for task, seconds in tasks}
            missing = sum(job.exception() is not None for job in jobs)
            return Deliveries([there[task] - over[task] for task in over], missing, len(box.books.requests) / len(jobs))

    deliveries: Deliveries = _virtual(played())
    return deliveries


def direct_call(count: int) -> float:
    """Return how long a direct call takes in the middle of a batch of `count`, in token periods."""

    async def play() -> float:
        clock = asyncio.get_running_loop().time
        waits = []
        async with (
            Sandbox(Options(credits=10**6)) as box,
            MusicSession.sandbox(box) as music,
            music.group() as group,
        ):
            for _ in range(count):
                group.submit(SONG)
            for _ in range(20):
                await asyncio.sleep(101.7)
                asked = clock()
                await music.sonic.upsample_tags(tags="pop")
                waits.append(clock() - asked)
            group.cancel()
        return max(waits) / PERIOD

    longest: float = _virtual(play())
    return longest


def run(*, seeds: int) -> Group:
    """Measure every way; figures are ratios to the clairvoyant, means over the seeds."""
    batches = _table("All at once")
    drawn = []
    for count in COUNTS:
        few = min(seeds, 2) if count >= 1000 else seeds
        for name in WAYS:
            ratios = _add(batches, f"{count}", name, [Work.batch(count, seed) for seed in range(few)])
            drawn.append((count, name, ratios[1], ratios[0], ratios[3]))
    streams = _table(f"One by one, {STREAM} songs")
    for load in LOADS:
        for name in WAYS:
            _add(streams, f"{load:.0%}", name, [Work.stream(load, seed) for seed in range(min(seeds, 3))])
    plot.save(PICTURE, drawn, limit=LIMIT)
    note = f"A direct call in a batch of 1,000 took at most {direct_call(1000):.1f} token periods (the longest of 20)."
    return Group(batches, streams, _webhooks_table(min(seeds, 2)), note, f"The plot is in {PICTURE.name}.")


def _table(title: str) -> Table:
    table = Table(title=f"{title}: 1 request per {PERIOD:g} s, ratios to the clairvoyant")
    for column in ("songs", "way"):
        table.add_column(column)
    for column in ("makespan", "mean turnaround", "95th", "first song", "requests a song", "refusals"):
        table.add_column(column, justify="right")
    return table


def _add(table: Table, label: str, name: str, works: list[Work]) -> list[float]:
    runs = [WAYS[name](work) for work in works]
    best = [clairvoyant(work).figures for work in works]
    ratios = [
        statistics.fmean(mine / theirs for mine, theirs in zip(column, bests, strict=True))
        for column, bests in zip(zip(*(one.figures for one in runs), strict=True), zip(*best, strict=True), strict=True)
    ]
    requests = statistics.fmean(one.requests / len(one.ends) for one in runs)
    refusals = sum(one.refusals for one in runs)
    table.add_row(label, name, *(f"{ratio:.2f}" for ratio in ratios), f"{requests:.2f}", str(refusals))
    return ratios


def _webhooks_table(seeds: int) -> Table:
    table = Table(title=f"Webhooks that do not all arrive, {MANY} songs at once, a tenth of them doubled")
    table.add_column("what goes wrong")
    for column in ("requests a song", "songs missing", "mean lag", "95th", "99th", "longest"):
        table.add_column(column, justify="right")
    wrongs = {
        "nothing": {},
        "10 % of the attempts are refused": {"refused": 0.1},
        "1 % never come": {"lost": 0.01},
        "10 % never come": {"lost": 0.1},
    }
    for name, wrong in wrongs.items():
        runs = [unreliable(Work.batch(MANY, seed), seed=seed, **wrong) for seed in range(seeds)]
        lags = sorted(lag for run in runs for lag in run.lags)
        figures = [statistics.fmean(lags), *(lags[math.ceil(share * len(lags)) - 1] for share in (0.95, 0.99, 1.0))]
        requests = statistics.fmean(run.requests for run in runs)
        missing = sum(run.missing for run in runs)
        table.add_row(name, f"{requests:.3f}", str(missing), *(f"{seconds:.1f} s" for seconds in figures))
    return table
