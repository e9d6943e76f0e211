"""Faults that the package once had, to be put back in for a while: what looks for faults must find them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs

from aimusic_async.events import JobState
from aimusic_async.jobs import ending, lifecycle
from aimusic_async.jobs.dispatcher import Dispatcher
from aimusic_async.journal import steps


@contextmanager
def put_back_in(name: str) -> Iterator[None]:
    """Put a fault back in; it is gone again at the end of the block."""
    changes = OLD_FAULTS[name]()
    before = [(owner, attribute, getattr(owner, attribute)) for owner, attribute, _ in changes]
    try:
        for owner, attribute, new in changes:
            setattr(owner, attribute, new)
        yield
    finally:
        for owner, attribute, old in before:
            setattr(owner, attribute, old)


def late_refusal() -> list[tuple[Any, str, Any]]:
    """A late word about one attempt touches another one: whoever was sending, and whichever attempt it was."""

    def back(record: Any, owner: str, attempt: int, error: str, now: float) -> Any:
        if record is None or record.state not in (JobState.SENDING, JobState.UNKNOWN):
            return record
        return attrs.evolve(record, state=JobState.QUEUED, owner=owner, error=error, updated=now)

    return [(steps, "_back", back)]


def budget_snapshot() -> list[tuple[Any, str, Any]]:
    """Each process counts what it spends itself, and does not see what others spend out of the same budget."""
    original = steps.Begin.after
    spent: Counter[tuple[str, str]] = Counter()

    def after(step: Any, record: Any, moment: Any) -> Any:
        exceeded = {
            scope: 0
            for scope, limit in step.limits.items()
            if record is not None and spent[step.owner, scope] + record.cost > limit
        }
        changed = original(attrs.evolve(step, limits=exceeded), record, moment)
        if changed is not record and changed.state is JobState.SENDING:
            for scope in step.limits:
                spent[step.owner, scope] += changed.cost
        return changed

    return [(steps.Begin, "after", after)]


def missing_wake_up() -> list[tuple[Any, str, Any]]:
    """Who waits for a job sleeps for ever when the step of its end cannot be built."""
    original = ending.finished

    def finished(work: Any, failure: Any) -> Any:
        if work.id is not None:
            json.dumps(work.raw)
        return original(work, failure)

    def broken(_self: Any, work: Any, _error: Exception) -> list[Any]:
        work.state = JobState.SUCCEEDED
        return []

    users = [module for module in (ending, lifecycle) if getattr(module, "finished", None) is original]
    return [*((module, "finished", finished) for module in users), (Dispatcher, "_broken", broken)]


OLD_FAULTS: Mapping[str, Callable[[], list[tuple[Any, str, Any]]]] = {
    "late-refusal": late_refusal,
    "budget-snapshot": budget_snapshot,
    "missing-wake-up": missing_wake_up,
}
