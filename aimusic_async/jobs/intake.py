"""How jobs get in: the journal is asked what it knows of them, the budget if it allows them; then they are queued."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from ..clock import Clock
from ..errors import JobFailed, JournalError, MusicError, SubmissionUnknown
from ..events import JobState
from ..journal.record import JobRecord
from ..scheduling.schedule import Kind, Schedule
from .budget import Budget, Purse
from .job import Job
from .requests import Requests

if TYPE_CHECKING:
    from .keeper import Keeper
    from .mailbox import Mailbox


@attrs.frozen
class Order:
    """How a job is to be sent, apart from what it asks for."""

    direct: bool = False
    """Before batch work: somebody waits."""
    priority: int = 0
    """Before others of its kind that have a lower one."""
    budget: Budget | None = None
    """Its group's, out of which it is paid beside the session's."""
    group: str = ""
    """Its group's name in the journal."""
    resend: Collection[JobState] = ()
    """States in the journal from which it is sent anew."""

    @property
    def kind(self) -> Kind:
        """As what it is queued."""
        return Kind.CALL if self.direct else Kind.SUBMIT


class Loop(Protocol):
    """What spends the tokens; in practice the dispatcher."""

    def queued(self) -> None:
        """Say that there is something new in the schedule."""

    def start_now(self, job: Job[Any]) -> bool:
        """Send a direct call at once, if that is possible and fair; say whether it was."""
        ...


class Intake:
    """Takes jobs in for a dispatcher. For the keeper it is the `Workbench`."""

    def __init__(
        self,
        loop: Loop,
        schedule: Schedule[Job[Any]],
        requests: Requests,
        clock: Clock,
        budget: Budget | None,
    ) -> None:
        self._loop = loop
        self._schedule = schedule
        self._requests = requests
        self._clock = clock
        self._purse = Purse(budget)
        self.keeper: Keeper | None = None
        """What ties the jobs to the journal; None without one."""
        self.mailbox: Mailbox | None = None
        """Where webhooks are delivered; None without any."""
        self._orders: dict[Job[Any], Order] = {}  # of the jobs that the journal knows

    def submit(self, job: Job[Any], order: Order) -> None:
        """Queue a job; with a journal, once that has written it down and does not know it already."""
        if self.keeper is not None and job.operation.endpoint.method == "POST":
            self._orders[job] = order
            self.keeper.enter(job, order.group, order.resend)
        else:
            self._queue(job, order)

    def attach(self, job: Job[Any]) -> None:
        """Watch a job that the service has; the first look is due at once, unless the journal knows how it ended."""
        if self.keeper is not None:
            self.keeper.attach(job)
        else:
            self._watch(job)

    def resume(self, job: Job[Any], record: JobRecord) -> None:
        """Go on with a job of which the journal has a record."""
        assert self.keeper is not None
        self._orders[job] = Order(group=record.group)
        self.keeper.resume(job, record)

    def ended(self, job: Job[Any]) -> None:
        """Note that a job has ended."""
        self._orders.pop(job, None)
        self._purse.settle(job)
        if self.keeper is not None:
            self.keeper.ended(job)

    def _queue(self, job: Job[Any], order: Order) -> None:
        assert job.request is not None
        if error := self._purse.promise(job, job.request.cost, order.budget):
            job._fail(error)
        elif not (order.direct and self._loop.start_now(job)):
            self._schedule.add(job, order.kind, now=self._clock.now(), priority=order.priority)
            self._loop.queued()

    def _watch(self, job: Job[Any], age: float | None = None) -> None:
        self._requests.attach(job, age)
        self._loop.queued()

    # --- what the keeper calls, once the journal knows a job -------------------------------------------------------

    def queue(self, job: Job[Any]) -> None:
        """See `Workbench.queue`."""
        if job.request is None:
            job._give_up(JournalError(f"{job.key}: its task is unknown by now; submit its request again"))
        else:
            self._queue(job, self._orders[job])

    def take_up(self, job: Job[Any], record: JobRecord) -> None:
        """See `Workbench.take_up`."""
        self._was_paid(job, record, record.credits)
        self._take_id(job, record)
        if not job.done():  # a listener may have cancelled it
            if self.mailbox is not None:
                self.mailbox.expect(job)  # nobody knows whether it was told already: it is looked at as others are
            # It was updated just now, by the journal's own clock.
            age = None if record.accepted is None else (record.updated - record.accepted) * self._clock.speed
            self._watch(job, age)

    def follow(self, job: Job[Any], record: JobRecord) -> None:
        """See `Workbench.follow`."""
        self._was_paid(job, record, record.cost)
        self._take_id(job, record)

    def in_doubt(self, job: Job[Any]) -> bool:
        """See `Workbench.in_doubt`."""
        return self.mailbox is not None and self.mailbox.in_doubt(job)

    def give_up(self, job: Job[Any]) -> None:
        """See `Workbench.give_up`."""
        if self.mailbox is not None:
            self.mailbox.give_up(job)

    def recall(self, job: Job[Any], record: JobRecord) -> None:
        """See `Workbench.recall`."""
        cost = record.credits
        if record.state is JobState.UNKNOWN:
            cost += record.cost  # perhaps
        self._was_paid(job, record, cost)
        self._schedule.drop(job)
        job.task_id, job.credits = record.task_id, record.credits
        error: MusicError | None = None
        why = record.error or "the journal does not say why"
        if record.state is JobState.FAILED:
            error = JobFailed(job, why, refunded=record.refunded)
        elif record.state is JobState.UNKNOWN:
            error = SubmissionUnknown(job, why)
        job._recall(record.answer, error, record.state)

    def _take_id(self, job: Job[Any], record: JobRecord) -> None:
        job.credits = record.credits
        if record.task_id is not None and job.task_id is None:
            job._take_id(record.task_id, cost=record.credits)

    def _was_paid(self, job: Job[Any], record: JobRecord, cost: int) -> None:
        order = self._orders.get(job)
        if order is not None and order.budget is not None:
            self._purse.was_paid(job, record.id, cost, order.budget)
