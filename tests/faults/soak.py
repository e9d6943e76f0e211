"""Songs are made while processes are killed and requests fail; at the end books and journal must agree, job by job.

python -m tests.faults.soak                                      2,000 songs, 20 % of the requests go wrong, kill -9
python -m tests.faults.soak --songs 600 --faults 0 --kills 50 --pause 0.3 1.5       50 kills and no faults

Half of the kills come at a random moment, half in the very moment in which the service gets a POST. Beside the one who
is killed there is sometimes a second at work. The exit code is 1 when anything is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
import attrs
from anyio.abc import TaskGroup

from aimusic_async import MusicSession
from aimusic_async.sandbox import Faults, Options, RandomFaults, Sandbox
from aimusic_async.sandbox.faults import Met

from .agreement import Agreement, compare
from .worker import ALBUM, title_of

WORKER = Path(__file__).with_name("worker.py")


@attrs.frozen(kw_only=True)
class Plan:
    """What is to be done."""

    songs: int = 2000
    faults: float = 0.2
    """Share of the requests that meet a fault; of the tasks a quarter of that share fails, hangs or vanishes."""
    kills: int = 10**6
    """How many processes are killed at most."""
    pause: tuple[float, float] = (1.0, 5.0)
    """Least and most real seconds between two kills."""
    speed: float = 600.0
    """Seconds of the service in one."""
    seed: int = 0
    patience: float = 3600.0
    """Real seconds after which it is given up."""


@attrs.frozen
class Report:
    """What came of it."""

    agreement: Agreement
    kills: int
    in_flight: int
    """How many of them were made just as a POST came in."""
    workers: int
    seconds: float
    requests: Counter[str]
    """By method, and by what went wrong with them."""
    charged: int
    refunded: int


class Ambush:
    """Faults that also tell when a POST comes in, so that its sender can be killed that very moment."""

    def __init__(self, faults: Faults | None) -> None:
        self._faults = faults
        self.strike: Callable[[], None] | None = None
        """Called with the next POST, once."""

    def meet(self, method: str, operation: str, ordinal: int) -> Met:
        """See `Faults.meet`."""
        if method == "POST" and self.strike is not None:
            strike, self.strike = self.strike, None
            strike()
        return self._faults.meet(method, operation, ordinal) if self._faults else (None, None)


class Crew:
    """Worker processes; none outlives the task group."""

    def __init__(self, command: Sequence[str], log: Path, work: TaskGroup, chance: random.Random) -> None:
        self.kills: list[float] = []
        """When somebody was killed, on the loop's clock."""
        self.started = 0
        self.finished = 0
        """How many came to the end of the album."""
        self.broken: list[int] = []
        """Exit codes of those that ended in another way, and were not killed."""
        self._command = command
        self._log = log
        self._work = work
        self._chance = chance
        self._alive: list[asyncio.subprocess.Process] = []
        self._killed: list[asyncio.subprocess.Process] = []
        self._news = asyncio.Event()

    def __len__(self) -> int:
        """How many live."""
        return len(self._alive)

    @property
    def done(self) -> bool:
        """Whether somebody has ended who was not killed."""
        return bool(self.finished or self.broken)

    async def fill(self, size: int) -> None:
        """Start workers until there are so many."""
        while len(self) < size:
            with self._log.open("ab") as log:
                process = await asyncio.create_subprocess_exec(*self._command, stdout=log, stderr=log)
            self.started += 1
            self._alive.append(process)
            self._work.start_soon(self._attend, process)

    async def _attend(self, process: asyncio.subprocess.Process) -> None:
        try:
            code = await process.wait()
            if process not in self._killed:
                self.finished += code == 0
                self.broken += [code] if code else []
        finally:
            if process.returncode is None:
                process.kill()
                with anyio.CancelScope(shield=True):
                    await process.wait()
            self._alive.remove(process)
            self._news.set()

    def kill(self) -> None:
        """Kill one of them on the spot, as `kill -9` does."""
        if alive := [process for process in self._alive if process not in self._killed]:
            self._killed.append(self._chance.choice(alive))
            self.kills.append(asyncio.get_running_loop().time())
            with suppress(ProcessLookupError):  # it ended this very moment
                self._killed[-1].kill()
            self._news.set()

    async def finish(self) -> None:
        """Let one work to the end, and wait for all."""
        await self.fill(1)
        while self._alive:
            self._news.clear()
            await self._news.wait()

    @property
    def all_buried(self) -> bool:
        """Whether the system knows of all who were killed that they are dead."""
        return not any(process in self._killed for process in self._alive)

    async def until(self, condition: Callable[[], bool], *, within: float) -> None:
        """Wait until something is so, but no longer than so many seconds."""
        with anyio.move_on_after(within):
            while not condition():
                self._news.clear()
                await self._news.wait()


async def soak(plan: Plan, folder: Path, say: Callable[[str], None]) -> Report:
    """Do it, with journal and log in an empty folder; `say` is told how it goes."""
    chance = random.Random(plan.seed)
    faults = RandomFaults(plan.faults, seed=plan.seed, task_share=plan.faults / 4) if plan.faults else None
    ambush = Ambush(faults)
    options = Options(speed=plan.speed, seed=plan.seed, credits=plan.songs * 100, faults=ambush)
    journal, log = folder / "jobs.db", folder / "workers.log"
    wrong: list[str] = []
    begun = time.monotonic()
    async with Sandbox(options) as box:
        async with anyio.create_task_group() as work:
            command = [sys.executable, str(WORKER), box.url, str(journal)]
            crew = Crew([*command, "--songs", str(plan.songs), "--speed", str(plan.speed)], log, work, chance)

            async def tell() -> None:
                while True:
                    await anyio.sleep(5)
                    taken = f"{box.books.accepted} of {plan.songs} songs taken"
                    say(f"{time.monotonic() - begun:6.0f} s: {taken}, {len(crew.kills)} kills")

            work.start_soon(tell)
            with anyio.move_on_after(plan.patience) as limit:
                in_flight = await _work_and_kill(crew, ambush, plan, chance)
                posts = box.books.count(method="POST")
                await crew.finish()  # once more, now that all is done
                if box.books.count(method="POST") > posts:
                    wrong.append("a run after the end of the album sent a POST")
            work.cancel_scope.cancel()
        if limit.cancelled_caught:
            wrong.append(f"it had not ended after {plan.patience:g} s")
        async with MusicSession(box.key, box.url, journal=journal) as music:
            records = await music.journal.jobs(group=ALBUM)
        books = box.books
        titles = [title_of(number) for number in range(plan.songs)]
        agreement = compare(titles, records, books.taken(), books.requests, crew.kills)
    if crew.broken:
        wrong.append(f"workers ended with {crew.broken}: {log.read_text()[-2000:]}")
    requests = Counter(request.method for request in books.requests)
    requests += Counter(f"with {request.fault}" for request in books.requests if request.fault)
    requests["refused, as they came too soon"] = sum(request.fault is None for request in books.refusals)
    return Report(
        agreement=attrs.evolve(agreement, disagreements=[*wrong, *agreement.disagreements]),
        kills=len(crew.kills),
        in_flight=in_flight,
        workers=crew.started,
        seconds=time.monotonic() - begun,
        requests=requests,
        charged=books.charged,
        refunded=books.refunded,
    )


async def _work_and_kill(crew: Crew, ambush: Ambush, plan: Plan, chance: random.Random) -> int:
    """Let workers make the album, and kill them; return how many were killed just as a POST came in."""
    in_flight = 0
    while len(crew.kills) < plan.kills and not crew.done:
        await crew.fill(chance.choice((1, 1, 2)))
        await crew.until(lambda: crew.done, within=chance.uniform(*plan.pause))
        if crew.done:
            break
        kills = len(crew.kills)
        if chance.random() < 0.5:
            ambush.strike = crew.kill
            await crew.until(lambda: crew.done or len(crew.kills) > kills, within=5.0)  # noqa: B023 - awaited in here
            ambush.strike = None
            in_flight += len(crew.kills) - kills
        else:
            crew.kill()
        await crew.until(lambda: crew.all_buried, within=5.0)
    await crew.finish()
    return in_flight


def table(plan: Plan, report: Report) -> str:
    """Show a report as lines for people."""
    found = report.agreement
    rows: list[tuple[str, object]] = [
        ("songs ordered", plan.songs),
        *((f"  {state}", count) for state, count in sorted(found.states.items())),
        *((f"  unknown: {why}", count) for why, count in sorted(found.doubts.items())),
        ("processes started", report.workers),
        ("killed with SIGKILL", report.kills),
        ("  just as a POST came in", report.in_flight),
        *((f"requests: {what}", count) for what, count in report.requests.items()),
        ("credits charged", report.charged),
        ("credits refunded", report.refunded),
        ("seconds", round(report.seconds)),
        ("disagreements", len(found.disagreements)),
    ]
    return "\n".join(f"{name:42}{value:>8}" for name, value in rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line, do it, print what came of it; return the exit code."""
    usual = Plan()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=int, default=usual.songs, help="how many (default: %(default)s)")
    parser.add_argument("--faults", type=float, default=usual.faults, help="share of the requests (%(default)s)")
    parser.add_argument("--kills", type=int, default=usual.kills, help="at most so many (default: no end)")
    parser.add_argument("--pause", type=float, nargs=2, default=usual.pause, help="seconds between kills (%(default)s)")
    parser.add_argument("--speed", type=float, default=usual.speed, help="of the service (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="for the same chances again (default: another each time)")
    parser.add_argument("--keep", type=Path, help="folder for journal and log; default: one that is removed")
    given = parser.parse_args(argv)
    keep, seed = given.keep, random.randrange(10**6) if given.seed is None else given.seed
    known = {name: value for name, value in vars(given).items() if name not in ("keep", "seed")}
    plan = Plan(**known | {"pause": tuple(given.pause)}, seed=seed)
    _say(f"seed {plan.seed}: {plan}")
    with tempfile.TemporaryDirectory() as folder:
        if keep is not None:
            keep.mkdir(parents=True)  # an old journal would not fit to new books
        report = asyncio.run(soak(plan, keep or Path(folder), _say))
    _say(table(plan, report))
    for line in report.agreement.disagreements[:20]:
        _say(f"WRONG: {line}")
    return 1 if report.agreement.disagreements else 0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a program for the terminal


if __name__ == "__main__":
    sys.exit(main())
