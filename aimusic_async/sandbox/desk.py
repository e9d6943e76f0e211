"""The front desk: takes a request through validation, credits and acceptance. Knows no HTTP server."""

import asyncio
import functools
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

from attrs import define, field, frozen

from aimusic_async.sandbox import texts, timing
from aimusic_async.sandbox.accounts import Account
from aimusic_async.sandbox.audio import Audio
from aimusic_async.sandbox.books import Books, Request, Taken
from aimusic_async.sandbox.faults import Fate, Fault, Faults
from aimusic_async.sandbox.options import Options
from aimusic_async.sandbox.prices import price
from aimusic_async.sandbox.rules import Body, Field, Rule, check
from aimusic_async.sandbox.shelf import Shelf, Source
from aimusic_async.sandbox.tasks import Clip, Family, Task
from aimusic_async.sandbox.texts import Answer
from aimusic_async.sandbox.tunes import Tunes

Switch = Callable[[Options], texts.Refusal | None]
Moderated = Callable[[Body], tuple[Sequence[str], Sequence[str]]]


@frozen(kw_only=True)
class Operation:
    """One thing that the service does: its address, the rules of its fields, and what carries it out."""

    name: str
    """As "sonic.create_music"."""
    path: str
    """As "/sonic/create"."""
    fields: Sequence[Field] = ()
    rules: Sequence[Rule] = ()
    sources: Sequence[Source] = ()
    """The fields that name clips."""
    audio: str | None = None
    """The field with the address of a recording."""
    steps: bool = False
    """Whether the answer reports the upload separately from the second step, also when one fails."""
    moderated: Moderated = lambda _body: ((), ())
    """The texts that moderation reads: lyrics, and descriptions."""
    switch: Switch = lambda _options: None
    """Why it is not to be had, if so."""
    handler: "Handler"


@define
class World:
    """All that one sandbox consists of, apart from its web server."""

    options: Options
    loop: asyncio.AbstractEventLoop
    calendar: datetime
    fetch: Callable[[str], Awaitable[Audio]]
    base: str = ""
    announce: Callable[["Visit", Task], None] = lambda _visit, _task: None
    """Called with every task as it is accepted."""
    shelf: Shelf = field(factory=Shelf)
    tunes: Tunes = field(factory=Tunes)
    opened_at: float = field(init=False)
    closed_at: float | None = field(init=False, default=None)
    accounts: Mapping[str, Account] = field(init=False)
    books: Books = field(init=False)
    faults: Faults | None = field(init=False)
    _met: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.opened_at = self.loop.time()
        self.faults = self.options.faults
        self.accounts = {key: Account(self.options) for key in self.options.keys}
        self.books = Books(self.now, lambda key, now: self.accounts[key].pots(now), self.options.keys)

    def now(self) -> float:
        """Loop time; it stands still once the sandbox is closed."""
        return self.loop.time() if self.closed_at is None else self.closed_at

    def calendar_at(self, at: float) -> datetime:
        """The service's date and time at a loop time."""
        return self.calendar + timedelta(seconds=(at - self.opened_at) * self.options.speed)

    def file(self, name: str) -> str:
        """The address of a file."""
        return f"{self.base}/files/{name}"

    def meet(self, entry: Request) -> Fate | None:
        """Enter which fault a request meets, and return what is to become of its task."""
        fate: Fate | None = None
        if self.faults is not None:
            entry.fault, fate = self.faults.meet(entry.method, entry.operation, self._met)
        self._met += 1
        return fate

    async def serve(
        self,
        key: str,
        at: float,
        operation: Operation,
        body: Body,
        *,
        fault: Fault | None = None,
        fate: Fate | None = None,
    ) -> tuple[Answer, str | None]:
        """Carry out `operation`: its answer, and the task that it started.

        `fault`: what its answer meets on the way, for the books; `fate`: what becomes of its task.
        Raises a `Refusal` as soon as something is wrong; nothing was charged or kept then.
        """
        if refusal := operation.switch(self.options):
            raise refusal
        check(operation.fields, operation.rules, body, self.options)
        sources = {
            source.name: [self.shelf.clip(key, source, one, at) for one in _ids(source, body)]
            for source in operation.sources
            if source.name in body
        }
        lyrics, descriptions = operation.moderated(body)
        objection = self.options.policy.objection(lyrics=lyrics, descriptions=descriptions)
        if objection:
            raise texts.forbidden(objection)
        audio = await self._recording(operation, body)
        visit = Visit(
            world=self,
            key=key,
            at=self.now(),
            operation=operation,
            body=body,
            clips=sources,
            audio=audio,
            fault=fault,
            fate=fate,
        )
        return operation.handler(visit), visit.task_id

    async def _recording(self, operation: Operation, body: Body) -> Audio | None:
        address = body.get(operation.audio) if operation.audio else None
        if not isinstance(address, str):
            return None
        try:
            return await self.fetch(address)
        except texts.Refusal as no:
            if operation.steps:
                no.more["steps"] = {"upload": {"error": no.text, "message": no.text}}
            raise


def _ids(source: Source, body: Body) -> list[Any]:
    value = body[source.name]
    return list(value) if source.several else [value]


@define(kw_only=True)
class Visit:
    """A request that is valid: what it asks, and the means to accept it. Nothing in here waits."""

    world: World
    key: str
    at: float
    operation: Operation
    body: Body
    clips: Mapping[str, Sequence[Clip]]
    """The clips that its fields name."""
    audio: Audio | None
    """The recording that it uploads."""
    fault: Fault | None = None
    fate: Fate | None = None
    """What becomes of the task that it starts, unless chance decides."""
    task_id: str | None = None
    ordinal: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.ordinal = self.world.books.accepted

    @property
    def options(self) -> Options:
        """The sandbox's switches."""
        return self.world.options

    @functools.cached_property
    def chance(self) -> Random:
        """The random numbers of just this operation."""
        return timing.stream(self.options.seed, self.ordinal)

    def new_id(self) -> str:
        """A new UUID, version 4 in form, from the seeded stream."""
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def clip(self, name: str) -> Clip:
        """The clip that the field `name` names."""
        return self.clips[name][0]

    def answer_seconds(self) -> float:
        """How long the answer takes, in real seconds."""
        return timing.answer_seconds(self.options, self.operation.name, self.ordinal) / self.options.speed

    def timetable(self, clips: int, *, after: float = 0.0) -> timing.Timetable:
        """When the clips of a task settle that starts `after` (real) seconds from now."""
        return timing.timetable(self.options, self.operation.name, self.ordinal, self.at + after, clips, fate=self.fate)

    def song_seconds(self) -> float:
        """The length of a new song: as asked for, or drawn."""
        wanted = self.body.get("duration")
        return float(wanted) if wanted else round(self.chance.uniform(*self.options.song_seconds), 2)

    def take(self, task: Task | None = None, clips: Sequence[Clip] = ()) -> None:
        """Charge the price, keep what is being made, and enter it in the books.

        Raises a `Refusal` when the credits do not suffice; then nothing has happened.
        """
        credits_ = price(self.operation.name, self.body.get("mv"), self.options.prices)
        refund_at = task.ends_at if task is not None and task.failed else None
        self.world.accounts[self.key].charge(credits_, self.at, refund_at)
        self.task_id = task.id if task is not None else None
        self.world.shelf.put(task, clips)
        fate = self.fate if task is not None else None
        if task is not None and fate is not None and fate.kind == "vanishes":
            lasts = timing.vanishing(self.options, self.operation.name, self.ordinal, fate)
            self.world.shelf.vanishing[task.id] = self.at + lasts
        self.world.books.enter(
            Taken(
                operation=self.operation.name,
                key=self.key,
                task_id=self.task_id,
                body=self.body,
                credits=credits_,
                at=self.at,
                refund_at=refund_at if credits_ else None,
                fault=self.fault,
                fate=fate,
            )
        )
        if task is not None and (fate is None or fate.kind == "fails"):  # of the others nothing is heard
            self.world.announce(self, task)

    def submitted(self, task: Task) -> Answer:
        """Take a task, and answer with its id."""
        self.take(task)
        code = {"code": 200} if self.options.code_in_submit else {}
        return Answer(body={**code, "message": "success", "task_id": task.id})


def refuse_if_timed_out(task: Task, now: float) -> None:
    """Raise the 504 of a task that the service gave up."""
    if task.timed_out and task.ended(now):
        raise texts.Refusal(504, "timeout", texts.TASK_TIMED_OUT)


Handler = Callable[[Visit], Answer]
Chooser = Callable[[Body, Options], Operation]
"""Which operation a body asks for, where several share an address."""
Viewer = Callable[[World, Task, float], Answer]
"""What a task shows at a time."""


@frozen(kw_only=True)
class Platform:
    """One family of the service: its operations, and how its tasks are shown."""

    family: Family | None
    operations: Sequence[Operation]
    choosers: Mapping[str, Chooser] = {}
    """By path, where several operations share it."""
    view: Viewer | None = None
    switch: Switch = lambda _options: None
    task_missing: Callable[[Options], texts.Refusal] = lambda options: texts.Refusal(
        options.unknown_task_status,
        "validation_error" if options.unknown_task_status == 400 else "not_found",
        texts.TASK_NOT_FOUND,
    )
