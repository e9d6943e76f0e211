"""What it costs to write down each step of a job, durably: alone, a hundred at once, and beside 100,000 other jobs.

The same tables are also driven in the way that first comes to mind, each call handed to a thread as a transaction of
its own; and the journal in memory shows what is left when there is no disk. Files are in the folder for temporary
files: where that is no disk, set TMPDIR.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
from rich.console import Group
from rich.table import Table

from aimusic_async.events import JobState
from aimusic_async.journal.leases import owner_name, steady
from aimusic_async.journal.memory import MemoryJournal
from aimusic_async.journal.protocol import Outcome
from aimusic_async.journal.record import JobRecord, account_id, as_text, record_id
from aimusic_async.journal.sqlite import SqliteJournal
from aimusic_async.journal.sqlite_file import connect
from aimusic_async.journal.sqlite_tables import Tables
from aimusic_async.journal.steps import Begin, Enter, Refused, Step

TOKEN_PERIOD = 3.0
CALLERS = 100
STEPS, CROWDS = 100, 10
"""Steps one after another, and turns of all callers at once, in each round of each contender."""
MANY = 100_000
ACCOUNT = account_id("default", "api.aimusicapi.ai")
REQUEST = as_text(
    {"op": "sonic.create_music", "mv": "sonic-v5", "prompt": "[Verse]\n" + "Here we go again, la la\n" * 12}
)

Apply = Callable[[Sequence[Step]], Awaitable[Sequence[Outcome]]]


@attrs.frozen
class Turn:
    """What one contender did in one round; seconds a step."""

    alone: float
    alone_cpu: float
    crowd: float
    crowd_cpu: float


@attrs.frozen
class Big:
    """What 100,000 records cost."""

    enter: float
    again: float
    find: float
    find_open: float
    opening: float
    size: int


def run(*, seeds: int) -> Group:
    """Measure both; medians of `seeds` rounds."""
    return Group(asyncio.run(_steps(seeds)), asyncio.run(_many(min(seeds, 3))))


# --- steps ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _grouped(path: Path) -> AsyncIterator[Apply]:
    async with SqliteJournal(path) as journal:
        yield journal.apply


@asynccontextmanager
async def _one_by_one(path: Path) -> AsyncIterator[Apply]:
    """A thread to which each call is handed by itself."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as thread:
        db = await loop.run_in_executor(thread, lambda: connect(str(path), patience=10, now=time.time()))
        tables = Tables(db, str(path), patience=10, clock=time.time, steady=steady, warned=set())

        def work(steps: Sequence[Step]) -> Sequence[Outcome]:
            with tables.transaction(writes=True):
                return tables.apply(steps)

        async def apply(steps: Sequence[Step]) -> Sequence[Outcome]:
            return await loop.run_in_executor(thread, work, steps)

        yield apply
        await loop.run_in_executor(thread, db.close)


@asynccontextmanager
async def _in_memory(path: Path) -> AsyncIterator[Apply]:  # noqa: ARG001 - the others have one
    yield MemoryJournal().apply


WAYS = {"SqliteJournal": _grouped, "a transaction each, in a thread": _one_by_one, "MemoryJournal": _in_memory}


async def _steps(rounds: int) -> Table:
    turns: dict[str, list[Turn]] = {name: [] for name in WAYS}
    order = list(WAYS)
    for _ in range(rounds):
        for name in order:
            with tempfile.TemporaryDirectory() as folder:
                async with WAYS[name](Path(folder) / "jobs.sqlite") as apply:
                    turns[name].append(await _turn(apply))
        order.append(order.pop(0))
    table = Table(title=f"A step of a job, synced to the disk, medians of {rounds} rounds; time and CPU a step")
    table.add_column("journal")
    for column in ("alone", f"of a token ({TOKEN_PERIOD:.0f} s)", "CPU", f"{CALLERS} at once", "CPU"):
        table.add_column(column, justify="right")
    for name, own in turns.items():
        turn = Turn(*(statistics.median(values) for values in zip(*map(attrs.astuple, own), strict=True)))
        table.add_row(
            name,
            _micro(turn.alone),
            f"{turn.alone / TOKEN_PERIOD:.3%}",
            _micro(turn.alone_cpu),
            _micro(turn.crowd),
            _micro(turn.crowd_cpu),
        )
    return table


async def _turn(apply: Apply) -> Turn:
    me = owner_name()
    await apply([Enter(_record(number, me)) for number in range(CALLERS)])
    ids = [_record(number, me).id for number in range(CALLERS)]

    turns = dict.fromkeys(ids, 0)

    def there_and_back(job: str) -> Step:
        """Make the step that changes something in this turn."""
        attempt = 1 + turns[job] // 2
        turns[job] += 1
        return Refused(job, me, attempt, "busy") if turns[job] % 2 == 0 else Begin(job, me, attempt)

    cpu, began = time.process_time(), time.perf_counter()
    for _ in range(STEPS):
        await apply([there_and_back(ids[0])])
    alone_cpu, alone = time.process_time() - cpu, time.perf_counter() - began
    cpu, began = time.process_time(), time.perf_counter()
    for _ in range(CROWDS):
        outcomes = await asyncio.gather(*(apply([there_and_back(job)]) for job in ids))
        assert all(outcome.changed for (outcome,) in outcomes)
    crowd_cpu, crowd = time.process_time() - cpu, time.perf_counter() - began
    count = CROWDS * CALLERS
    return Turn(alone / STEPS, alone_cpu / STEPS, crowd / count, crowd_cpu / count)


def _record(number: int, owner: str) -> JobRecord:
    key = f"track-{number:06}"
    return JobRecord(
        id=record_id(ACCOUNT, "album", key),
        account=ACCOUNT,
        group="album",
        key=key,
        operation="sonic.create_music",
        request=REQUEST,
        owner=owner,
    )


def _micro(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} µs"


# --- many records --------------------------------------------------------------------------------------------------


async def _many(rounds: int) -> Table:
    table = Table(
        title=f"{MANY:,} jobs in one file, each with a request of {len(REQUEST)} bytes; medians of {rounds} rounds"
    )
    for column in ("enter", "enter again", "find all", "find those to be sent", "open", "file", "bytes a job"):
        table.add_column(column, justify="right")
    runs = [await _big() for _ in range(rounds)]
    big = Big(*(statistics.median(values) for values in zip(*map(attrs.astuple, runs), strict=True)))
    seconds = [big.enter, big.again, big.find, big.find_open, big.opening]
    table.add_row(*(f"{each:.3f} s" for each in seconds), f"{big.size / 2**20:.0f} MiB", f"{big.size / MANY:.0f}")
    return table


async def _big() -> Big:
    me = owner_name()
    steps = [Enter(_record(number, me)) for number in range(MANY)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.sqlite"
        async with SqliteJournal(path) as journal:
            await journal.beat(me, ACCOUNT)
            enter = await _timed(journal.apply(steps))
            again = await _timed(journal.apply(steps))
            find = await _timed(journal.find(ACCOUNT))
            find_open = await _timed(journal.find(ACCOUNT, states=[JobState.QUEUED]))
        began = time.perf_counter()
        async with SqliteJournal(path):
            opening = time.perf_counter() - began
        return Big(enter, again, find, find_open, opening, path.stat().st_size)


async def _timed(call: Awaitable[Sequence[object]]) -> float:
    began = time.perf_counter()
    assert len(await call) == MANY
    return time.perf_counter() - began
