"""Random worlds in virtual time: processes, one journal, one limit, and everything goes wrong; then the books are read.

python -m tests.faults.voyages --seeds 3000 -j 2         3,000 worlds on two cores
python -m tests.faults.voyages --first 17 --trace        one world again, with all that happened in it

Each seed is one world, and the same world each time. Its processes are killed between any two awaits, paused, and cut
off from the journal for longer than their lease; the service refuses, loses answers and reports late; clocks are set.
At the end all is calm, everything is submitted again, and somebody looks up what is unknown. Then the service's books,
the journal and what each job said must agree. The exit code is 1 when they do not.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from multiprocessing import get_context
from typing import Any

import attrs

import aimusic_async.session as session_module
from aimusic_async import Job, JobState, MemoryJournal, TokenBucket

from .moody import Link, Mood
from .programs import ENDED_WITHIN, PRICE, SENDING_LEASE, Program, shown
from .reckoning import reckon
from .service import EPOCH, Climate, Order, Service, Task, Transport
from .virtual import Process, bury, no_collecting, now, outside, run_virtual

WEATHER = (
    "kills",
    "cuts",
    "pauses",
    "cancels",
    "moody journal",
    "refusals",
    "lost answers",
    "offline",
    "slow service",
    "failing tasks",
    "vanishing tasks",
    "odd answers",
    "webhooks",
    "clock steps",
    "budgets",
)


@attrs.frozen
class Lived:
    """What came of one world."""

    seed: int
    weather: tuple[str, ...]
    faults: tuple[str, ...]
    counts: Counter[str]
    seconds: float
    """Real ones."""
    digest: str
    """The same for the same world."""
    notes: tuple[str, ...] = ()


class World:
    """Everything that all processes of one seed share."""

    def __init__(self, seed: int, *, trace: bool = False, crowded: bool | None = None) -> None:
        self.seed = seed
        self.trace = trace
        self.chance = chance = random.Random(f"{seed} world")
        usual = chance.random() < 0.25
        self.crowded = usual if crowded is None else crowded
        """Whether three processes quarrel about few songs for long, and are cut off in the middle of it."""
        likely = chance.choice([0.15, 0.35, 0.55])
        quarrels = {"cuts", "lost answers"} if self.crowded else set()
        self.weather = frozenset(kind for kind in WEATHER if chance.random() < likely or kind in quarrels)
        self.faults: list[str] = []
        self.notes: list[str] = []
        self.counts: Counter[str] = Counter()
        self.shift = 0.0
        self.journal = MemoryJournal(clock=lambda: EPOCH + now() + self.shift)
        rate, capacity = chance.choice([(1 / 3, 1), (1.0, 1), (1.0, 3), (5.0, 1), (5.0, 4)])
        self.bucket = TokenBucket(rate, capacity, margin=0)
        self.service = Service(seed, self._climate(), note=self.note)
        self.service.charged.append(self._charged)
        self.service.doors = lambda: [program.door for program in self.programs if program.open]
        self.processes: list[Process] = []
        self.programs: list[Program] = []
        self.begun: dict[str, Process] = {}
        """Who began the latest attempt, by the ids of records."""
        self.finished_at: dict[str | None, float] = {}
        """When the journal knew that a task had ended."""
        self.decided: Counter[Order] = Counter()
        """How often somebody decided that a song that failed is sent, and paid, again."""
        self.limits: dict[str, int] = {}
        """Budgets of groups."""
        most = 2 if self.crowded else 6
        self.orders = [Order("", f"k{n}") for n in range(chance.randint(1, most))]
        for group in ("album", "demo")[: chance.choice([0, 1, 1, 2])]:
            songs = chance.randint(2, max(most, 3))
            self.orders += [Order(group, f"g{n}") for n in range(songs)]
            if "budgets" in self.weather:
                self.limits[group] = PRICE * chance.randint(1, songs)
            if self.crowded:
                self.orders = self.orders[-songs:]
        self.last: dict[Order, Job[Any]] = {}
        """The jobs of the last run."""
        self.last_since = 0.0
        self._ending = asyncio.Event()
        """Set when the last voyage is over."""
        self.over = False

    def _climate(self) -> Climate:
        chance, weather = self.chance, self.weather
        often = 0.5 if self.crowded else chance.choice([0.1, 0.25, 0.5])
        return Climate(
            refuses=often * ("refusals" in weather),
            loses=often * ("lost answers" in weather),
            offline=often * ("offline" in weather),
            slow=often * ("slow service" in weather),
            fails=0.3 * ("failing tasks" in weather),
            vanishes=0.15 * ("vanishing tasks" in weather),
            odd=0.4 * ("odd answers" in weather),
            longest=chance.choice([20, 60, 200]),
        )

    def mood(self) -> Mood:
        """Return how a new link to the journal behaves."""
        chance = self.chance
        if "moody journal" not in self.weather or chance.random() < 0.3:
            return Mood()
        share = partial(chance.choice, [0, 0.05, 0.2, 0.4])
        hangs = chance.choice([0, 0, 0.02])
        return Mood(slow=share(), before=share(), after=share(), half=share(), hangs=hangs, odd=share() / 4)

    # --- what happens ------------------------------------------------------------------------------------------------

    def fault(self, text: str) -> None:
        """Note what must not be."""
        if not self.over:
            self.faults.append(text)
            self.note(f"FAULT {text}")

    def note(self, text: str) -> None:
        """Note what happened."""
        if not self.over:
            self.notes.append(f"{now():9.3f} {text}")

    def heard(self, process: Process, step: Any, outcome: Any) -> None:
        """Note what a step came to in the journal."""
        name, record = type(step).__name__, outcome.record
        if outcome.changed and self.trace:
            self.note(f"{process} {name} {record and shown(record)}")
        if record is None or not outcome.changed:
            return
        self.counts[f"{name} stored"] += 1
        if name == "Finished":
            self.finished_at[record.task_id] = now()
        if name == "Begin" and record.state is JobState.SENDING:
            self.begun[record.id] = process
        if record.state is JobState.UNKNOWN:
            self.counts["unknown"] += 1
            self._became_unknown(record)

    def _became_unknown(self, record: Any) -> None:
        """See that there is a reason why nobody knows."""
        begun, order = self.begun.get(record.id), Order(record.group, record.key)
        arrived = [one for one in self.service.arrivals if one.order == order and one.by is begun]
        lost = bool(arrived) and "lost" in arrived[-1].fate
        if begun is None or not (begun.troubled or lost):
            self.fault(f"unknown without a reason: {order}, {record.error}")

    def _charged(self, task: Task) -> None:
        """See that no budget is exceeded."""
        self.counts["taken"] += 1
        group = task.order.group
        if (limit := self.limits.get(group)) is not None:
            spent = self.service.net(lambda one: one.order.group == group, now())
            if spent > limit:
                self.fault(f"budget exceeded: {spent} of {limit} in {group}")
        mine = next((program for program in self.programs if program.process is task.by), None)
        if mine is not None and mine.budget is not None:
            spent = self.service.net(lambda one: one.by is task.by, now())
            if spent > mine.budget:
                self.fault(f"session budget exceeded: {spent} of {mine.budget} by {task.by}")
        taken = self.service.of(task.order)
        good = [one for one in taken if one.fate == "succeeds"]
        if len(good) > 1 or len(taken) > 1 + self.decided[task.order]:
            self.fault(f"paid twice: {task.order} as {[one.id for one in taken]}")

    # --- its life ----------------------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Let everything happen, then let it be calm, and read the books."""
        chance = self.chance
        Transport.service = self.service
        programs = 3 if self.crowded else chance.choice([1, 2, 2, 3])
        voyages = [outside(self._voyage(number, chance.choice([1, 1, 2, 3]))) for number in range(programs)]
        helpers = [outside(self._visits())]
        if "clock steps" in self.weather:
            helpers.append(outside(self._set_clock()))
        await asyncio.gather(*voyages)
        self._ending.set()
        await asyncio.gather(*helpers)
        for process in self.processes:
            if not process.over.is_set():
                self.fault(f"hangs: {process} never ends")
                process.kill()
        await asyncio.sleep(2 * SENDING_LEASE)
        self.note("calm")
        self.service.climate = Climate(longest=self.service.climate.longest)
        await self._last_run("last")
        await self._look_up()
        self.last_since = now()
        await self._last_run("very last")
        for telling in self.service.telling:
            telling.cancel()
        self.journal._owners.clear()
        await reckon(self)

    async def _voyage(self, number: int, runs: int) -> None:
        """One program that is started again and again."""
        chance = random.Random(f"{self.seed} voyage {number}")
        for run in range(runs):
            late = 10 if self.crowded else chance.choice([0, 20, 120])
            await asyncio.sleep(chance.uniform(0, late))
            program = self.program(f"p{number}.{run}", chance, self.mood())
            program.start()
            await self._until_over(program.process, 3600.0)

    def program(self, name: str, chance: random.Random, mood: Mood) -> Program:
        """Return a new process with what runs in it."""
        process = Process(name)
        self.processes.append(process)
        link = Link(self.journal, process, mood, random.Random(f"{self.seed} {name} link"), heard=self.heard)
        self.programs.append(Program(self, process, link, chance))
        return self.programs[-1]

    async def _until_over(self, process: Process, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await process.over.wait()
        if not process.over.is_set():
            self.fault(f"hangs: {process} does not end within {seconds:g} s")
            process.kill()

    async def _goes_on(self, seconds: float) -> bool:
        """Wait; say whether the voyages go on then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        return not self._ending.is_set()

    async def _set_clock(self) -> None:
        while await self._goes_on(self.chance.uniform(10, 150)):
            self.shift += self.chance.choice([-1, 1]) * self.chance.choice(
                [1.0, 60.0, 3600.0 * self.chance.random() * 9]
            )
            self.note(f"the clock is set: {self.shift:+.0f} s")

    async def _visits(self) -> None:
        """Somebody comes by now and then, and looks up what is unknown."""
        while await self._goes_on(self.chance.uniform(20, 400)):
            await self._look_up()

    async def _look_up(self) -> None:
        number = sum(process.name.startswith("desk") for process in self.processes)
        program = self.program(f"desk {number}", random.Random(f"{self.seed} desk {number}"), Mood())
        program.process.main(program.desk())
        await self._until_over(program.process, 2000.0)

    async def _last_run(self, name: str) -> None:
        program = self.program(name, random.Random(f"{self.seed} {name}"), Mood())
        program.process.main(program.everything())
        await self._until_over(program.process, 2 * ENDED_WITHIN)


# --- one world, and many ---------------------------------------------------------------------------------------------


class _Watch(logging.Handler):
    """Notes what the package logs as an exception: a mistake of ours."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self.world = world

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        if record.exc_info:
            self.world.fault(f"broke: {record.getMessage()}: {record.exc_info[1]!r}")


def live(seed: int, *, mutate: str | None = None, trace: bool = False, crowded: bool | None = None) -> Lived:
    """Live the world of a seed.

    `mutate`: put an old fault of the package back in for the time of it. `crowded`: see `World.crowded`; None: a
    quarter of the worlds are.
    """
    began = time.monotonic()
    logger = logging.getLogger("aimusic_async")
    level, propagate, transport = logger.level, logger.propagate, session_module.HttpTransport
    worlds: list[World] = []
    watch: _Watch | None = None

    async def main() -> None:
        nonlocal watch
        worlds.append(World(seed, trace=trace, crowded=crowded))
        watch = _Watch(worlds[0])
        logger.addHandler(watch)
        try:
            await worlds[0].live()
        finally:
            logger.removeHandler(watch)
            logger.setLevel(logging.CRITICAL + 1)
            worlds[0].over = True
            bury(worlds[0].processes)

    lost: list[str] = []
    put_back: AbstractContextManager[None] = nullcontext()
    if mutate is not None:
        from .old_faults import put_back_in

        put_back = put_back_in(mutate)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    session_module.HttpTransport = Transport  # type: ignore[assignment,misc]
    try:
        with no_collecting(), put_back:
            try:
                run_virtual(main(), complain=lost.append)
            except Exception as error:  # noqa: BLE001 - the world itself broke: that is a fault too
                lost.append(f"hangs, or the world broke: {error!r}")
    finally:
        session_module.HttpTransport = transport  # type: ignore[misc]
        logger.setLevel(level)
        logger.propagate = propagate
    world = worlds[0]
    faults = tuple(dict.fromkeys([*world.faults, *lost]))
    happened = [(round(one.at, 6), one.method, one.by.name, one.fate) for one in world.service.arrivals]
    digest = hashlib.sha256(repr(happened).encode()).hexdigest()[:12]
    world.counts["requests"] = len(happened)
    notes = tuple(world.notes) if trace or faults else ()
    weather = tuple(kind for kind in WEATHER if kind in world.weather)
    return Lived(seed, weather, faults, world.counts, time.monotonic() - began, digest, notes)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line, live the worlds, print what is wrong; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, help="how many worlds (default: 1000; with --trace 1)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, help="at once (default: %(default)s)")
    parser.add_argument("--trace", action="store_true", help="print what happened in each world")
    parser.add_argument("--crowded", action="store_true", default=None, help="in all of them many want the same songs")
    parser.add_argument("--mutate", metavar="NAME", help="put an old fault back in, to see it found")
    given = parser.parse_args(argv)
    count = given.seeds if given.seeds is not None else 1 if given.trace else 1000
    seeds = range(given.first, given.first + count)
    os.environ["PYTHONHASHSEED"] = "0"  # for the processes below: sets of words have one order then
    began = said = time.monotonic()
    bad: list[Lived] = []
    counts: Counter[str] = Counter()
    slowest = Lived(-1, (), (), Counter(), 0.0, "")
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        one = partial(live, mutate=given.mutate, trace=given.trace, crowded=given.crowded)
        for done, lived in enumerate(pool.map(one, seeds, chunksize=max(1, min(20, count // 50))), start=1):
            counts += lived.counts
            slowest = max(slowest, lived, key=lambda one: one.seconds)
            if given.trace:
                _say("\n".join([f"seed {lived.seed}: {', '.join(lived.weather)}; digest {lived.digest}", *lived.notes]))
            if lived.faults:
                bad.append(lived)
                _say(f"seed {lived.seed} ({', '.join(lived.weather)}):")
                for fault in lived.faults:
                    _say(f"  FAULT {fault}")
            if time.monotonic() - said > 5:
                said = time.monotonic()
                _say(f"{said - began:6.0f} s: {done} of {count} worlds, {len(bad)} with faults")
    seconds = time.monotonic() - began
    for what, number in sorted(counts.items()):
        _say(f"{what:28}{number:>9}")
    each = seconds * given.jobs / max(count, 1)
    _say(f"{count} worlds in {seconds:.0f} s, {each:.3f} s each; the slowest, {slowest.seed}, {slowest.seconds:.2f} s")
    kinds = Counter(kind for lived in bad for kind in {fault.partition(":")[0] for fault in lived.faults})
    for kind, number in kinds.most_common():
        _say(f"  {kind}: in {number} worlds")
    _say(f"{len(bad)} worlds with faults" + (f": {' '.join(str(lived.seed) for lived in bad[:50])}" if bad else ""))
    return 1 if bad else 0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a program for the terminal


if __name__ == "__main__":
    sys.exit(main())
