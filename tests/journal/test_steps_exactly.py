"""What the steps make of a record, to the letter: numbers, limits, texts and times."""

import attrs
import pytest

from aimusic_async.events import JobState
from aimusic_async.journal.budget import Ledger
from aimusic_async.journal.leases import LEASE, SENDING_LEASE
from aimusic_async.journal.record import JobRecord
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


def moment(*, now=5.0, silence=0.0, ledger=None):
    return Moment(now, lambda _owner: silence, lambda _scope: ledger or Ledger())


def record(**fields):
    usual = {
        "id": "r",
        "account": "a",
        "group": "album",
        "key": "one",
        "operation": "sonic.create_music",
        "request": "{}",
        "cost": 10,
        "owner": "mine",
        "created": 1.0,
        "updated": 1.0,
    }
    return JobRecord(**usual | fields)


SENDING = record(state=JobState.SENDING, sender="mine", attempts=3)
UNKNOWN = attrs.evolve(SENDING, state=JobState.UNKNOWN, owner=None)


@pytest.mark.parametrize("attempts", [0, 1, 2, 3, 7])
def test_an_attempt_is_begun_when_its_number_is_the_next_one(attempts):
    queued = record(attempts=attempts)
    for number in range(10):
        after = Begin("r", "mine", number).after(queued, moment())
        if number == attempts + 1:
            assert (after.state, after.attempts, after.sender) == (JobState.SENDING, number, "mine")
            assert (after.error, after.updated) == (None, 5.0)
            assert Begin("r", "mine", number).begun(after)
            assert not Begin("r", "mine", number + 1).begun(after)
            assert not Begin("r", "theirs", number).begun(after)
        else:
            assert after is queued


@pytest.mark.parametrize(
    ("spent", "at_risk", "limit", "fits"), [(10, 10, 30, True), (11, 10, 30, False), (0, 0, 10, True)]
)
def test_a_budget_that_fits_just_so_fits(spent, at_risk, limit, fits):
    after = Begin("r", "mine", 1, {"group:album": limit}).after(record(), moment(ledger=Ledger(None, spent, at_risk)))
    if fits:
        assert after.state is JobState.SENDING
    else:
        left = limit - spent - at_risk
        why = f"would exceed the budget: it costs 10 credits, {left} of {limit} are left"
        assert (after.state, after.owner, after.error) == (JobState.CANCELLED, None, why)
        assert (after.attempts, after.updated) == (0, 5.0)


def test_what_is_asked_again_pays_with_what_it_has_committed_already():
    asked = record(repeatable=True, attempts=1)
    assert asked.at_risk == 10
    begin = Begin("r", "mine", 2, {"group:album": 10})
    assert begin.after(asked, moment(ledger=Ledger(10, 0, 10))).state is JobState.SENDING
    assert begin.after(asked, moment(ledger=Ledger(10, 1, 10))).state is JobState.CANCELLED


@pytest.mark.parametrize(
    ("state", "silence", "taken"),
    [
        (JobState.QUEUED, LEASE, False),
        (JobState.QUEUED, LEASE + 0.1, True),
        (JobState.SUBMITTED, LEASE, False),
        (JobState.SUBMITTED, LEASE + 0.1, True),
        (JobState.SENDING, SENDING_LEASE, False),
        (JobState.SENDING, SENDING_LEASE + 0.1, True),
    ],
)
def test_a_job_is_taken_over_once_its_owner_s_lease_is_over(state, silence, taken):
    theirs = record(owner="theirs", state=state, task_id="t1" if state is JobState.SUBMITTED else None)
    after = Enter(record()).after(theirs, moment(silence=silence))
    assert (after is not theirs) is taken
    if taken and state is not JobState.SENDING:
        assert (after.owner, after.state, after.updated) == ("mine", state, 5.0)
    elif taken:
        assert (after.owner, after.state) == (None, JobState.UNKNOWN)
        assert after.error == "the process that sent it ended before the answer came"


def test_an_unknown_job_that_is_sent_again_keeps_what_it_may_have_cost():
    again = Enter(record(), [JobState.UNKNOWN]).after(UNKNOWN, moment())
    assert (again.state, again.owner, again.credits, again.presumed) == (JobState.QUEUED, "mine", 10, 1)
    found = Accepted("r", "t1").after(again, moment())
    assert (found.state, found.task_id, found.credits, found.presumed) == (JobState.SUBMITTED, "t1", 10, 0)


def test_a_failed_job_that_is_sent_again_remembers_its_task_and_forgets_its_end():
    failed = record(
        state=JobState.FAILED,
        owner=None,
        task_id="t1",
        answer="{}",
        refunded=True,
        accepted=2.0,
        credits=0,
        former=" t0",
    )
    again = Enter(record(), [JobState.FAILED]).after(failed, moment())
    assert (again.former, again.task_id, again.answer, again.refunded, again.accepted) == (
        " t0 t1",
        None,
        None,
        None,
        None,
    )
    assert (again.credits, again.presumed, again.former_ids) == (0, 0, {"t0", "t1"})


@pytest.mark.parametrize("step", [NotBegun, Refused])
def test_what_surely_was_not_taken_waits_for_its_sender(step):
    for before in (SENDING, UNKNOWN):
        after = step("r", "mine", 3, "busy").after(before, moment())
        assert (after.state, after.owner, after.error, after.updated) == (JobState.QUEUED, "mine", "busy", 5.0)
        assert after.attempts == 3
    final = Refused("r", "mine", 3, "no", final=True)
    after = final.after(SENDING, moment())
    assert (after.state, after.owner, after.error) == (JobState.CANCELLED, None, "no")
    assert final.after(None, moment()) is None
    queued = record()
    assert final.after(queued, moment()) is queued


def test_a_lost_answer_is_nobody_s():
    after = OutcomeUnknown("r", "mine", 3, "lost").after(SENDING, moment())
    assert (after.state, after.owner, after.error, after.updated) == (JobState.UNKNOWN, None, "lost", 5.0)
    assert after.at_risk == 10


def test_a_task_is_accepted_when_and_at_what_price():
    after = Accepted("r", "t1", "mine", 3).after(attrs.evolve(SENDING, error="before"), moment())
    assert (after.state, after.task_id, after.credits, after.accepted) == (JobState.SUBMITTED, "t1", 10, 5.0)
    assert (after.owner, after.error, after.updated, after.at_risk) == ("mine", None, 5.0, 0)
    other = Accepted("r", "t2").after(after, moment(now=6.0))
    assert (other.task_id, other.former, other.credits, other.updated) == ("t1", " t2", 10, 6.0)
    assert Accepted("r", "t2").after(other, moment()) is other
    latest = Accepted("r", "t3", "mine", 3).after(after, moment())
    assert (latest.task_id, latest.former, latest.credits) == ("t3", " t1", 20)


@pytest.mark.parametrize(
    ("refunded", "error", "paid"), [(None, None, 10), (True, "loud", 0), (None, "loud", 0), (False, "loud", 10)]
)
def test_an_end_costs_what_it_costs(refunded, error, paid):
    submitted = Accepted("r", "t1", "mine", 3).after(SENDING, moment())
    for before in (submitted, SENDING):
        after = Finished("r", "{}", error, refunded, "t1").after(before, moment(now=7.0))
        assert (after.credits, after.owner, after.error, after.refunded) == (paid, None, error, refunded)
        assert (after.state, after.answer) == (JobState.FAILED if error else JobState.SUCCEEDED, "{}")
        assert (after.task_id, after.updated) == ("t1", 7.0)
    assert Finished("r", "{}", task_id="t2").after(submitted, moment()) is submitted
    assert Finished("r", "{}").after(submitted, moment()).task_id == "t1"


def test_settling_says_so():
    back = Settled("r", 3).after(UNKNOWN, moment())
    assert (back.state, back.owner, back.error) == (JobState.QUEUED, None, "settled by hand: it was not taken")
    assert back.updated == 5.0
    found = Settled("r", 3, "t9").after(UNKNOWN, moment())
    assert (found.state, found.task_id, found.credits, found.owner) == (JobState.SUBMITTED, "t9", 10, None)
    submitted = Accepted("r", "t1", "mine", 3).after(SENDING, moment())
    assert Settled("r", 3).after(submitted, moment(silence=LEASE)) is submitted
    gone = Settled("r", 3).after(submitted, moment(silence=LEASE + 0.1))
    assert (gone.state, gone.credits, gone.refunded) == (JobState.FAILED, 10, False)
    assert gone.error == "settled by hand: the service does not know its task any more"
    assert Settled("r", 3).after(attrs.evolve(submitted, owner=None), moment()).state is JobState.FAILED
    assert Settled("r", 3, "t9").after(submitted, moment(silence=1e9)) is submitted
    for number in (2, 4):
        assert Settled("r", number).after(UNKNOWN, moment()) is UNKNOWN


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_released_job_keeps_the_last_error_unless_there_is_a_newer_one(cancelled):
    queued = record(error="before")
    after = Released("r", "mine", cancelled).after(queued, moment())
    state = JobState.CANCELLED if cancelled else JobState.QUEUED
    assert (after.state, after.owner, after.error, after.updated) == (state, None, "before", 5.0)
    assert Released("r", "mine", cancelled, "newer").after(queued, moment()).error == "newer"
    assert Released("r", "theirs", cancelled).after(queued, moment()) is queued


def test_a_change_has_a_number_and_moves_the_ledger_of_its_group():
    change = apply(Begin("r", "mine", 1, {"group:album": 50}), record(), moment(ledger=Ledger(40, 5, 0)), sequence=9)
    assert change.record.sequence == 9
    assert change.ledgers == {"group:album": Ledger(50, 5, 10)}
    assert apply(Released("r", "mine"), record(), moment(), sequence=1).ledgers == {}
    assert apply(Released("r", "theirs"), record(), moment(), sequence=1) is None
    entered = apply(Enter(record(), limits={"group:album": 50}), None, moment(), sequence=1)
    assert entered.ledgers == {"group:album": Ledger(50)}
    assert (entered.record.created, entered.record.updated) == (5.0, 5.0)
    assert apply(Begin("r", "mine", 1), record(group=""), moment(), sequence=1).ledgers == {}


@pytest.mark.parametrize("operation", ["sonic.cover_music", "sonic.zither"])
def test_a_key_of_another_operation_contradicts_whichever_comes_first(operation):
    enter = Enter(record(operation=operation))
    assert enter.contradicts(record())
    assert enter.after(record(owner=None), moment()) == record(owner=None)
    assert not enter.contradicts(record(operation=operation, request=None))
