"""Do the service's books, the journal and the jobs agree at the end of a world?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aimusic_async import JobState
from aimusic_async.errors import BudgetExceeded

from .service import Arrival, Order, Task
from .virtual import now

if TYPE_CHECKING:
    from .voyages import World

_CLOSE = 1e-6
"""Seconds within which two times are the same."""


async def reckon(world: World) -> None:
    """Compare, and note every fault."""
    records = list(world.journal._records.values())
    for text in too_fast(world.service.arrivals, world.bucket.rate, world.bucket.capacity):
        world.fault(text)
    by_order = {Order(record.group, record.key): record for record in records}
    known = {one for record in records for one in (record.task_id, *record.former.split()) if one}
    for task in world.service.tasks.values():
        state = by_order[task.order].state if task.order in by_order else "not in the journal"
        if task.id not in known and state is not JobState.UNKNOWN:
            world.fault(f"lost: {task.id} of {task.order}, which is {state}")
    for order in world.orders:
        if why := _wrong(world, order, by_order.get(order)):
            world.fault(f"{why}: {order}; the journal: {by_order.get(order)}; the books: {world.service.of(order)}")
    if hasattr(world.journal, "ledgers"):
        await _check_ledgers(world, records)


def _wrong(world: World, order: Order, record: Any) -> str | None:
    """Say what is wrong with an order, None when nothing is."""
    tasks, job = world.service.of(order), world.last.get(order)
    if record is None or job is None:
        return "not in the journal"
    task = world.service.tasks.get(record.task_id or "")
    if record.state in (JobState.QUEUED, JobState.CANCELLED):
        if not isinstance(job.exception(), BudgetExceeded):
            return "was never sent" if not tasks else "was paid, and would be sent again"
        return _wrongly_refused(world, order, record)
    if record.state in (JobState.UNKNOWN, JobState.SENDING):
        return f"is {record.state} although all was calm"
    if task is None:
        return "has no task"
    if record.state is JobState.SUBMITTED:
        kept = task.fate == "vanishes" or task.odd == "deep"  # an answer that cannot be written down is polled again
        return None if kept else "has ended, and the journal does not know"
    if record.state is not {"succeeds": JobState.SUCCEEDED}.get(task.fate, JobState.FAILED):
        return f"{record.state}, and the task {task.fate}"
    return _wrong_credits(record, tasks) or _wrong_result(record, job, task)


def _wrong_credits(record: Any, tasks: Sequence[Task]) -> str | None:
    if record.request is None or not hasattr(record, "presumed"):
        return None
    paid = sum(task.net(now()) for task in tasks)
    counted = record.credits - record.cost * record.presumed
    return None if counted == paid else f"counts {counted} credits, and {paid} were paid"


def _wrong_result(record: Any, job: Any, task: Task) -> str | None:
    error = job.exception()
    if record.state is JobState.FAILED:
        return None if error is not None else "failed, and its job succeeded"
    if error is not None:
        return f"succeeded, and its job ended with {error!r}"
    if task.odd:
        return None
    has = job.task_id, {clip.clip_id for clip in job.clips}
    return None if has == (task.id, {f"{task.id}-1", f"{task.id}-2"}) else f"has the result of {has}"


def _wrongly_refused(world: World, order: Order, record: Any) -> str | None:
    """Say why a budget should not have refused it."""
    limit = world.limits.get(order.group)
    if limit is None:
        return "was refused by a budget that nobody named"
    mates = [one for one in world.journal._records.values() if one.group == order.group]
    failed = [
        task.id for task in world.service.tasks.values() if task.order.group == order.group and task.fate == "fails"
    ]
    if any(world.finished_at.get(one, 0.0) > world.last_since for one in failed):
        return None  # credits may have come back after it was refused
    committed = sum(one.credits + one.cost * (one.state in (JobState.SENDING, JobState.UNKNOWN)) for one in mates)
    return None if committed + record.cost > limit else f"was refused by a budget with room: {committed} of {limit}"


def too_fast(arrivals: Sequence[Arrival], rate: float, capacity: int) -> list[str]:
    """Say where requests came in faster than a bucket of that rate and capacity lets them."""
    wrong, full_at = [], float("-inf")
    for arrival in arrivals:
        if full_at - arrival.at > (capacity - 1) / rate + _CLOSE:
            early = full_at - arrival.at - (capacity - 1) / rate
            wrong.append(f"too fast: the {arrival.method} at {arrival.at:.3f} by {arrival.by} was {early:.3f} s early")
        full_at = max(full_at, arrival.at) + 1 / rate
    return wrong[:3]


async def _check_ledgers(world: World, records: Sequence[Any]) -> None:
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for record in records:
        for scope in record.scopes:
            sums[record.account, scope][0] += record.credits
            sums[record.account, scope][1] += record.at_risk
    for account in {record.account for record in records}:
        ledgers = await world.journal.ledgers(account)
        for scope, ledger in ledgers.items():
            spent, at_risk = sums.pop((account, scope), [0, 0])
            if (ledger.spent, ledger.at_risk) != (spent, at_risk):
                world.fault(f"ledger: {scope} says {ledger}, its records {spent} spent and {at_risk} at risk")
    for (_, scope), (spent, at_risk) in sums.items():
        if spent or at_risk:
            world.fault(f"ledger: {scope} has none, its records {spent} spent and {at_risk} at risk")
