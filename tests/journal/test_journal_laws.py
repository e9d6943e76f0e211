"""Laws that hold whatever happens, in whatever order; and all journals agree."""

import asyncio
import contextlib
import tempfile
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aimusic_async.events import JobState
from aimusic_async.journal.leases import LEASE, SENDING_LEASE
from aimusic_async.journal.record import group_scope
from aimusic_async.journal.steps import (
    Accepted,
    Begin,
    Enter,
    Finished,
    NotBegun,
    OutcomeUnknown,
    Refused,
    Released,
    Settled,
)

from .places import ACCOUNT, PLACES, one, record

FINAL = {JobState.SUCCEEDED, JobState.FAILED}
BEFORE_SENDING = {JobState.QUEUED, JobState.CANCELLED}
ALBUM = "album"
LIMIT = 25

names = st.sampled_from([("a", ""), ("b", ALBUM), ("c", ALBUM), ("d", ALBUM)])
ids = names.map(lambda name: one(*name))
owners = st.sampled_from(["anna", "bert"])
attempts = st.sampled_from([1, 1, 2, 3])
tasks = st.sampled_from(["t1", "t2", "t3"])
flags = st.booleans()
resends = st.sets(st.sampled_from([JobState.UNKNOWN, JobState.FAILED]))
entries = st.builds(
    lambda name, owner, free, resend: Enter(
        record(name[0], group=name[1], owner=owner, repeatable=free), resend=frozenset(resend)
    ),
    names, owners, flags, resends,
)  # fmt: skip
begins = st.builds(Begin, ids, owners, attempts, st.sampled_from([{}, {group_scope(ALBUM): LIMIT}]))
answers = st.one_of(
    st.builds(Accepted, ids, tasks, owner=owners, attempt=attempts),
    st.builds(Accepted, ids, tasks),
    st.builds(Refused, ids, owners, attempts, st.just("busy"), flags),
    st.builds(NotBegun, ids, owners, attempts, st.just("given up")),
    st.builds(OutcomeUnknown, ids, owners, attempts, st.just("lost")),
    st.builds(
        Finished,
        ids,
        st.just("{}"),
        error=st.sampled_from([None, "too loud"]),
        refunded=st.none() | flags,
        task_id=st.none() | tasks,
    ),
    st.builds(Released, ids, owners, cancelled=flags),
    st.builds(Settled, ids, attempts, st.none() | tasks),
)
steps = st.one_of(entries, begins, answers)
acts = st.one_of(
    st.tuples(st.just("apply"), st.lists(steps, min_size=1, max_size=6)),
    st.tuples(st.just("beat"), owners, flags),
    st.tuples(st.just("wait"), st.sampled_from([1, LEASE, SENDING_LEASE])),
    st.tuples(st.just("set the clock"), st.sampled_from([-7200, 7200])),
    st.tuples(st.just("prune"), st.sampled_from([0, 20])),
)


async def carry_out(journal, place, act):
    match act:
        case "apply", several:
            return await journal.apply(several)
        case "beat", owner, alive:
            return await journal.beat(owner, ACCOUNT, alive=alive)
        case "wait", seconds:
            return await place.wait(seconds)
        case "prune", seconds:
            return await journal.prune(ACCOUNT, older_than=seconds)
        case _, seconds:
            place.time += seconds
            return None


def task_ids(record):
    return {record.task_id, *record.former_ids} - {None}


def check_change(step, before, after):
    """Hold one change against what must be true of all changes."""
    attempt = (getattr(step, "owner", None), getattr(step, "attempt", None))
    own = (before.sender, before.attempts) == attempt
    resent = isinstance(step, Enter) and (
        before.state in step.resend
        or (before.state is JobState.SENDING and (before.repeatable or JobState.UNKNOWN in step.resend))
    )
    untaken = isinstance(step, Refused | NotBegun) and own
    if before.state is JobState.UNKNOWN and after.state in BEFORE_SENDING:
        assert resent or untaken or (isinstance(step, Settled) and step.attempt == before.attempts)
    elif before.state not in BEFORE_SENDING and after.state in BEFORE_SENDING:
        assert resent or untaken
    if isinstance(step, NotBegun | Refused | OutcomeUnknown) and not own:
        assert after == before
    if before.state in FINAL and (after.state, after.answer, after.credits) != (
        before.state, before.answer, before.credits
    ):  # fmt: skip
        assert resent
    if before.task_id is not None and after.task_id != before.task_id:
        assert resent or (isinstance(step, Accepted) and own)
    if after.state is JobState.SENDING and before.state is not JobState.SENDING:
        assert isinstance(step, Begin)
        assert (before.state, before.owner, before.attempts) == (JobState.QUEUED, step.owner, step.attempt - 1)
    if after.state is JobState.SUBMITTED:
        assert after.task_id is not None
    assert task_ids(before) <= task_ids(after)
    if isinstance(step, Finished | Accepted) and getattr(step, "task_id", None) in before.former_ids:
        assert after == before
    assert after.credits - before.credits in (0, after.cost, -after.cost)
    assert after.credits >= 0
    assert after.credits == before.credits or resent or isinstance(step, Accepted | Finished | Settled)
    assert 0 <= after.presumed <= after.attempts
    assert after.attempts == before.attempts + (isinstance(step, Begin) and after.state is JobState.SENDING) * (
        after != before
    )
    assert all(getattr(after, name) == getattr(before, name) for name in ("created", "id", "group", "key", "request"))


class Books:
    """What was heard of all jobs so far, kept beside the journals."""

    def __init__(self):
        self.known = {}
        self.pruned = Counter()
        self.sequence = 0

    def add(self, step, outcome):
        before, after = self.known.get(step.id), outcome.record
        assert outcome.error is None
        assert outcome.changed == (after != before)
        if outcome.changed:
            assert after.sequence == self.sequence + 1
            self.sequence = after.sequence
        if before is not None:
            check_change(step, before, after)
        if isinstance(step, Accepted) and after is not None:
            assert step.task_id in task_ids(after)
        if isinstance(step, Begin) and outcome.changed and step.begun(after) and step.limits:
            others = [each for each in self.known.values() if each.group == ALBUM and each.id != after.id]
            committed = sum(each.committed for each in others) + self.pruned[ALBUM]
            assert committed + after.committed <= LIMIT or after.group != ALBUM
        if after is not None:
            self.known[step.id] = after

    def prune(self, left):
        for gone in self.known.keys() - {kept.id for kept in left}:
            assert self.known[gone].state in FINAL | {JobState.CANCELLED}
            self.pruned[self.known[gone].group] += self.known.pop(gone).credits

    def check_ledgers(self, ledgers):
        of_album = [kept for kept in self.known.values() if kept.group == ALBUM]
        ledger = ledgers.get(group_scope(ALBUM))
        spent, at_risk = (ledger.spent, ledger.at_risk) if ledger else (0, 0)
        assert spent == sum(kept.credits for kept in of_album) + self.pruned[ALBUM]
        assert at_risk == sum(kept.at_risk for kept in of_album)
        assert ledgers.keys() <= {group_scope(ALBUM)}


def recent(owners):
    """Leave out whom a journal may have forgotten."""
    return {name: silence for name, silence in owners.items() if silence <= SENDING_LEASE}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(acts, max_size=25))
def test_whatever_happens_all_journals_agree_and_the_laws_hold(plan):
    async def main(folder):
        places = [place(folder) for place in PLACES]
        books = Books()
        async with contextlib.AsyncExitStack() as stack:
            journals = [await stack.enter_async_context(place.open()) for place in places]
            for act in plan:
                results = [
                    await carry_out(journal, place, act) for journal, place in zip(journals, places, strict=True)
                ]
                assert all(result == results[0] for result in results)
                if act[0] == "apply":
                    for step, outcome in zip(act[1], results[0], strict=True):
                        books.add(step, outcome)
                found = [await journal.find(ACCOUNT, after=0) for journal in journals]
                assert all(each == found[0] for each in found)
                if act[0] == "prune":
                    books.prune(found[0])
                assert sorted(books.known) == sorted(kept.id for kept in found[0])
                for journal in journals:
                    books.check_ledgers(await journal.ledgers(ACCOUNT))
                    assert await journal.latest() == books.sequence
                owners = [await journal.owners(ACCOUNT) for journal in journals]
                assert all(recent(each) == recent(owners[0]) for each in owners)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(folder))
