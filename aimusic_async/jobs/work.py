"""`Work`: all that this process knows of one job; only `lifecycle.advance` changes it."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import Context
from enum import Enum
from typing import Any

import attrs

from ..api.pricing import cost_of
from ..api.request import Answer, Request
from ..api.results import Clip
from ..api.wire import Reply, read_now, read_task
from ..errors import JobInfo, JournalError, MusicError, SubmissionUnknown
from ..events import JobState
from ..journal.budget import Budget
from ..journal.record import OPEN, JobRecord, as_text, group_scope, record_id

_FRESH = 60.0
"""Real seconds for which the beginning of an attempt counts: with the longest POST, less than the lease of its owner.
Counted from the question: a process may sleep before it reads the answer."""


@attrs.frozen
class Rules:
    """What all works of a session have in common."""

    owner: str = ""
    """The session's name in the journal."""
    account: str = ""
    journalled: bool = False
    stuck_after: float = 3600.0
    """Seconds after which a task that still runs is given up."""
    speed: float = 1.0
    """Seconds of the service in one of the journal's."""
    prices: Mapping[str, int] = attrs.field(factory=dict, hash=False)
    """See `Settings.prices`."""


@attrs.frozen
class Order:
    """How a job is to be sent, apart from what it asks for."""

    direct: bool = False
    """Before batch work: somebody waits."""
    priority: int = 0
    """Before others of its kind that have a lower one."""
    budgets: tuple[Budget, ...] = ()
    """Budgets that this session alone spends: its own, and an unnamed group's."""
    limit: int | None = None
    """The budget of its named group, which every process shares."""
    group: str = ""
    """Its group's name in the journal."""
    resend: Collection[JobState] = ()
    """States in the journal from which it is sent again."""
    deadline: float = math.inf
    """When its group's time is over, on the service's clock."""


class Where(Enum):
    """Who works on a job."""

    ENTERING = "entering"
    """The journal is asked."""
    HERE = "here"
    ELSEWHERE = "elsewhere"
    """Another process, or another job of the same key in this one: it is followed."""


class Moment(Enum):
    """What somebody may wait for."""

    RECORDED = "recorded"
    ACCEPTED = "accepted"
    ENDED = "ended"


class _Dict:
    """Gives a class with slots a `__dict__` beside them, which is made once something is set in it."""

    __slots__ = ("__dict__",)


@attrs.define(eq=False, weakref_slot=False, auto_attribs=False)
class Work(_Dict):
    """One job in this process. Its handle reads it; only `advance` writes it."""

    rules: Rules = attrs.field()
    key: str = attrs.field()
    order: Order = attrs.field()
    request: Request[Any] | None = attrs.field(default=None)
    job: JobInfo = attrs.field(init=False)
    """The handle, which errors carry."""
    # In the journal.
    id: str | None = attrs.field(default=None)
    """Its record's; None when nothing of it is written down."""
    where: Where = attrs.field(default=Where.HERE)
    context: Context | None = attrs.field(default=None)
    """The contextvars of who submitted it; None: nothing was set there. Here, as 8 bytes are less than a `__dict__`."""

    # Thousands of jobs wait, and few are under way: these are defaults of the class, and take room only once set.
    state: JobState = JobState.QUEUED
    watcher: Callable[[Any], None] | None = None
    """Called with the handle when it has ended."""
    queued_at: float | None = None
    """Since when it has waited for a token, where the log shows that."""
    unread: int | None = None
    """Its number among the ended jobs of which nobody has the result or the error."""
    recorded: bool = False
    attempt: int = 0
    """Number of its latest attempt."""
    task_id: str | None = None
    in_flight: bool = False
    """Whether its submit or call is being sent."""
    waiters: Sequence[tuple[Moment, asyncio.Future[None]]] = ()
    """Of the event loop's, and the dispatcher's alone."""
    attached: type[Request[Any]] | None = None
    """Of what operation it is, when its request is not known."""
    timeout: float | None = None
    clips: tuple[Clip, ...] = ()
    raw: Any = None
    streaming_url: str | None = None
    result: Any = None
    error: MusicError | None = None
    credits: int = 0
    answer: str | None = None
    """The answer of an earlier run, until somebody asks for it."""
    attempting: bool = False
    """Whether the journal may have it that this attempt is about to leave, or has left."""
    asked_at: float = 0.0
    """When the journal was asked to begin this attempt."""
    begun: bool = False
    """Whether the journal surely has it: only then may the attempt leave."""
    former: frozenset[str] = frozenset()
    """Tasks of other attempts."""
    departed: bool = False
    """Whether that has left, as far as anybody knows."""
    sent_here: bool = False
    counted: int = 0
    """Credits that it has committed out of its budgets."""
    hooked: bool = False
    """Whether a webhook will report its end."""
    ending: MusicError | None = None
    """It was given up in mid-POST: it ends with this as soon as the POST is over."""
    released: bool = False
    """It was given up with its group or session: another run may go on with it."""
    awaiting: SubmissionUnknown | None = None
    """The answer to its POST was lost, and a webhook may still report what became of it."""
    tries: int = 0
    """Failures in a row."""
    trouble: MusicError | None = None
    """What went wrong last, and is tried again."""
    known: bool = False
    """Whether somebody saw that the service has its task."""
    missing: int = 0
    """Polls in a row, but those that failed otherwise, after which the service did not know its task."""
    missing_since: float | None = None
    """When the first of them was."""
    asked_since: float | None = None
    """When the first answer came to what has to be asked again until it is ready."""
    watched_since: float = 0.0
    silent_since: float | None = None
    """Since when its polls get no answer of the service."""
    timer: asyncio.TimerHandle | None = None

    @classmethod
    def of(
        cls,
        rules: Rules,
        operation: type[Request[Any]],
        key: str,
        order: Order,
        *,
        request: Request[Any] | None = None,
        task_id: str | None = None,
        timeout: float | None = None,
        watcher: Callable[[Any], None] | None = None,
    ) -> Work:
        """Make a work of a request, or of a task that the service has already."""
        work = cls(rules, key, order, request)
        if watcher is not None:
            work.watcher = watcher
        if request is None:
            work.attached = operation
        if timeout is not None:
            work.timeout = timeout
        if task_id is not None:
            work.task_id, work.state = task_id, JobState.SUBMITTED
        if rules.journalled and operation.endpoint.method == "POST":
            work.id, work.where = record_id(rules.account, order.group, key), Where.ENTERING
        return work

    @property
    def operation(self) -> type[Request[Any]]:
        """The request class."""
        if self.request is not None:
            return type(self.request)
        assert self.attached is not None
        return self.attached

    def wake(self, moment: Moment) -> None:
        """Wake who waits for this; at the end everybody."""
        if not (waiting := self.waiters):
            return
        due = [one for one in waiting if moment is Moment.ENDED or one[0] is moment]
        self.waiters = [one for one in waiting if one not in due]
        for _, waiter in due:
            if not waiter.done():
                waiter.set_result(None)

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.state not in OPEN

    def may_leave(self, now: float) -> bool:
        """Whether its attempt may leave now: once it has begun, and not so late that others declare it unknown."""
        return self.id is None or (self.begun and now - self.asked_at <= _FRESH * self.rules.speed)

    @property
    def identity(self) -> tuple[str, str]:
        """What names it in the journal of its account."""
        return self.order.group, self.key

    @property
    def cost(self) -> int:
        """Credits, when the service takes it."""
        return cost_of(self.request, self.rules.prices) if self.request is not None else 0

    @property
    def limits(self) -> Mapping[str, int]:
        """Budgets that the journal keeps, by their scopes."""
        return {} if self.order.limit is None else {group_scope(self.order.group): self.order.limit}

    @property
    def committed(self) -> int:
        """Credits that this session has committed for it: charged, in flight, or of unknown outcome."""
        risky = self.state in (JobState.SENDING, JobState.UNKNOWN)
        return self.cost if self.sent_here and (risky or self.credits) else 0

    def new_record(self) -> JobRecord:
        """Return the record with which it enters a journal that does not know it."""
        from ..api.plain import to_plain  # noqa: PLC0415 - loads every operation, which only a journal needs

        request = self.request
        return JobRecord(
            id=self.id or "",
            account=self.rules.account,
            group=self.order.group,
            key=self.key,
            operation=self.operation.operation,
            request=as_text(to_plain(request)) if request is not None else None,
            cost=self.cost,
            repeatable=request is not None and request.answer is Answer.REPEAT,
            state=self.state,
            task_id=self.task_id,
            owner=self.rules.owner,
        )

    def read_answer(self) -> None:
        """Read what an earlier run left in the journal; there may be thousands, so only when somebody asks."""
        if self.answer is None:
            return
        reply = Reply(status=200, body=json.loads(self.answer))
        self.raw = reply.body
        try:
            if self.error is None and self.task_id is not None:
                progress = read_task(self.operation, self.task_id, reply)
                self.result, self.clips = progress.result, progress.clips
            elif self.error is None and self.request is not None:
                self.result = read_now(self.request, reply)
        except MusicError as error:
            what = f"{self.key}: the answer in the journal makes no sense: {error}"
            raise JournalError(what, passing=False) from error
        if self.error is None and self.result is None:
            raise JournalError(f"{self.key}: the answer in the journal is not a finished one", passing=False)
        self.answer = None
