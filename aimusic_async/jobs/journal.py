"""What is written down about a job, and what each step makes of it. Pure; a `JobJournal` keeps it.

The rules are all here, as steps: values that turn the record of a job into the next one. A journal only has to read a
record, ask the step, and keep the answer, as one atomic and durable act. So SQLite, or a server shared by many
machines, differ in how they store and in nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import attrs

from ..events import JobState

Alive: TypeAlias = Callable[[str], bool]
"""Whether an owner's lease still runs."""

ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
"""States in which a record may be pruned: nothing is open, and nobody has to look."""

OPEN = frozenset({JobState.QUEUED, JobState.SENDING, JobState.SUBMITTED})
"""States in which there is something left to do."""

_FINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED})
_DIED = "the process that sent it ended before the answer came"


@attrs.frozen(kw_only=True)
class JobRecord:
    """What a journal knows of one job. It holds no API key and no secret.

    Times are Unix seconds of the journal's clock. `state` is never `detached`: a job that nobody watches any more is
    `submitted`, without an `owner`.
    """

    id: str
    """Follows from account, group and key: see `record_id`."""
    account: str
    """A hash of the API key."""
    group: str
    """The group's name; empty outside of a named group."""
    key: str
    """The job's own name, unique in its group."""
    operation: str
    """Such as `sonic.create_music`."""
    request: str | None = attrs.field(default=None, repr=False)
    """The request as JSON, secrets left out; None when the job was attached by its task id."""
    cost: int = 0
    """Credits that it costs when the service takes it, as priced here."""
    repeatable: bool = False
    """Whether sending it a second time costs nothing."""
    state: JobState = JobState.QUEUED
    owner: str | None = None
    """The session that works on it."""
    task_id: str | None = None
    """The service's id, once it took the job."""
    former: str = ""
    """Ids of tasks of earlier attempts, each with a space before it: what is told of those is not told of this one."""
    credits: int = 0
    """Credits charged for all attempts, as priced here, refunds taken off; an attempt in doubt that was followed by
    another counts as charged."""
    answer: str | None = attrs.field(default=None, repr=False)
    """The service's last answer as JSON, when the job has ended."""
    error: str | None = None
    """What went wrong last."""
    refunded: bool | None = None
    """Whether a failure was refunded; None when the service did not say."""
    attempts: int = 0
    """How often it was about to be sent."""
    created: float = 0.0
    updated: float = 0.0
    accepted: float | None = None
    """When the service took it."""

    def fields(self) -> dict[str, Any]:
        """Return the request's fields, `op` among them; empty when the job was attached."""
        known: dict[str, Any] = json.loads(self.request) if self.request else {}
        return known


def record_id(account: str, group: str, key: str) -> str:
    """Return the id of a job's record: 32 characters that tell nothing of the names and fit into an address."""
    return hashlib.sha256(json.dumps([account, group, key]).encode()).hexdigest()[:32]


def account_name(api_key: str) -> str:
    """Return the name under which an account's jobs are kept: 16 characters, from which no key can be had."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:16]


def as_text(plain: Mapping[str, Any]) -> str:
    """Write a request down so that equal requests are equal texts."""
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    readable = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return readable if readable.encode(errors="replace").decode() == readable else text  # half characters stay escaped


class Step(Protocol):
    """One thing that happens to a job. It is applied by a journal, in one atomic act."""

    @property
    def id(self) -> str:
        """The record's id."""
        ...

    def after(self, record: JobRecord | None, *, now: float, alive: Alive) -> JobRecord | None:
        """Return the record as it is after this step; the very same object when nothing changes.

        `record` is None when there is none. `now` is the journal's clock.
        """
        ...


@attrs.frozen
class Outcome:
    """What a step came to."""

    record: JobRecord | None
    """The record after it; None when there is none."""
    changed: bool
    """Whether the step changed anything: of several processes that try the same, one succeeds."""


class JobJournal(Protocol):
    """Keeps the records of jobs, for one process or for many. Write your own to keep them elsewhere.

    Whatever cannot be done raises `JournalError`. Cancelling a call leaves open whether it was carried out.
    """

    async def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        """Carry out steps in order, each one atomic; all are durable (synced) when this returns."""
        ...

    async def find(
        self,
        account: str,
        *,
        group: str | None = None,
        states: Collection[JobState] | None = None,
        key: str | None = None,
        task_id: str | None = None,
        changed_since: float | None = None,
        limit: int | None = None,
    ) -> Sequence[JobRecord]:
        """Return the records of an account that fit all that is given, the oldest first.

        `changed_since`: a time on the journal's clock, as in `JobRecord.updated`.
        """
        ...

    async def prune(self, account: str, *, older_than: float) -> int:
        """Remove what ended (`ENDED`) more than so many seconds ago; return how many records that were."""
        ...

    async def lease(self, owner: str, seconds: float) -> None:
        """Say that an owner lives, and will say so again within so many seconds; 0: it has ended."""
        ...

    async def save(self, account: str, name: str, text: str) -> None:
        """Keep a text under a name; for what a session learned."""
        ...

    async def load(self, account: str, name: str) -> str | None:
        """Return the text of that name, None when there is none."""
        ...


# --- the steps -----------------------------------------------------------------------------------------------------


@attrs.frozen
class Enter:
    """A session wants to work on a job: its record is made, or taken over from an owner that is no more."""

    record: JobRecord
    """As it is to be when there is none yet; its `owner` is the session."""
    resend: Collection[JobState] = ()
    """Of `unknown` and `failed`: from which of them it is to be sent anew, and perhaps paid anew."""

    @property
    def id(self) -> str:
        """See `Step.id`."""
        return self.record.id

    def after(self, record: JobRecord | None, *, now: float, alive: Alive) -> JobRecord | None:
        """See `Step.after`."""
        if record is None:
            return attrs.evolve(self.record, created=now, updated=now)
        if self.contradicts(record):
            return record

        others = record.owner is not None and record.owner != self.record.owner
        if record.state in OPEN and others and alive(record.owner or ""):
            return record
        # Who enters a job works on it no more, or not yet: a session enters each only once at a time.
        mine: dict[str, Any] = {"owner": self.record.owner, "updated": now}
        if record.state is JobState.SENDING:
            # Nearly always it was charged: what may be paid for is never sent again by itself.
            state = JobState.QUEUED if record.repeatable else JobState.UNKNOWN
            record = attrs.evolve(record, state=state, owner=None, error=_DIED, updated=now)
        if record.state in self.resend and record.state in (JobState.UNKNOWN, JobState.FAILED):
            in_doubt = record.state is JobState.UNKNOWN
            anew: dict[str, Any] = {
                "state": JobState.QUEUED,
                "task_id": None,
                "former": f"{record.former} {record.task_id}" if record.task_id else record.former,
                "credits": record.credits + record.cost * in_doubt,
                "answer": None,
                "refunded": None,
                "accepted": None,
            }
            return attrs.evolve(record, **anew, **mine)
        if record.state is JobState.CANCELLED:
            return attrs.evolve(record, state=JobState.QUEUED, **mine)
        if record.state in OPEN and record.owner != self.record.owner:
            return attrs.evolve(record, **mine)
        return record

    def contradicts(self, record: JobRecord) -> bool:
        """Whether the key belongs to another request already, or to another task."""
        mine, there = self.record.request, record.request
        same = self.record.task_id == record.task_id if mine is None else there in (None, mine)
        return not same or self.record.operation != record.operation


@attrs.frozen
class Begin:
    """The POST is about to leave. Who sees `changed` may send it; nobody else may."""

    id: str
    owner: str

    def after(self, record: JobRecord | None, *, now: float, alive: Alive) -> JobRecord | None:  # noqa: ARG002
        """See `Step.after`."""
        if record is None or record.state is not JobState.QUEUED or record.owner != self.owner:
            return record
        sending: dict[str, Any] = {"state": JobState.SENDING, "attempts": record.attempts + 1, "error": None}
        return attrs.evolve(record, **sending, updated=now)


@attrs.frozen
class Accepted:
    """The service has the job, under a task id; also when that was in doubt before.

    With an `owner`, that one goes on with it when nobody else does.
    """

    id: str
    task_id: str
    owner: str | None = None

    def after(self, record: JobRecord | None, *, now: float, alive: Alive) -> JobRecord | None:  # noqa: ARG002
        """See `Step.after`."""
        if record is None or record.state in _FINAL or record.task_id is not None:
            return record
        if self.task_id in record.former.split():
            return record
        return attrs.evolve(
            record,
            state=JobState.SUBMITTED,
            owner=record.owner or self.owner,
            task_id=self.task_id,
            credits=record.credits + record.cost,
            error=None,
            accepted=now,
            updated=now,
        )


@attrs.frozen
class Refused:
    """The service surely did not take the job. It may be sent again, by this owner or, if it is `left`, by any.

    With an `attempt`, a word that comes too late changes nothing: a later attempt may be in doubt by then.
    """

    id: str
    owner: str
    error: str
    left: bool = False
    attempt: int | None = None

    def after(self, record: JobRecord | None, *, now: float, alive: Alive) -> JobRecord | None:  # noqa: ARG002
        """See `Step.after`."""
        sent = (JobState.SENDING, JobState.UNKNOWN)
        if record is None or record.state not in sent or record.owner not in (self.owner, None):
            return record
        if self.attempt not in (None, record.attempts):
            return record
        owner = None if self.left else self.owner
        return attrs.evolve(record, state=JobState.QUEUED, owner=owner, error=self.error, updated=now)


@attrs.frozen
class Doubted:
    """The answer to the POST was lost: the service may have the job."""

    id: str
    owner: str
    error: str

    def after(self, record: JobRecord | None, *, now: float, alive: Alive) -> JobRecord | None:  # noqa: ARG002
        """See `Step.after`."""
        if record is None or record.state is not JobState.SENDING or record.owner != self.owner:
            return record
        return attrs.evolve(record, state=JobState.UNKNOWN, owner=None, error=self.error, updated=now)


@attrs.frozen
class Finished:
    """The job has ended at the service, with a result or an `error`. With a `task_id`: only if that is its task."""

    id: str
    answer: str | None
    error: str | None = None
    refunded: bool | None = None
    task_id: str | None = None

    def after(self, record: JobRecord | None, *, now: float, alive: Alive) -> JobRecord | None:  # noqa: ARG002
        """See `Step.after`."""
        if record is None or record.state in _FINAL:
            return record
        if self.task_id is not None and record.task_id not in (None, self.task_id):
            return record
        if self.task_id is not None and self.task_id in record.former.split():
            return record
        paid = record.credits + record.cost * (record.task_id is None)
        if self.error is not None and self.refunded is not False:
            paid -= record.cost  # a task that failed is refunded, whether the service tells so or not
        return attrs.evolve(
            record,
            state=JobState.SUCCEEDED if self.error is None else JobState.FAILED,
            owner=None,
            task_id=record.task_id or self.task_id,
            answer=self.answer,
            credits=paid,
            error=self.error,
            refunded=self.refunded,
            updated=now,
        )


@attrs.frozen
class Released:
    """Its owner works on the job no more: whoever enters it goes on, unless it was `cancelled` before it was sent."""

    id: str
    owner: str
    cancelled: bool = False
    error: str | None = None

    def after(self, record: JobRecord | None, *, now: float, alive: Alive) -> JobRecord | None:  # noqa: ARG002
        """See `Step.after`."""
        if record is None or record.owner != self.owner or record.state is JobState.SENDING:
            return record
        state = JobState.CANCELLED if self.cancelled and record.state is JobState.QUEUED else record.state
        return attrs.evolve(record, state=state, owner=None, error=self.error or record.error, updated=now)
