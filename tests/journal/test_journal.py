"""What every journal must do. The steps have tables in `test_steps`, laws in `test_journal_laws`."""

import asyncio

import attrs
import pytest

from aimusic_async.events import JobState
from aimusic_async.journal.budget import Ledger
from aimusic_async.journal.leases import LEASE, SENDING_LEASE
from aimusic_async.journal.protocol import VERSION
from aimusic_async.journal.steps import Accepted, Begin, Enter, Finished, OutcomeUnknown, Refused

from .places import ACCOUNT, Put, one, record


def begin(key="one", owner="mine", attempt=1, group="", **limits):
    return Begin(one(key, group), owner, attempt, {f"group:{name}": limit for name, limit in limits.items()})


def test_a_journal_says_for_which_interface_it_was_written(place):
    assert place.open().version == VERSION if place.elsewhere else place.journal.version == VERSION


async def test_a_job_goes_its_usual_way_and_every_field_is_kept(journal, place):
    entered, _, begun = await journal.apply([Enter(record()), Enter(record()), begin()])
    assert entered.changed
    assert begun.changed
    assert entered.record == attrs.evolve(record(), created=place.now(), updated=place.now(), sequence=1)
    assert (begun.record.attempts, begun.record.state, begun.record.sender) == (1, JobState.SENDING, "mine")
    await place.wait(2)
    (accepted,) = await journal.apply([Accepted(one(), "t1", "mine", 1)])
    assert (accepted.record.task_id, accepted.record.credits, accepted.record.accepted) == ("t1", 10, place.now())
    await place.wait(2)
    (ended,) = await journal.apply([Finished(one(), '{"a":"ü"}', error="too loud", refunded=False)])
    assert await journal.find(ACCOUNT) == [ended.record]
    assert ended.record == attrs.evolve(
        accepted.record,
        state=JobState.FAILED,
        owner=None,
        answer='{"a":"ü"}',
        error="too loud",
        refunded=False,
        updated=place.now(),
        sequence=4,
    )
    (again,) = await journal.apply([Enter(record(), resend=[JobState.FAILED])])
    assert (again.record.answer, again.record.refunded, again.record.task_id) == (None, None, None)


async def test_a_job_is_entered_by_account_group_and_key_whatever_its_id_is(journal):
    kept = attrs.evolve(record(state=JobState.SUBMITTED, owner=None, task_id="t1"), id="made by an older version")
    await journal.apply([Put(kept)])
    (entered,) = await journal.apply([Enter(record())])
    assert (entered.record.id, entered.record.owner, entered.changed) == (kept.id, "mine", True)
    (ended,) = await journal.apply([Finished(kept.id, "{}", task_id="t1")])
    assert await journal.find(ACCOUNT, key="one") == [ended.record]


@pytest.mark.parametrize("flag", [True, False, None])
async def test_what_comes_back_has_the_types_that_it_had(journal, flag):
    numbers = {"credits": 2**40, "presumed": 3, "attempts": 2, "accepted": 0.5}
    kept = record(repeatable=bool(flag), refunded=flag, request=None, state=JobState.UNKNOWN, sender="me", **numbers)
    await journal.apply([Put(kept)])
    (found,) = await journal.find(ACCOUNT)
    assert found == attrs.evolve(kept, sequence=1)
    assert {name: type(value) for name, value in attrs.asdict(found).items()} == {
        name: type(value) for name, value in attrs.asdict(kept).items()
    }


async def test_a_step_may_take_a_record_away(journal):
    gone = Put(record(), gone=True)
    outcomes = await journal.apply([Put(record()), gone, gone, begin()])
    assert [outcome.changed for outcome in outcomes] == [True, True, False, False]
    assert await journal.find(ACCOUNT) == []


async def test_texts_with_quotes_and_nothing_are_only_texts(journal):
    odd = "'); DROP TABLE records; --\x00\"ö"
    await journal.apply([Enter(record(odd, group=odd, owner=odd)), Begin(one(odd, odd), odd, 1)])
    (found,) = await journal.find(ACCOUNT, group=odd)
    assert (found.key, found.owner, found.state) == (odd, odd, JobState.SENDING)
    assert list(await journal.apply([])) == []
    assert await journal.ledgers(ACCOUNT) == {f"group:{odd}": Ledger(at_risk=10)}


# --- owners ---------------------------------------------------------------------------------------------------------


async def test_jobs_are_adopted_when_their_owner_was_silent_for_long_and_those_it_was_sending_much_later(place):
    async with place.open() as theirs, place.open() as mine:
        await theirs.beat("theirs", ACCOUNT)
        await theirs.apply([Enter(record("a", owner="theirs")), Enter(record("b", owner="theirs"))])
        await theirs.apply([begin("b", "theirs")])
        enter = [Enter(record("a")), Enter(record("b"))]
        for _ in range(2):
            await place.wait(LEASE)
            assert [outcome.changed for outcome in await mine.apply(enter)] == [False, False]
            await theirs.beat("theirs", ACCOUNT)
        await place.wait(LEASE + 1)
        a, b = await mine.apply(enter)
        assert (a.record.state, a.record.owner, b.changed) == (JobState.QUEUED, "mine", False)
        await place.wait(SENDING_LEASE - LEASE)
        a, b = await mine.apply(enter)
        assert (b.record.state, b.record.owner, a.changed) == (JobState.UNKNOWN, None, False)
        (late,) = await theirs.apply([Accepted(one("b"), "t1", "theirs", 1)])
        assert (late.record.state, late.record.task_id) == (JobState.SUBMITTED, "t1")


async def test_a_lease_that_was_ended_or_never_begun_is_no_lease(journal):
    await journal.beat("theirs", ACCOUNT)
    await journal.beat("theirs", ACCOUNT, alive=False)
    for owner in ("theirs", "stranger"):
        await journal.apply([Put(record(state=JobState.SUBMITTED, owner=owner))])
        (entered,) = await journal.apply([Enter(record())])
        assert entered.record.owner == "mine"


async def test_owners_are_listed_with_their_silence_for_each_account(journal, place):
    await journal.beat("first", ACCOUNT)
    await place.wait(5)
    await journal.beat("second", ACCOUNT)
    await journal.beat("other", "another")
    await journal.beat("ended", ACCOUNT)
    await journal.beat("ended", ACCOUNT, alive=False)
    await place.wait(1)
    assert await journal.owners(ACCOUNT) == {"first": 6, "second": 1}
    assert await journal.owners("another") == {"other": 1}
    await journal.beat("first", ACCOUNT)
    assert await journal.owners(ACCOUNT) == {"first": 0, "second": 1}


@pytest.mark.parametrize("hours", [-3, 3])
async def test_a_clock_that_is_set_by_hours_takes_no_job_from_anybody_and_keeps_none_for_ever(place, hours):
    async with place.open() as journal:
        await journal.beat("theirs", ACCOUNT)
        (entered,) = await journal.apply([Enter(record(owner="theirs"))])
        place.time += hours * 3600
        assert await journal.owners(ACCOUNT) == {"theirs": 0}
        (outcome,) = await journal.apply([Enter(record())])
        assert not outcome.changed
        await place.wait(LEASE + 1)
        (outcome,) = await journal.apply([Enter(record())])
        assert (outcome.changed, outcome.record.owner) == (True, "mine")
        assert await journal.find(ACCOUNT, after=entered.record.sequence) == [outcome.record]


async def test_an_owner_that_was_heard_on_a_clock_that_is_ahead_lives(journal, place):
    await journal.beat("theirs", ACCOUNT)
    place.steady -= 3600
    await journal.apply([Enter(record(owner="theirs"))])
    assert await journal.owners(ACCOUNT) == {"theirs": 0}
    assert not (await journal.apply([Enter(record())]))[0].changed


async def test_a_session_that_enters_what_it_was_sending_sends_it_no_more_and_its_outcome_is_unknown(journal):
    await journal.beat("mine", ACCOUNT)
    await journal.apply([Enter(record()), begin()])
    (again,) = await journal.apply([Enter(record())])
    assert (again.changed, again.record.state, again.record.owner) == (True, JobState.UNKNOWN, None)


# --- attempts and their tasks ---------------------------------------------------------------------------------------


async def test_a_refusal_of_an_earlier_attempt_says_nothing_of_a_later_one(journal):
    first = [begin(), OutcomeUnknown(one(), "mine", 1, "lost"), Enter(record(), resend=[JobState.UNKNOWN])]
    await journal.apply([Enter(record()), *first, begin(attempt=2), OutcomeUnknown(one(), "mine", 2, "lost")])
    late, now = await journal.apply([Refused(one(), "mine", 1, "busy"), Refused(one(), "mine", 2, "no")])
    assert (late.changed, late.record.state) == (False, JobState.UNKNOWN)
    assert (now.changed, now.record.state, now.record.credits) == (True, JobState.QUEUED, 10)


async def test_what_an_earlier_attempt_s_task_reports_does_not_end_the_later_one(journal):
    fail = Finished(one(), None, "too loud", refunded=False, task_id="t1")
    steps = [Enter(record()), begin(), Accepted(one(), "t1", "mine", 1), fail]
    await journal.apply([*steps, Enter(record(), resend=[JobState.FAILED]), begin(attempt=2)])
    accepted, failed = await journal.apply([Accepted(one(), "t1"), fail])
    assert (accepted.changed, failed.changed) == (False, False)
    (now,) = await journal.apply([Accepted(one(), "t2", "mine", 2)])
    assert (now.record.task_id, now.record.former, now.record.credits) == ("t2", " t1", 20)


async def test_an_id_that_comes_late_is_kept_and_the_answer_s_own_task_is_followed(journal):
    resend = [OutcomeUnknown(one(), "mine", 1, "lost"), Enter(record(), resend=[JobState.UNKNOWN])]
    await journal.apply([Enter(record()), begin(), *resend, begin(attempt=2)])
    first, second, third = await journal.apply(
        [Accepted(one(), "t1"), Accepted(one(), "t2", "mine", 2), Accepted(one(), "t3")]
    )
    assert first.record.task_id == "t1"
    assert (second.record.task_id, second.record.former, second.record.credits) == ("t2", " t1", 20)
    assert (third.record.task_id, third.record.former, third.changed) == ("t2", " t1 t3", True)


@pytest.mark.parametrize(("error", "charged"), [(None, 10), ("too loud", 0)])
async def test_an_attempt_that_counts_as_charged_is_not_charged_again_when_its_end_is_heard_of(journal, error, charged):
    resend = [OutcomeUnknown(one(), "mine", 1, "lost"), Enter(record(), resend=[JobState.UNKNOWN])]
    await journal.apply([Enter(record()), begin(), *resend])
    (ended,) = await journal.apply([Finished(one(), "{}", error, task_id="t1")])
    assert (ended.record.credits, ended.record.presumed) == (charged, 0)


async def test_a_task_id_under_another_key_contradicts(journal):
    await journal.apply([Enter(record()), begin(), Accepted(one(), "t1")])
    for task_id in ("t1", "t2"):
        step = Enter(record(owner="theirs", request=None, task_id=task_id, state=JobState.SUBMITTED))
        (outcome,) = await journal.apply([step])
        assert step.contradicts(outcome.record) == (task_id == "t2")


# --- budgets --------------------------------------------------------------------------------------------------------


async def test_a_budget_counts_what_was_charged_is_in_flight_and_is_unknown(place):
    keys = "abcde"
    async with place.open() as here, place.open() as there:
        await here.apply([Enter(record(key, group="album")) for key in keys])
        await here.apply([begin(key, group="album", album=35) for key in "abc"])
        done = [Finished(one("a", "album"), "{}"), OutcomeUnknown(one("b", "album"), "mine", 1, "lost")]
        await here.apply([Accepted(one("a", "album"), "t1", "mine", 1), *done])
        assert await there.ledgers(ACCOUNT) == {"group:album": Ledger(35, spent=10, at_risk=20)}
        step = begin("d", group="album", album=35)
        (refused,) = await there.apply([step])
        assert not step.begun(refused.record)
        assert refused.record.state is JobState.CANCELLED
        assert refused.record.error == "would exceed the budget: it costs 10 credits, 5 of 35 are left"
        await there.apply([Refused(one("c", "album"), "mine", 1, "busy")])
        step = begin("e", group="album", album=35)
        (begun,) = await there.apply([step])
        assert step.begun(begun.record)
        assert (await here.ledgers(ACCOUNT))["group:album"] == Ledger(35, spent=10, at_risk=20)
        assert await here.ledgers("another") == {}


async def test_what_is_pruned_stays_counted(journal, place):
    done = [Accepted(one("a", "album"), "t1", "mine", 1), Finished(one("a", "album"), "{}")]
    await journal.apply([Enter(record("a", group="album")), begin("a", group="album"), *done])
    await place.wait(10)
    assert await journal.prune(ACCOUNT, older_than=5) == 1
    assert await journal.ledgers(ACCOUNT) == {"group:album": Ledger(spent=10)}
    await journal.apply([Enter(record("b", group="album"))])
    (refused,) = await journal.apply([begin("b", group="album", album=19)])
    assert refused.record.state is JobState.CANCELLED


async def test_jobs_outside_of_named_groups_have_no_shared_budget(journal):
    await journal.apply([Enter(record()), begin()])
    assert await journal.ledgers(ACCOUNT) == {}


async def test_of_many_who_spend_one_budget_none_exceeds_it(place):
    async with place.open() as here, place.open() as there:
        await here.apply([Enter(record(f"{n}", group="album")) for n in range(20)])
        steps = [begin(f"{n}", group="album", album=75) for n in range(20)]
        calls = [journal.apply([step]) for step, journal in zip(steps, [here, there] * 10, strict=True)]
        outcomes = [outcome for (outcome,) in await asyncio.gather(*calls)]
        assert [step.begun(each.record) for step, each in zip(steps, outcomes, strict=True)].count(True) == 7
        assert await here.ledgers(ACCOUNT) == {"group:album": Ledger(75, at_risk=70)}


# --- many at once ---------------------------------------------------------------------------------------------------


async def test_of_many_who_begin_a_job_one_may(place):
    async with place.open() as here, place.open() as there:
        await here.apply([Enter(record(f"{n}")) for n in range(20)])
        calls = [(journal, n) for n in range(20) for journal in (here, there) for _ in range(5)]
        outcomes = await asyncio.gather(*(journal.apply([begin(f"{n}")]) for journal, n in calls))
        begun = [n for (_, n), (outcome,) in zip(calls, outcomes, strict=True) if outcome.changed]
        assert sorted(begun) == list(range(20))
        assert {found.attempts for found in await there.find(ACCOUNT)} == {1}


async def test_of_many_who_enter_a_job_one_gets_it(place):
    async with place.open() as here, place.open() as there:
        owners = [f"owner {n}" for n in range(10)]
        for owner in owners:
            await here.beat(owner, ACCOUNT)
        calls = [
            journal.apply([Enter(record(owner=owner))])
            for owner, journal in zip(owners, [here, there] * 5, strict=True)
        ]
        outcomes = [outcome for (outcome,) in await asyncio.gather(*calls)]
        assert [outcome.changed for outcome in outcomes].count(True) == 1
        assert len({outcome.record.owner for outcome in outcomes}) == 1


async def test_calls_are_carried_out_in_their_order(journal):
    calls = [journal.apply([Enter(record())]), *(journal.save(ACCOUNT, "n", str(n)) for n in range(20))]
    await asyncio.gather(*calls, journal.apply([begin()]))
    assert await journal.load(ACCOUNT, "n") == "19"
    assert (await journal.find(ACCOUNT))[0].state is JobState.SENDING


@pytest.mark.parametrize("again", range(5))
async def test_a_call_that_is_cancelled_is_carried_out_or_not_and_nothing_breaks(journal, again):
    calls = [asyncio.ensure_future(journal.apply([Enter(record(f"{n}"))])) for n in range(20)]
    await asyncio.sleep(again / 2000)
    for call in calls[::2]:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert all(call.result()[0].changed for call in calls[1::2])
    known = {found.key for found in await journal.find(ACCOUNT)}
    assert known >= {f"{n}" for n in range(1, 20, 2)}


# --- looking, tidying, remembering ----------------------------------------------------------------------------------


async def test_find_gives_what_fits_the_oldest_first(journal, place):
    made = [
        record("z", group="album"),
        record("y", group="album", state=JobState.SUBMITTED, task_id="t1"),
        record("x", state=JobState.FAILED),
        record("w", account="another", task_id="t1"),
    ]
    for each in made[:2]:
        await place.wait(1)
        await journal.apply([Enter(each)])
    await place.wait(-10)  # a clock that was put back
    await journal.apply([Enter(made[2])])
    await journal.apply([Enter(made[3]), Begin(made[0].id, "mine", 1)])

    async def keys(account=ACCOUNT, **filters):
        return "".join(found.key for found in await journal.find(account, **filters))

    assert await keys() == "xzy"
    assert await keys("another") == "w"
    assert await keys("nobody") == ""
    assert await keys(group="album") == "zy"
    assert await keys(group="") == "x"
    assert await keys(states=[JobState.SENDING]) == "z"
    assert await keys(states={JobState.SUBMITTED, JobState.FAILED}) == "xy"
    assert await keys(states=[]) == ""
    assert await keys(task_id="t1") == "y"
    assert await keys(task_id="t2") == ""
    assert await keys(group="album", states=[JobState.SUBMITTED], task_id="t1") == "y"
    assert await keys(group="", task_id="t1") == ""
    assert await keys(limit=2) == "xz"
    assert await keys(limit=0) == ""
    assert await keys(group="album", limit=1) == "z"


async def test_find_gives_what_changed_after_a_change_in_the_order_of_changes(journal, place):
    await journal.apply([Enter(record(key)) for key in "abc"])
    await place.wait(-3600)  # a clock that was put back
    since = await journal.latest()
    await journal.apply([begin("b"), begin("b"), begin("c", "another")])
    await journal.apply([Enter(record("d")), Enter(record("e", account="another")), begin("a")])

    async def keys(**filters):
        return "".join(found.key for found in await journal.find(ACCOUNT, **filters))

    assert await keys(after=since) == "bda"
    assert await keys(after=since, states=[JobState.QUEUED]) == "d"
    assert await keys(after=since, limit=2) == "bd"
    assert await keys(after=0) == "cbda"
    assert await keys(after=await journal.latest()) == ""


async def test_each_change_has_the_next_number_and_what_changes_nothing_has_none(journal):
    assert await journal.latest() == 0
    outcomes = await journal.apply([Enter(record()), Enter(record()), begin(), begin(), Enter(record("b", group="g"))])
    assert [outcome.record.sequence for outcome in outcomes] == [1, 1, 2, 2, 3]
    assert await journal.latest() == 3


async def test_numbers_do_not_come_back_when_records_are_removed(place):
    async with place.open() as journal:
        await journal.apply([Enter(record("a")), Put(record("b", state=JobState.FAILED)), Enter(record("c"))])
        await journal.apply([Put(record("c"), gone=True), Put(record("d", state=JobState.CANCELLED))])
        assert await journal.latest() == 5
        await place.wait(1)
        assert await journal.prune(ACCOUNT, older_than=0) == 2
        assert await journal.latest() == 5
        await journal.apply([Put(record("a"), gone=True)])
    async with place.open() as journal:
        assert await journal.latest() == 6
        (outcome,) = await journal.apply([Enter(record("e"))])
        assert outcome.record.sequence == 7


async def test_what_was_entered_together_keeps_its_order(journal):
    await journal.apply([Enter(record(key)) for key in "cabfed"])
    await journal.apply([begin("a"), Put(record("b"), gone=True), Enter(record("b"))])
    assert "".join(found.key for found in await journal.find(ACCOUNT)) == "cafedb"


async def test_prune_removes_what_ended_long_ago_and_nothing_that_is_open(journal, place):
    for state in set(JobState) - {JobState.DETACHED}:
        await journal.apply([Put(record(state.value, state=state, updated=place.now()))])
    await journal.apply([Put(record("other", account="another", state=JobState.FAILED))])
    assert await journal.prune(ACCOUNT, older_than=0) == 0
    await place.wait(100)
    await journal.apply([Put(record("young", state=JobState.FAILED, updated=place.now() - 50))])
    assert await journal.prune(ACCOUNT, older_than=60) == 3
    assert await journal.prune(ACCOUNT, older_than=60) == 0
    assert {found.key for found in await journal.find(ACCOUNT)} == {
        "queued",
        "sending",
        "submitted",
        "unknown",
        "young",
    }
    assert len(await journal.find("another")) == 1


async def test_texts_are_kept_for_each_account_and_name(journal):
    assert await journal.load(ACCOUNT, "durations") is None
    await journal.save(ACCOUNT, "durations", "old")
    await journal.save(ACCOUNT, "durations", "new")
    await journal.save(ACCOUNT, "empty", "")
    await journal.save("another", "durations", "theirs")
    assert await journal.load(ACCOUNT, "durations") == "new"
    assert await journal.load(ACCOUNT, "empty") == ""
    assert await journal.load("another", "durations") == "theirs"


async def test_what_one_journal_wrote_the_next_one_reads(place):
    async with place.open() as journal:
        await journal.beat("mine", ACCOUNT)
        await journal.apply([Enter(record()), begin(), Accepted(one(), "t1")])
        await journal.save(ACCOUNT, "durations", "{}")
        kept = await journal.find(ACCOUNT)
    async with place.open() as journal:
        assert await journal.find(ACCOUNT) == kept
        assert await journal.load(ACCOUNT, "durations") == "{}"
        assert not (await journal.apply([Enter(record(owner="another"))]))[0].changed
