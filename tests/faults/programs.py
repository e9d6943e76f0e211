"""What runs in the processes of a random world: programs that submit, wait, cancel and leave; a person who looks."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from aimusic_async import Job, JobState, JournalError, MusicError, MusicSession, Settings, WebhookConfig, sonic
from aimusic_async.errors import ConfigurationError

from .moody import Link
from .service import Order
from .virtual import Ambush, Process, SharedLimit, now, outside

if TYPE_CHECKING:
    from .voyages import World

CONFIG = WebhookConfig("https://example.org/hook", "the configured secret")
PRICE = sonic.CreateMusic.cost
PLACES = (
    "Enter handed over",
    "Enter stored",
    "Begin handed over",
    "Begin handed over",
    "Begin stored",
    "Begin stored",
    "token",
    "POST departed",
    "POST departed",
    "POST answered",
    "POST answered",
    "Accepted handed over",
    "Accepted stored",
    "Finished handed over",
    "Finished stored",
    "Released handed over",
    "Released stored",
    "GET departed",
    "GET answered",
    "delivery",
    "leaving",
)
"""Where somebody may lie in wait for a process."""
SENDING = ("Begin handed over", "Begin handed over", "Begin stored", "POST departed", "POST answered")
"""The same, while it sends a song."""
LEASE, SENDING_LEASE = 30.0, 240.0
ENDED_WITHIN = 3000.0
"""Seconds within which everything ends once all is calm."""
_ENTERED_WITHIN = 900.0
_LEFT_WITHIN = 200.0
_PERSON_STAYS = 40.0
_LONGEST_ACT = 90.0
"""Seconds that any act sleeps at most beside its waiting for jobs."""


class Left(Exception):
    """Somebody leaves a block by an exception."""


class Program:
    """What runs in one process: it opens a session, does this and that, and leaves."""

    def __init__(self, world: World, process: Process, link: Link, chance: random.Random) -> None:
        self.world = world
        self.process = process
        self.link = link
        self.chance = chance
        self.budget: int | None = None
        self.jobs: list[Job[Any]] = []
        self._hasty = False
        """Whether jobs are cancelled."""
        self._music: MusicSession | None = None
        self._left = asyncio.Event()
        self._entered = False
        self._leaves_at = 0.0
        self._waiting: list[tuple[str, asyncio.Task[Any]]] = []
        self._acts: list[tuple[str, asyncio.Task[Any]]] = []

    @property
    def open(self) -> bool:
        """Whether webhooks may come here."""
        return self._music is not None and not self.process.dead

    # --- troubles ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, and decide what will happen to it."""
        chance, weather = self.chance, self.world.weather
        stay = chance.choice([chance.uniform(1, 30), chance.uniform(20, 150), chance.uniform(100, 400)])
        if self.world.crowded:
            stay = chance.uniform(100, 400)
        self._hasty = "cancels" in weather
        if "budgets" in weather and chance.random() < 0.2:
            self.budget = PRICE * chance.randint(1, 4)
        if "cuts" in weather:
            for _ in range(chance.choice([0, 1, 1, 2]) if not self.world.crowded else chance.choice([0, 1, 1])):
                seconds = self._long()
                cut = partial(self._cut, seconds, hangs=chance.random() < 0.3)
                if chance.random() < 0.7:
                    stay = max(stay, seconds + chance.uniform(10, 100))
                self._some_time(stay, cut)
        if "pauses" in weather and chance.random() < 0.4:
            self._some_time(stay, partial(self._pause, self._long()))
        main = self.process.main(self._run(stay))
        if "kills" in weather and chance.random() < 0.6:
            if chance.random() < 0.4:
                self._later(chance.uniform(0, stay), self._kill)
            else:
                strike = partial(self._kill, after_steps=chance.choice([0, 1, 2, 3, chance.randint(0, 30)]))
                self._ambush(strike)
        if "cancels" in weather and chance.random() < 0.4:
            at = chance.uniform(0, stay)
            self._later(at, partial(self._cancel, main, "cancelled"))
            if chance.random() < 0.4:
                self._later(at + chance.choice([0, 0.01, chance.uniform(0, 40)]), partial(self._cancel, main, "again"))

    def _long(self) -> float:
        """Return how long a cut or a pause is: shorter or longer than the leases."""
        chance = self.chance
        short, longer = chance.uniform(1, LEASE), chance.uniform(LEASE + 1, 120)
        if self.world.crowded:
            short = longer
        return chance.choice([short, longer, longer, chance.uniform(SENDING_LEASE + 1, 500)])

    def _some_time(self, stay: float, strike: Callable[[], None]) -> None:
        if self.chance.random() < 0.4 and not self.world.crowded:
            self._later(self.chance.uniform(0, stay), strike)
        else:
            self._ambush(strike)

    def _ambush(self, strike: Callable[[], None]) -> None:
        place = self.chance.choice(SENDING if self.world.crowded else PLACES)
        self.process.ambushes.append(Ambush(place, self.chance.choice([0, 0, 0, 1, 2]), strike))

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            if not self.process.over.is_set():
                act()

        self.world.service.telling.add(outside(wait()))

    def _cut(self, seconds: float, *, hangs: bool) -> None:
        self._struck(f"is cut off for {seconds:.0f} s", "cuts")
        self.link.cut(seconds, hangs=hangs)
        if self.world.crowded and self.chance.random() < 0.8:
            self._later(self.chance.uniform(1, seconds), self._give_up)

    def _give_up(self) -> None:
        """Somebody loses patience."""
        self._struck("gives up its jobs", "cancels")
        for job in self.jobs:
            self.process.call(job.cancel)

    def _pause(self, seconds: float) -> None:
        self._struck(f"is paused for {seconds:.0f} s", "pauses")
        self.process.pause(seconds)

    def _kill(self, *, after_steps: int | None = None) -> None:
        self._struck("is killed", "kills")
        self.process.kill(after_steps=after_steps)

    def _cancel(self, main: asyncio.Task[Any], word: str) -> None:
        self._struck(f"is {word}", "cancels")
        self.process.troubled |= word == "again"
        main.cancel()

    def _struck(self, what: str, kind: str) -> None:
        self.world.note(f"{self.process} {what}")
        self.world.counts[kind] += 1

    # --- the session -------------------------------------------------------------------------------------------------

    async def _run(self, stay: float) -> None:
        await self._in_session(partial(self._act, stay))

    async def _in_session(self, work: Callable[[MusicSession], Awaitable[None]], *, hooked: bool | None = None) -> None:
        """Open a session, work in it, leave it, and see that all who waited were woken."""
        world = self.world
        if hooked is None:
            hooked = "webhooks" in world.weather and self.chance.random() < 0.85
        self._leaves_at = now()
        try:
            async with MusicSession(
                settings=Settings(api_key="sk-secret-0123456789", base_url="http://127.0.0.1:1"),
                limiter=SharedLimit(world.bucket, self.process),
                journal=self.link,
                webhook=CONFIG if hooked else None,
                budget=self.budget,
            ) as music:
                self._entered = True
                if now() - self._leaves_at > _ENTERED_WITHIN:
                    world.fault(f"hangs: {self.process} entered its session only after {now() - self._leaves_at:.0f} s")
                self._music = music
                music.events.listen(self._event)
                try:
                    await work(music)
                finally:
                    self._music = None
                    self._left.set()
                    self._leaves_at = now()
                    self.process.passes("leaving")
        except (Left, asyncio.CancelledError):
            pass
        except (JournalError, OSError) as error:
            if self._entered:
                world.fault(f"raised: leaving the session of {self.process}: {error!r}")
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not be
            world.fault(f"raised: in the session of {self.process}: {error!r}")
        if self._entered:
            await self._check_left()

    async def _check_left(self) -> None:
        world = self.world
        if (took := now() - self._leaves_at) > _LEFT_WITHIN + self.process.paused_for:
            world.fault(f"hangs: {self.process} took {took:.0f} s to leave its session")
        for job in self.jobs:
            if not job.done():
                world.fault(f"hangs: {job!r} has not ended with the session of {self.process}")
        await _rest(1)
        self._check_woken(self._waiting)
        if any(not task.done() for _, task in self._acts):
            await _rest(_LONGEST_ACT + self.process.paused_for + self.link.answers_within)
            self._check_woken(self._acts)
        for job in self.jobs:
            error = job.exception()
            if isinstance(error, JournalError) and getattr(error, "passing", True):
                world.fault(f"passing trouble ended a job: {job!r}, {error!r}")
            elif type(error) is MusicError:
                world.fault(f"broke: {job!r}: {error!r}")

    def _check_woken(self, waiting: list[tuple[str, asyncio.Task[Any]]]) -> None:
        for what, task in waiting:
            if not task.done():
                self.world.fault(f"hangs: {what} of {self.process} was not woken")
                task.cancel()

    def _event(self, event: Any) -> None:
        job = getattr(event, "job", None)
        if self.world.trace:
            self.world.note(f"{self.process} {type(event).__name__} {job!r}")
        if self._hasty and self.chance.random() < 0.005 and isinstance(job, Job):
            job.cancel()

    async def door(self, event: Any, job_id: str) -> bool:
        """Bring a webhook here; called from outside. Say whether it was answered 200."""
        music, process = self._music, self.process
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def deliver() -> None:
            stored: Any = False
            hand_in: Callable[..., Any] = music.deliver  # type: ignore[union-attr]
            try:
                async with asyncio.timeout(5):
                    stored = hand_in(event, job_id)
                    if inspect.isawaitable(stored):
                        stored = await stored
            except TimeoutError:
                stored = False
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not be
                stored = False
                self.world.fault(f"raised: a delivery to {process}: {error!r}")
            if not answer.done():
                answer.set_result(bool(stored))

        process.start(deliver())
        process.passes("delivery")
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                if await answer:
                    self.world.note(f"{process} acknowledges {event.id}")
                    self._check_stored(event, job_id)
                    return True
        return False

    def _check_stored(self, event: Any, job_id: str) -> None:
        """What is acknowledged is durable."""
        self.world.counts["webhooks acknowledged"] += 1
        record = self.world.journal._records.get(job_id)
        if record is None or event.task_id not in (record.task_id, *record.former.split()):
            self.world.fault(f"acknowledged and not stored: {event.id}; the journal: {record and shown(record)}")

    # --- what it does ------------------------------------------------------------------------------------------------

    async def _act(self, stay: float, music: MusicSession) -> None:
        chance = self.chance
        submits = [self._submit if order.group == "" else self._group for order in self.world.orders]
        acts = [*chance.choices(submits, k=4), self._resume, self._attach, self._ask, self._find]
        self._start(self._acts, "first", chance.choice(submits)(music))
        for act in chance.choices(acts, k=chance.randint(1, 5)):
            self._start(self._acts, act.__name__, self._after(chance.uniform(0, stay), act, music))
        await asyncio.sleep(stay)
        way = chance.random()
        if way < 0.3:
            for _, task in self._acts:
                task.cancel()
        elif way < 0.5:
            raise Left
        elif way < 0.7:
            with suppress(TimeoutError):
                async with asyncio.timeout(chance.uniform(10, 300)):
                    await asyncio.gather(*(job.wait() for job in self.jobs))

    def _start(self, among: list[tuple[str, asyncio.Task[Any]]], what: str, work: Coroutine[Any, Any, Any]) -> None:
        among.append((what, asyncio.create_task(self._guarded(what, work))))

    async def _after(self, seconds: float, act: Callable[[MusicSession], Awaitable[None]], music: MusicSession) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._left.wait()
        if self._music is music:
            await act(music)

    async def _guarded(self, what: str, work: Coroutine[Any, Any, Any]) -> None:
        """Do something that may be told that the journal is away, or that the session is closed, and nothing else."""
        try:
            await work
        except (JournalError, OSError, Left):
            pass
        except MusicError as error:
            if self._music is not None:
                self.world.fault(f"raised: {what} of {self.process}: {error!r}")
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not be
            self.world.fault(f"raised: {what} of {self.process}: {error!r}")

    def _mine(self, job: Job[Any], *, patient: bool = False) -> Job[Any]:
        """Wait for a job in some ways."""
        self.jobs.append(job)
        self._start(self._waiting, f"wait() for {job.key}", job.wait())
        ways = ["accepted", "result", "recorded", "changes", "impatient", "nothing", "nothing"]
        way = "nothing" if patient else self.chance.choice(ways)
        if way != "nothing" and (way == "impatient" or hasattr(job, way)):
            self._start(self._waiting, f"{way} of {job.key}", self._wait(job, way))
        if self._hasty and self.chance.random() < 0.15:
            seconds = self.chance.choice([0, self.chance.uniform(0, 100)])
            asyncio.get_running_loop().call_later(seconds, job.cancel)
        return job

    async def _wait(self, job: Any, way: str) -> None:
        with suppress(MusicError):
            if way == "changes":
                async for _ in job.changes():
                    pass
            elif way == "impatient":
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.chance.uniform(0, 60)):
                        await job
            else:
                await getattr(job, way)()

    def _options(self, order: Order) -> dict[str, Any]:
        chance = self.chance
        options: dict[str, Any] = {"key": order.key, "priority": chance.choice([0, 0, 1])}
        if chance.random() < 0.2:
            options["timeout"] = chance.choice([1, 20, 90, 400])
        if chance.random() < 0.2:
            self.world.decided[order] += 1
            options["resend_failed"] = True
        return options

    def _some(self, group: str) -> list[Order]:
        orders = [order for order in self.world.orders if order.group == group]
        return self.chance.sample(orders, len(orders) if self.world.crowded else self.chance.randint(1, len(orders)))

    async def _submit(self, music: MusicSession) -> None:
        for order in self._some(""):
            self._mine(music.submit(song(order), **self._options(order)))
            if self.chance.random() < 0.2:
                await asyncio.sleep(self.chance.uniform(0, 10))
        if self.chance.random() < 0.1:
            other = sonic.CreateMusic(prompt="la", mv="sonic-v5", title=f"/twin#{self.process}")
            self._mine(music.submit(other, key="twin"))

    async def _group(self, music: MusicSession) -> None:
        chance, world = self.chance, self.world
        name = chance.choice([*sorted({order.group for order in world.orders}), *world.limits])
        timeout = chance.choice([None, None, None, 5, 60, 300])
        way = chance.choice(["wait", "cancel", "keep", "keep"])
        budget = world.limits.get(name) or (chance.choice([None, 2 * PRICE]) if not name else None)
        with suppress(ExceptionGroup):
            async with music.group(name, timeout=timeout, on_failure=way, budget=budget) as group:
                for order in self._some(name):
                    self._mine(group.submit(song(order), **self._options(order)))
                    if chance.random() < 0.2:
                        await asyncio.sleep(chance.uniform(0, 10))
                how = chance.random()
                if how < 0.2:
                    await asyncio.sleep(chance.uniform(0, 40))
                    raise Left
                if how < 0.3:
                    group.cancel()
                elif how < 0.5:
                    async for _ in group.as_completed():
                        pass

    async def _resume(self, music: MusicSession) -> None:
        group = self.chance.choice([None, None, "", "album"])
        for job in await music.resume(group):
            self._mine(job)

    async def _attach(self, music: MusicSession) -> None:
        if tasks := list(self.world.service.tasks.values()):
            timeout = self.chance.choice([None, 30])
            self._mine(music.attach(sonic.CreateMusic, self.chance.choice(tasks).id, timeout=timeout))

    async def _ask(self, music: MusicSession) -> None:
        with suppress(MusicError):
            async with asyncio.timeout(200):
                await music.credits()

    async def _find(self, music: MusicSession) -> None:
        await music.journal.jobs(state=self.chance.choice([None, "unknown", "queued"]))
        order = self.chance.choice(self.world.orders)
        if hasattr(music, "job"):
            with suppress(MusicError):
                self._mine(await music.job(order.key, group=order.group))

    # --- the person --------------------------------------------------------------------------------------------------

    async def desk(self) -> None:
        """Somebody looks up in the service's books what is unknown, and says what is true."""
        await self._in_session(self._at_the_desk, hooked=False)

    async def _at_the_desk(self, music: MusicSession) -> None:
        world = self.world
        for found in await music.journal.jobs(state=["unknown", "submitted"]):
            record = await music.journal.job(found.key, group=found.group)
            if record is None:
                continue
            order = Order(record.group, record.key)
            if record.state is JobState.UNKNOWN:
                await self._settle(music, order, record)
            elif record.state is JobState.SUBMITTED and record.owner is None:
                task = world.service.tasks.get(record.task_id or "")
                if task is not None and task.fate == "vanishes" and now() > task.at + 300:
                    with suppress(ConfigurationError):
                        await music.journal.settle(order.key, group=order.group)
                        world.note(f"settled: {order} is gone")
        await asyncio.sleep(self.chance.uniform(0, _PERSON_STAYS))

    async def _settle(self, music: MusicSession, order: Order, record: Any) -> None:
        """Say what became of a job: nothing happens elsewhere between the look and the word."""
        world = self.world
        known = {record.task_id, *record.former.split()}
        tasks = [task.id for task in world.service.of(order) if task.id not in known]
        world.counts["looked up"] += 1
        world.note(f"looked up: {order} is {tasks or 'not taken'}")
        if not tasks and self.chance.random() < 0.5:
            if not order.group:
                self._mine(music.submit(song(order), key=order.key, resend_unknown=True), patient=True)
                return
            budget = world.limits.get(order.group)
            with suppress(Left):
                async with music.group(order.group, on_failure="keep", budget=budget) as group:
                    self._mine(group.submit(song(order), key=order.key, resend_unknown=True), patient=True)
                    await asyncio.sleep(_PERSON_STAYS)
                    raise Left
            return
        with suppress(ConfigurationError):  # somebody else found out meanwhile
            await music.journal.settle(order.key, group=order.group, task_id=tasks[0] if tasks else None)

    # --- the last runs -----------------------------------------------------------------------------------------------

    async def everything(self) -> None:
        """Now that all is calm, resume and submit everything, and see it end."""
        await self._in_session(self._everything, hooked="webhooks" in self.world.weather)

    async def _everything(self, music: MusicSession) -> None:
        world = self.world
        jobs = await music.resume()
        for job in jobs:
            self._mine(job, patient=True)
        world.last = {}
        groups = sorted({order.group for order in world.orders} - {""})
        for order in world.orders:
            if not order.group:
                world.last[order] = self._mine(music.submit(song(order), key=order.key), patient=True)
        album = [asyncio.create_task(self._all_of(music, group)) for group in groups]
        waits = [asyncio.create_task(job.wait()) for job in self.jobs]
        _, late = await asyncio.wait([*album, *waits], timeout=ENDED_WITHIN)
        if late:
            still = [job for job in self.jobs if not job.done()]
            world.fault(f"hangs: {self.process} has not ended within {ENDED_WITHIN:g} s: {still}")
        for task in late:
            task.cancel()

    async def _all_of(self, music: MusicSession, name: str) -> None:
        world = self.world
        async with music.group(name, on_failure="keep", budget=world.limits.get(name)) as group:
            for order in world.orders:
                if order.group == name:
                    world.last[order] = self._mine(group.submit(song(order), key=order.key), patient=True)


def song(order: Order) -> sonic.CreateMusic:
    """Return the request of an order."""
    return sonic.CreateMusic(prompt="[Verse]\nHere we go", mv="sonic-v5", title=str(order))


async def _rest(seconds: float) -> None:
    """Wait, whoever cancels that."""
    end = now() + seconds
    while now() < end:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(end - now())


def shown(record: Any) -> str:
    """Show a record in a few words."""
    owner = "nobody" if record.owner is None else record.owner[-4:]
    return f"{record.group}/{record.key}: {record.state}, {owner}'s, {record.task_id}, attempt {record.attempts}"
