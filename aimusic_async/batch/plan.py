"""What a batch will send, cost and take, by what the journal knows and what was learned about durations. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import attrs

from ..api.plain import to_plain
from ..api.pricing import cost_of
from ..api.request import Answer
from ..api.results import Credits
from ..events import JobState
from ..journal.record import JobRecord, as_text
from ..manifest import Fault, Row
from ..manifest.faults import shown
from ..manifest.rows import KEY
from ..scheduling.durations import Durations, TaskKind

POLLS = 1.1
"""Polls that a task takes while others wait to be submitted: hardly any of them misses."""
_INTERVAL = 15.0
"""Seconds between two polls of one task when nothing else is to be sent."""
_REPEATED = 2
"""Requests that an operation takes that is asked for until its result is ready."""
_TOO_LATE = 4.0
"""Multiple of the typical duration: a task seen to end so late had ended while nobody polled, which teaches nothing."""
_READY = 15.0
"""Seconds after which such a result is usually ready."""
_NEARLY_ALL = 0.9
"""Share of the tasks that are done by the predicted time."""


class Standing(StrEnum):
    """How a row stands before a run."""

    NEW = "to be sent"
    RUNNING = "running"
    """The service has it: it is polled until it ends, and costs nothing more."""
    DONE = "done"
    FAILED = "failed"
    """In an earlier run; it is sent again only on request."""
    UNKNOWN = "unknown"
    """In an earlier run: the service may have taken and charged it."""
    BLOCKED = "blocked"
    """Waits for the result of a row that has failed."""


@attrs.frozen(kw_only=True)
class Share:
    """What one operation has in a plan."""

    operation: str
    jobs: int
    credits: int


@attrs.frozen(kw_only=True)
class Forecast:
    """About how many requests, and how many of the service's seconds, the rest will take."""

    requests: int
    seconds: float


@attrs.frozen(kw_only=True)
class Plan:
    """What a run will do."""

    standings: Mapping[str, Standing] = attrs.field(repr=False)
    """How each row stands, by its key."""
    shares: tuple[Share, ...]
    """What is to be sent."""
    balance: Credits | None
    """What the account has; None when nobody asked."""
    polled: Forecast
    """How it will go without a webhook."""
    with_webhook: Forecast
    """How it will go with one: the service reports the end of each task, nothing is polled."""
    conflicts: tuple[Fault, ...] = ()
    """Rows whose keys belong to other requests in the journal."""

    @property
    def jobs(self) -> int:
        """How many jobs are to be sent."""
        return sum(share.jobs for share in self.shares)

    @property
    def credits(self) -> int:
        """What they cost together, as priced here."""
        return sum(share.credits for share in self.shares)

    @property
    def missing(self) -> int:
        """Credits that the account lacks; 0 when it has enough, or when nobody asked."""
        return 0 if self.balance is None else max(0, self.credits - self.balance.total)

    def count(self, standing: Standing) -> int:
        """Return how many rows have this standing."""
        return Counter(self.standings.values())[standing]


def make_plan(
    rows: Sequence[Row],
    records: Iterable[JobRecord],
    *,
    balance: Credits | None,
    durations: Durations,
    period: float,
    resend: Collection[JobState] = (),
    prices: Mapping[str, int] | None = None,
) -> Plan:
    """Plan a run of rows, each after those that it waits for.

    `records`: what the journal knows about the group. `period`: seconds from one request to the next. `resend`: which
    of `unknown` and `failed` to send again. `prices`: the session's.
    """
    known = {record.key: record for record in records}
    standings: dict[str, Standing] = {}
    jobs, costs = Counter[str](), Counter[str]()
    conflicts: list[Fault] = []
    for row in rows:
        record = known.get(row.key)
        if record is not None and (fault := _conflict(row, record)):
            conflicts.append(fault)
        standing = _standing(record, resend)
        stuck = (Standing.FAILED, Standing.UNKNOWN, Standing.BLOCKED)
        if standing is Standing.NEW and any(standings[source] in stuck for source in row.sources):
            standing = Standing.BLOCKED
        standings[row.key] = standing
        if standing is Standing.NEW:
            jobs[row.operation.operation] += 1
            costs[row.operation.operation] += cost_of(row.request or row.operation, prices or {}, row.fields.get("mv"))
    left = {row.key: row for row in rows if standings[row.key] in (Standing.NEW, Standing.RUNNING)}
    ages = {key: 0.0 for key in left if standings[key] is Standing.RUNNING}
    return Plan(
        standings=standings,
        shares=tuple(Share(operation=name, jobs=count, credits=costs[name]) for name, count in jobs.items()),
        balance=balance,
        polled=forecast(left.values(), ages, durations, period),
        with_webhook=forecast(left.values(), ages, durations, period, webhook=True),
        conflicts=tuple(conflicts),
    )


def _standing(record: JobRecord | None, resend: Collection[JobState]) -> Standing:
    if record is None or record.state in resend:
        return Standing.NEW
    match record.state:
        case JobState.SUCCEEDED:
            return Standing.DONE
        case JobState.FAILED:
            return Standing.FAILED
        case JobState.UNKNOWN:
            return Standing.UNKNOWN
        case JobState.SUBMITTED:
            return Standing.RUNNING
        case JobState.SENDING if not record.repeatable:  # by another process, or by one that died
            return Standing.UNKNOWN
        case _:
            return Standing.NEW


def _conflict(row: Row, record: JobRecord) -> Fault | None:
    """Return the fault of a row whose request differs from that of the job under its key; references are not compared.

    What a reference stands for may not be known yet: then the journal refuses the row when it is submitted.
    """
    differ: list[str] = []
    operation = row.operation.operation
    if record.operation != operation:
        differ.append(f"op was {record.operation}, is {operation}")
    elif row.request is not None and record.request is not None:
        was, now = record.fields(), json.loads(as_text(to_plain(row.request)))
        names = [name for name in sorted({*was, *now}) if was.get(name) != now.get(name)]
        differ += [f"{name} was {shown(was.get(name))}, is {shown(now.get(name))}" for name in names]
    if not differ:
        return None
    what = f"{shown(row.key)} belongs to another request in the journal: {'; '.join(differ)}"
    return Fault(row.place, KEY, f"{what}. Give the changed row a key of its own, or change it back")


# --- how long --------------------------------------------------------------------------------------------------------


def kind_of(operation: str, model: Any, typical: float) -> TaskKind:
    """Return the kind of task whose durations are learned together."""
    return TaskKind(f"{operation} {model}" if isinstance(model, str) else operation, typical)


def forecast(
    rows: Iterable[Row],
    ages: Mapping[str, float],
    durations: Durations,
    period: float,
    *,
    webhook: bool = False,
) -> Forecast:
    """Predict what unfinished rows, each after those that it waits for, will take; `ages` are of those that run.

    It is the greater of two: all requests, one after the other; or all submits, and then the longest chain of tasks
    that wait for each other. Tokens that remain are spent on polls, as long as there is a task to poll.
    """
    sends, tasks, wait, running = 0, 0, 0.0, 0.0
    ends: dict[str, float] = {}
    for row in rows:
        age, answer = ages.get(row.key), row.operation.endpoint.answer
        if age is None:
            sends += _REPEATED if answer is Answer.REPEAT else 1
        takes = _READY if answer is Answer.REPEAT else 0.0
        if answer is Answer.TASK:
            guess = durations.of(_kind(row))
            tasks, running = tasks + 1, running + guess.median
            takes = guess.age_at(_NEARLY_ALL, since=age or 0.0) - (age or 0.0)
        ends[row.key] = max((ends.get(source, 0.0) for source in row.sources), default=0.0) + takes
        wait = max(wait, ends[row.key])
    polls = 0.0 if webhook else POLLS * tasks
    seconds = max((sends + polls) * period, sends * period + wait)
    if not webhook:
        polls += min(seconds / period - sends - polls, running / _INTERVAL)
    return Forecast(requests=round(sends + polls), seconds=seconds)


def _kind(row: Row) -> TaskKind:
    return kind_of(row.operation.operation, row.fields.get("mv"), row.operation.endpoint.typical)


def learn(durations: Durations, records: Iterable[JobRecord], *, speed: float) -> None:
    """Learn from the jobs of earlier runs how long their tasks took."""
    for record in records:
        if record.state is JobState.SUCCEEDED and record.accepted is not None and record.task_id is not None:
            fields, age = record.fields(), (record.updated - record.accepted) * speed
            kind = kind_of(record.operation, fields.get("mv"), _typical(record.operation))
            if age < _TOO_LATE * kind.typical:
                before = max(0.0, age - _INTERVAL)
                durations.observe(kind, since=0.0, age=before, finished=False)
                durations.observe(kind, since=before, age=age, finished=True)


def _typical(operation: str) -> float:
    from ..api.operations import operations  # noqa: PLC0415 - loads the operations

    cls = operations().get(operation)
    return 0.0 if cls is None else cls.endpoint.typical
