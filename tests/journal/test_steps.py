"""What each step makes of each job: of every state, owner and attempt, on every journal."""

import itertools

import pytest

from aimusic_async.events import JobState
from aimusic_async.journal.budget import Ledger
from aimusic_async.journal.protocol import Outcome
from aimusic_async.journal.steps import (
    Accepted,
    Begin,
    Enter,
    Finished,
    Moment,
    NotBegun,
    OutcomeUnknown,
    Refused,
    Released,
    Settled,
    apply,
)

from .places import ACCOUNT, Put, one, record

OWNERS = ["nobody", "dead", "theirs", "mine"]
STATES = [state for state in JobState if state is not JobState.DETACHED]
TASK = {JobState.SUBMITTED: "t0", JobState.SUCCEEDED: "t0", JobState.FAILED: "t0"}

ATTEMPTS = {
    # By what a job's latest attempt is named, who sent it and its number: the one that the step speaks of, or another.
    "same": [("mine", 1)],
    "other": [("mine", 2), ("theirs", 1), ("mine", 0)],
}
COUNTS = ATTEMPTS | {"other": [("mine", 2), ("mine", 0)]}  # for steps that ask for the number only

TABLES = {
    # From each state, of either attempt where it matters, and for each owner: the next state and owner; "-" where
    # nothing changes.
    "Enter": (
        Enter(record()),
        """
        from             nobody           dead             theirs           mine
        queued           queued mine      queued mine      -                -
        sending          unknown nobody   unknown nobody   -                unknown nobody
        submitted        submitted mine   submitted mine   -                -
        unknown          -                -                -                -
        succeeded        -                -                -                -
        failed           -                -                -                -
        cancelled        queued mine      queued mine      queued mine      queued mine
        """,
    ),
    "Enter, repeatable": (
        Enter(record()),
        """
        from             nobody           dead             theirs           mine
        queued           queued mine      queued mine      -                -
        sending          queued mine      queued mine      -                queued mine
        submitted        submitted mine   submitted mine   -                -
        unknown          -                -                -                -
        succeeded        -                -                -                -
        failed           -                -                -                -
        cancelled        queued mine      queued mine      queued mine      queued mine
        """,
    ),
    "Enter to send the unknown again": (
        Enter(record(), resend=[JobState.UNKNOWN]),
        """
        from             nobody           dead             theirs           mine
        queued           queued mine      queued mine      -                -
        sending          queued mine      queued mine      -                queued mine
        submitted        submitted mine   submitted mine   -                -
        unknown          queued mine      queued mine      queued mine      queued mine
        succeeded        -                -                -                -
        failed           -                -                -                -
        cancelled        queued mine      queued mine      queued mine      queued mine
        """,
    ),
    "Enter to send the failed again": (
        Enter(record(), resend=[JobState.FAILED]),
        """
        from             nobody           dead             theirs           mine
        queued           queued mine      queued mine      -                -
        sending          unknown nobody   unknown nobody   -                unknown nobody
        submitted        submitted mine   submitted mine   -                -
        unknown          -                -                -                -
        succeeded        -                -                -                -
        failed           queued mine      queued mine      queued mine      queued mine
        cancelled        queued mine      queued mine      queued mine      queued mine
        """,
    ),
    "Enter with another request": (
        Enter(record(request='{"op":"other"}'), resend=[JobState.FAILED, JobState.UNKNOWN]),
        """
        from             nobody           dead             theirs           mine
        queued           -                -                -                -
        sending          -                -                -                -
        submitted        -                -                -                -
        unknown          -                -                -                -
        succeeded        -                -                -                -
        failed           -                -                -                -
        cancelled        -                -                -                -
        """,
    ),
    "Begin": (
        Begin(one(), "mine", 2),
        """
        from             nobody           dead             theirs           mine
        queued same      -                -                -                sending mine
        queued other     -                -                -                -
        sending          -                -                -                -
        submitted        -                -                -                -
        unknown          -                -                -                -
        succeeded        -                -                -                -
        failed           -                -                -                -
        cancelled        -                -                -                -
        """,
    ),
    "Begin beyond a budget": (
        Begin(one(), "mine", 2, limits={"group:album": 9}),
        """
        from             nobody           dead             theirs           mine
        queued same      -                -                -                cancelled nobody
        queued other     -                -                -                -
        sending          -                -                -                -
        submitted        -                -                -                -
        unknown          -                -                -                -
        succeeded        -                -                -                -
        failed           -                -                -                -
        cancelled        -                -                -                -
        """,
    ),
    "NotBegun": (
        NotBegun(one(), "mine", 1, "given up"),
        """
        from             nobody           dead             theirs           mine
        queued           -                -                -                -
        sending same     queued mine      queued mine      queued mine      queued mine
        sending other    -                -                -                -
        submitted        -                -                -                -
        unknown same     queued mine      queued mine      queued mine      queued mine
        unknown other    -                -                -                -
        succeeded        -                -                -                -
        failed           -                -                -                -
        cancelled        -                -                -                -
        """,
    ),
    "Refused": (
        Refused(one(), "mine", 1, "busy"),
        """
        from             nobody           dead             theirs           mine
        queued           -                -                -                -
        sending same     queued mine      queued mine      queued mine      queued mine
        sending other    -                -                -                -
        submitted        -                -                -                -
        unknown same     queued mine      queued mine      queued mine      queued mine
        unknown other    -                -                -                -
        succeeded        -                -                -                -
        failed           -                -                -                -
        cancelled        -                -                -                -
        """,
    ),
    "Refused for what it asks": (
        Refused(one(), "mine", 1, "too rude", final=True),
        """
        from             nobody            dead              theirs            mine
        queued           -                 -                 -                 -
        sending same     cancelled nobody  cancelled nobody  cancelled nobody  cancelled nobody
        sending other    -                 -                 -                 -
        submitted        -                 -                 -                 -
        unknown same     cancelled nobody  cancelled nobody  cancelled nobody  cancelled nobody
        unknown other    -                 -                 -                 -
        succeeded        -                 -                 -                 -
        failed           -                 -                 -                 -
        cancelled        -                 -                 -                 -
        """,
    ),
    "OutcomeUnknown": (
        OutcomeUnknown(one(), "mine", 1, "the connection was lost"),
        """
        from             nobody           dead             theirs           mine
        queued           -                -                -                -
        sending same     unknown nobody   unknown nobody   unknown nobody   unknown nobody
        sending other    -                -                -                -
        submitted        -                -                -                -
        unknown          -                -                -                -
        succeeded        -                -                -                -
        failed           -                -                -                -
        cancelled        -                -                -                -
        """,
    ),
    "Settled: not taken": (
        Settled(one(), 1),
        """
        from             nobody           dead             theirs           mine
        queued           -                -                -                -
        sending          -                -                -                -
        submitted same   failed nobody    failed nobody    -                -
        submitted other  -                -                -                -
        unknown same     queued nobody    queued nobody    queued nobody    queued nobody
        unknown other    -                -                -                -
        succeeded        -                -                -                -
        failed           -                -                -                -
        cancelled        -                -                -                -
        """,
    ),
    "Settled: taken": (
        Settled(one(), 1, "t1"),
        """
        from             nobody            dead              theirs            mine
        queued           -                 -                 -                 -
        sending          -                 -                 -                 -
        submitted        -                 -                 -                 -
        unknown same     submitted nobody  submitted dead    submitted theirs  submitted mine
        unknown other    -                 -                 -                 -
        succeeded        -                 -                 -                 -
        failed           -                 -                 -                 -
        cancelled        -                 -                 -                 -
        """,
    ),
    "Accepted, by the answer": (
        Accepted(one(), "t1", "mine", 1),
        """
        from             nobody            dead              theirs            mine
        queued           submitted mine    submitted dead    submitted theirs  submitted mine
        sending          submitted mine    submitted dead    submitted theirs  submitted mine
        submitted same   submitted mine    submitted dead    submitted theirs  submitted mine
        submitted other  submitted nobody  submitted dead    submitted theirs  submitted mine
        unknown          submitted mine    submitted dead    submitted theirs  submitted mine
        succeeded        succeeded nobody  succeeded dead    succeeded theirs  succeeded mine
        failed           failed nobody     failed dead       failed theirs     failed mine
        cancelled        submitted mine    submitted dead    submitted theirs  submitted mine
        """,
    ),
    "Accepted, by a webhook": (
        Accepted(one(), "t1"),
        """
        from             nobody            dead              theirs            mine
        queued           submitted nobody  submitted dead    submitted theirs  submitted mine
        sending          submitted nobody  submitted dead    submitted theirs  submitted mine
        submitted        submitted nobody  submitted dead    submitted theirs  submitted mine
        unknown          submitted nobody  submitted dead    submitted theirs  submitted mine
        succeeded        succeeded nobody  succeeded dead    succeeded theirs  succeeded mine
        failed           failed nobody     failed dead       failed theirs     failed mine
        cancelled        submitted nobody  submitted dead    submitted theirs  submitted mine
        """,
    ),
    "Accepted, known already": (
        Accepted(one(), "t0", "mine", 1),
        """
        from             nobody            dead              theirs            mine
        queued           submitted mine    submitted dead    submitted theirs  submitted mine
        sending          submitted mine    submitted dead    submitted theirs  submitted mine
        submitted        -                 -                 -                 -
        unknown          submitted mine    submitted dead    submitted theirs  submitted mine
        succeeded        -                 -                 -                 -
        failed           -                 -                 -                 -
        cancelled        submitted mine    submitted dead    submitted theirs  submitted mine
        """,
    ),
    "Finished": (
        Finished(one(), '{"clips":[]}', task_id="t0"),
        """
        from             nobody            dead              theirs            mine
        queued           succeeded nobody  succeeded nobody  succeeded nobody  succeeded nobody
        sending          succeeded nobody  succeeded nobody  succeeded nobody  succeeded nobody
        submitted        succeeded nobody  succeeded nobody  succeeded nobody  succeeded nobody
        unknown          succeeded nobody  succeeded nobody  succeeded nobody  succeeded nobody
        succeeded        -                 -                 -                 -
        failed           -                 -                 -                 -
        cancelled        succeeded nobody  succeeded nobody  succeeded nobody  succeeded nobody
        """,
    ),
    "Finished, of another task": (
        Finished(one(), '{"clips":[]}', task_id="t9"),
        """
        from             nobody            dead              theirs            mine
        queued           succeeded nobody  succeeded nobody  succeeded nobody  succeeded nobody
        sending          succeeded nobody  succeeded nobody  succeeded nobody  succeeded nobody
        submitted        -                 -                 -                 -
        unknown          succeeded nobody  succeeded nobody  succeeded nobody  succeeded nobody
        succeeded        -                 -                 -                 -
        failed           -                 -                 -                 -
        cancelled        succeeded nobody  succeeded nobody  succeeded nobody  succeeded nobody
        """,
    ),
    "Finished with an error": (
        Finished(one(), None, error="too loud", refunded=True),
        """
        from             nobody           dead             theirs           mine
        queued           failed nobody    failed nobody    failed nobody    failed nobody
        sending          failed nobody    failed nobody    failed nobody    failed nobody
        submitted        failed nobody    failed nobody    failed nobody    failed nobody
        unknown          failed nobody    failed nobody    failed nobody    failed nobody
        succeeded        -                -                -                -
        failed           -                -                -                -
        cancelled        failed nobody    failed nobody    failed nobody    failed nobody
        """,
    ),
    "Released": (
        Released(one(), "mine"),
        """
        from             nobody           dead             theirs           mine
        queued           -                -                -                queued nobody
        sending          -                -                -                -
        submitted        -                -                -                submitted nobody
        unknown          -                -                -                unknown nobody
        succeeded        -                -                -                succeeded nobody
        failed           -                -                -                failed nobody
        cancelled        -                -                -                cancelled nobody
        """,
    ),
    "Released and cancelled": (
        Released(one(), "mine", cancelled=True),
        """
        from             nobody           dead             theirs           mine
        queued           -                -                -                cancelled nobody
        sending          -                -                -                -
        submitted        -                -                -                submitted nobody
        unknown          -                -                -                unknown nobody
        succeeded        -                -                -                succeeded nobody
        failed           -                -                -                failed nobody
        cancelled        -                -                -                cancelled nobody
        """,
    ),
}


def cases(name):
    """Read a table: each record that a step finds, and the state and owner that it leaves."""
    step, table = TABLES[name]
    head, *rows = [line.split() for line in table.strip().splitlines()]
    attempts = ATTEMPTS if isinstance(step, NotBegun | Refused | OutcomeUnknown | Accepted) else COUNTS
    for state, *cells in rows:
        which = [cells.pop(0)] if cells[0] in attempts else list(attempts)
        words = iter(cells)
        for owner in head[1:]:
            state_after = next(words)
            expected = None if state_after == "-" else (state_after, next(words))
            for sender, number in itertools.chain.from_iterable(attempts[attempt] for attempt in which):
                yield (
                    record(
                        state=JobState(state),
                        owner=None if owner == "nobody" else owner,
                        sender=sender,
                        attempts=number,
                        task_id=TASK.get(JobState(state)),
                        credits=10 * (state in ("submitted", "succeeded")),
                        repeatable=name.endswith("repeatable"),
                        created=1.0,
                    ),
                    expected,
                )
        assert not list(words)


def named(found):
    return found.state, found.owner or "nobody", found.sender, found.attempts


@pytest.mark.parametrize("name", TABLES)
async def test_each_step_makes_of_each_state_owner_and_attempt_what_its_table_says(journal, name):
    step, table = TABLES[name]
    for owner in ("mine", "theirs", "dead"):
        await journal.beat(owner, ACCOUNT)
    await journal.beat("dead", ACCOUNT, alive=False)
    rows = list(cases(name))
    outcomes = await journal.apply([each for before, _ in rows for each in (Put(before), step)])
    for (before, expected), put, outcome in zip(rows, outcomes[::2], outcomes[1::2], strict=True):
        if expected is None:
            assert outcome == Outcome(put.record, changed=False), (named(before), table)
        else:
            after = outcome.record
            assert (after.state, after.owner or "nobody", outcome.changed) == (*expected, True), (named(before), table)
            assert after.sequence == put.record.sequence + 1
    assert await journal.find(ACCOUNT) == [outcomes[-1].record]


@pytest.mark.parametrize("name", TABLES)
def test_each_table_knows_every_state_owner_and_attempt(name):
    found = [named(before) for before, _ in cases(name)]
    assert len(found) == len(set(found))
    attempts = {(sender, number) for _, _, sender, number in found}
    assert attempts >= {("mine", 1), ("mine", 2), ("mine", 0)}
    assert len(found) == len(STATES) * len(OWNERS) * len(attempts)


@pytest.mark.parametrize("name", [name for name in TABLES if not name.startswith("Enter")])
async def test_a_step_on_a_job_that_nobody_entered_changes_nothing(journal, name):
    assert list(await journal.apply([TABLES[name][0]])) == [Outcome(None, changed=False)]
    assert await journal.find(ACCOUNT) == []


@pytest.mark.parametrize("name", TABLES)
def test_a_step_that_is_carried_out_twice_changes_nothing_more(name):
    """As happens when the journal's answer was lost."""
    moment = Moment(5.0, lambda owner: float("inf") if owner == "dead" else 0.0, lambda scope: Ledger())
    step = TABLES[name][0]
    for before, _ in cases(name):
        change = apply(step, before, moment, sequence=1)
        if change is not None:
            assert apply(step, change.record, moment, sequence=2) is None, named(before)
