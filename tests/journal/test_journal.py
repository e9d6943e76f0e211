"""What every journal must do, one after the other; a new one is added to `PLACES` and has to pass all of this."""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aimusic_async.events import JobState
from aimusic_async.journal.memory import MemoryJournal
from aimusic_async.journal.protocol import Outcome
from aimusic_async.journal.record import JobRecord, account_name, record_id
from aimusic_async.journal.sqlite import SqliteJournal
from aimusic_async.journal.steps import Accepted, Begin, Doubted, Enter, Finished, Refused, Released

ACCOUNT = account_name("sk-test")


class Place:
    """Where records are kept; all journals that it opens share them."""

    elsewhere = None
    """Python that makes a journal of this place in another process; None where there is no such thing."""

    def __init__(self, folder):
        self.folder = folder
        self.time = 1_000_000.0

    def now(self):
        return self.time

    async def wait(self, seconds):
        """Let this time pass on the journal's clock."""
        self.time += seconds


class Memory(Place):
    def __init__(self, folder):
        super().__init__(folder)
        self.journal = MemoryJournal(clock=self.now)

    @contextlib.asynccontextmanager
    async def open(self):
        yield self.journal


class Sqlite(Place):
    def __init__(self, folder):
        super().__init__(folder)
        self.path = Path(folder) / "jobs.sqlite"
        self.elsewhere = f"SqliteJournal({str(self.path)!r}, clock=lambda: {self.time})"

    def open(self):
        return SqliteJournal(self.path, clock=self.now)


PLACES = [Memory, Sqlite]


@pytest.fixture(params=PLACES, ids=lambda place: place.__name__.lower())
def place(request, tmp_path):
    return request.param(tmp_path)


@pytest.fixture
async def journal(place):
    async with place.open() as journal:
        yield journal


def record(key="one", *, group="", owner="mine", account=ACCOUNT, **rest):
    fields = {"operation": "sonic.create_music", "request": '{"op":"sonic.create_music"}', "cost": 10} | rest
    return JobRecord(id=record_id(account, group, key), account=account, group=group, key=key, owner=owner, **fields)


def one(key="one"):
    return record_id(ACCOUNT, "", key)


@attrs.frozen
class Put:
    """The record is to be as it is here: a step of the tests' own."""

    record: JobRecord | None
    id: str = attrs.field(default=attrs.Factory(lambda self: self.record.id, takes_self=True))

    def after(self, record, *, now, alive):
        return self.record


# --- the steps: from every state and owner -------------------------------------------------------------------------

TABLES = {
    # From each state and for each owner: the next state and owner; "-" where nothing changes.
    "Enter": (
        Enter(record()),
        """
        from        nobody           dead             theirs       mine
        queued      queued mine      queued mine      -            -
        sending     unknown nobody   unknown nobody   -            unknown nobody
        submitted   submitted mine   submitted mine   -            -
        unknown     -                -                -            -
        succeeded   -                -                -            -
        failed      -                -                -            -
        cancelled   queued mine      queued mine      queued mine  queued mine
        """,
    ),
    "Enter, repeatable": (
        Enter(record()),
        """
        from        nobody           dead             theirs       mine
        queued      queued mine      queued mine      -            -
        sending     queued mine      queued mine      -            queued mine
        submitted   submitted mine   submitted mine   -            -
        unknown     -                -                -            -
        """,
    ),
    "Enter to send the unknown anew": (
        Enter(record(), resend=[JobState.UNKNOWN]),
        """
        from        nobody           dead             theirs       mine
        queued      queued mine      queued mine      -            -
        sending     queued mine      queued mine      -            queued mine
        submitted   submitted mine   submitted mine   -            -
        unknown     queued mine      queued mine      queued mine  queued mine
        succeeded   -                -                -            -
        failed      -                -                -            -
        """,
    ),
    "Enter to send the failed anew": (
        Enter(record(), resend=[JobState.FAILED]),
        """
        from        nobody           dead             theirs       mine
        sending     unknown nobody   unknown nobody   -            unknown nobody
        submitted   submitted mine   submitted mine   -            -
        unknown     -                -                -            -
        succeeded   -                -                -            -
        failed      queued mine      queued mine      queued mine  queued mine
        """,
    ),
    "Enter with another request": (
        Enter(record(request='{"op":"other"}'), resend=[JobState.FAILED, JobState.UNKNOWN]),
        """
        from        nobody           dead             theirs       mine
        queued      -                -                -            -
        sending     -                -                -            -
        submitted   -                -                -            -
        unknown     -                -                -            -
        succeeded   -                -                -            -
        failed      -                -                -            -
        cancelled   -                -                -            -
        """,
    ),
    "Begin": (
        Begin(one(), "mine"),
        """
        from        nobody           dead             theirs       mine
        queued      -                -                -            sending mine
        sending     -                -                -            -
        submitted   -                -                -            -
        unknown     -                -                -            -
        succeeded   -                -                -            -
        failed      -                -                -            -
        cancelled   -                -                -            -
        """,
    ),
    "Accepted": (
        Accepted(one(), "task"),
        """
        from        nobody             dead             theirs            mine
        queued      submitted nobody   submitted dead   submitted theirs  submitted mine
        sending     submitted nobody   submitted dead   submitted theirs  submitted mine
        unknown     submitted nobody   submitted dead   submitted theirs  submitted mine
        cancelled   submitted nobody   submitted dead   submitted theirs  submitted mine
        succeeded   -                  -                -                 -
        failed      -                  -                -                 -
        """,
    ),
    "Refused": (
        Refused(one(), "mine", "busy"),
        """
        from        nobody           dead             theirs       mine
        queued      -                -                -            -
        sending     queued mine      -                -            queued mine
        submitted   -                -                -            -
        unknown     queued mine      -                -            queued mine
        succeeded   -                -                -            -
        failed      -                -                -            -
        cancelled   -                -                -            -
        """,
    ),
    "Refused and left": (
        Refused(one(), "mine", "closed", left=True),
        """
        from        nobody           dead             theirs       mine
        sending     queued nobody    -                -            queued nobody
        unknown     queued nobody    -                -            queued nobody
        submitted   -                -                -            -
        """,
    ),
    "Doubted": (
        Doubted(one(), "mine", "the connection was lost"),
        """
        from        nobody           dead             theirs       mine
        queued      -                -                -            -
        sending     -                -                -            unknown nobody
        submitted   -                -                -            -
        unknown     -                -                -            -
        succeeded   -                -                -            -
        failed      -                -                -            -
        cancelled   -                -                -            -
        """,
    ),
    "Finished": (
        Finished(one(), '{"clips":[]}'),
        """
        from        nobody             dead               theirs             mine
        queued      succeeded nobody   succeeded nobody   succeeded nobody   succeeded nobody
        sending     succeeded nobody   succeeded nobody   succeeded nobody   succeeded nobody
        submitted   succeeded nobody   succeeded nobody   succeeded nobody   succeeded nobody
        unknown     succeeded nobody   succeeded nobody   succeeded nobody   succeeded nobody
        succeeded   -                  -                  -                  -
        failed      -                  -                  -                  -
        """,
    ),
    "Finished with an error": (
        Finished(one(), None, error="too loud", refunded=True),
        """
        from        nobody           dead            theirs          mine
        submitted   failed nobody    failed nobody   failed nobody   failed nobody
        succeeded   -                -               -               -
        failed      -                -               -               -
        """,
    ),
    "Released": (
        Released(one(), "mine"),
        """
        from        nobody           dead             theirs       mine
        queued      -                -                -            queued nobody
        sending     -                -                -            -
        submitted   -                -                -            submitted nobody
        """,
    ),
    "Released and cancelled": (
        Released(one(), "mine", cancelled=True),
        """
        from        nobody           dead             theirs       mine
        queued      -                -                -            cancelled nobody
        sending     -                -                -            -
        submitted   -                -                -            submitted nobody
        """,
    ),
}


def cases(table):
    """Read a table: state, owner, and what is expected."""
    head, *rows = [[cell for cell in line.strip().split("  ") if cell] for line in table.strip().splitlines()]
    for state, *expected in rows:
        for owner, cell in zip(head[1:], expected, strict=True):
            yield JobState(state), owner.strip(), cell.strip()


@pytest.mark.parametrize("name", TABLES)
async def test_each_step_makes_of_each_state_and_owner_what_its_table_says(journal, name):
    step, table = TABLES[name]
    await journal.lease("mine", 60)
    await journal.lease("theirs", 60)
    await journal.lease("dead", 60)
    await journal.lease("dead", 0)
    for state, owner, expected in cases(table):
        before = record(
            state=state, owner=None if owner == "nobody" else owner, repeatable=name.endswith("repeatable"), created=1.0
        )
        _, outcome = await journal.apply([Put(before), step])
        if expected == "-":
            assert outcome == Outcome(before, changed=False), (state, owner)
        else:
            after = outcome.record
            assert (f"{after.state} {after.owner or 'nobody'}", outcome.changed) == (expected, True), (state, owner)
        assert await journal.find(ACCOUNT) == [outcome.record]


@pytest.mark.parametrize("name", [name for name in TABLES if not name.startswith("Enter")])
async def test_a_step_on_a_job_that_nobody_entered_changes_nothing(journal, name):
    assert list(await journal.apply([TABLES[name][0]])) == [Outcome(None, changed=False)]
    assert await journal.find(ACCOUNT) == []


async def test_a_job_goes_its_usual_way_and_every_field_is_kept(journal, place):
    entered, _, begun = await journal.apply([Enter(record()), Enter(record()), Begin(one(), "mine")])
    assert entered.changed
    assert begun.changed
    assert entered.record == attrs.evolve(record(), created=place.now(), updated=place.now())
    assert (begun.record.attempts, begun.record.state) == (1, JobState.SENDING)
    await place.wait(2)
    accepted, second = await journal.apply([Accepted(one(), "t1"), Accepted(one(), "t2")])
    assert (accepted.changed, second.changed) == (True, False)
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
    )
    (anew,) = await journal.apply([Enter(record(), resend=[JobState.FAILED])])
    assert (anew.record.answer, anew.record.refunded, anew.record.task_id) == (None, None, None)


@pytest.mark.parametrize("flag", [True, False, None])
async def test_what_comes_back_has_the_types_that_it_had(journal, flag):
    kept = record(
        repeatable=bool(flag), refunded=flag, request=None, state=JobState.UNKNOWN, credits=2**40, accepted=0.5
    )
    await journal.apply([Put(kept)])
    (found,) = await journal.find(ACCOUNT)
    assert found == kept
    assert {name: type(value) for name, value in attrs.asdict(found).items()} == {
        name: type(value) for name, value in attrs.asdict(kept).items()
    }


async def test_a_step_may_take_a_record_away(journal):
    outcomes = await journal.apply([Put(record()), Put(None, id=one()), Put(None, id=one()), Begin(one(), "mine")])
    assert [outcome.changed for outcome in outcomes] == [True, True, False, False]
    assert await journal.find(ACCOUNT) == []


async def test_texts_with_quotes_and_nothing_are_only_texts(journal):
    odd = "'); DROP TABLE records; --\x00\"ö"
    await journal.apply([Enter(record(odd, group=odd, owner=odd)), Begin(record_id(ACCOUNT, odd, odd), odd)])
    (found,) = await journal.find(ACCOUNT, group=odd)
    assert (found.key, found.owner, found.state) == (odd, odd, JobState.SENDING)
    assert list(await journal.apply([])) == []


# --- owners ---------------------------------------------------------------------------------------------------------


async def test_a_lease_that_runs_out_leaves_its_jobs_to_others(place):
    async with place.open() as theirs, place.open() as mine:
        await theirs.lease("theirs", 0.5)
        await theirs.apply([Enter(record("a", owner="theirs")), Enter(record("b", owner="theirs"))])
        await theirs.apply([Begin(one("b"), "theirs")])
        enter = [Enter(record("a")), Enter(record("b"))]
        assert [outcome.changed for outcome in await mine.apply(enter)] == [False, False]
        await place.wait(0.4)
        await theirs.lease("theirs", 0.5)
        await place.wait(0.4)
        assert [outcome.changed for outcome in await mine.apply(enter)] == [False, False]
        await place.wait(0.2)
        a, b = await mine.apply(enter)
        assert (a.record.state, a.record.owner) == (JobState.QUEUED, "mine")
        assert (b.record.state, b.record.owner) == (JobState.UNKNOWN, None)
        (late,) = await theirs.apply([Accepted(one("b"), "t1")])
        assert (late.record.state, late.record.task_id) == (JobState.SUBMITTED, "t1")


async def test_a_lease_that_was_ended_or_never_begun_is_no_lease(journal):
    await journal.lease("theirs", 60)
    await journal.lease("theirs", 0)
    for owner in ("theirs", "stranger"):
        await journal.apply([Put(record(state=JobState.SUBMITTED, owner=owner))])
        (entered,) = await journal.apply([Enter(record())])
        assert entered.record.owner == "mine"


async def test_a_session_that_enters_what_it_was_sending_sends_it_no_more_and_nobody_knows_its_fate(journal):
    await journal.lease("mine", 60)
    await journal.apply([Enter(record()), Begin(one(), "mine")])
    (again,) = await journal.apply([Enter(record())])
    assert (again.changed, again.record.state, again.record.owner) == (True, JobState.UNKNOWN, None)


async def test_a_refusal_of_an_earlier_attempt_does_not_undo_the_doubt_about_a_later_one(journal):
    send = [Begin(one(), "mine"), Doubted(one(), "mine", "lost")]
    await journal.apply([Enter(record()), *send, Enter(record(), resend=[JobState.UNKNOWN]), *send])
    (late, now) = await journal.apply(
        [Refused(one(), "mine", "busy", attempt=1), Refused(one(), "mine", "no", attempt=2)]
    )
    assert (late.changed, late.record.state) == (False, JobState.UNKNOWN)
    assert (now.changed, now.record.state) == (True, JobState.QUEUED)


async def test_what_is_told_of_an_earlier_attempt_s_task_does_not_end_the_later_one(journal):
    fail = Finished(one(), None, "too loud", refunded=False, task_id="t1")
    steps = [Enter(record()), Begin(one(), "mine"), Accepted(one(), "t1"), fail]
    await journal.apply([*steps, Enter(record(), resend=[JobState.FAILED]), Begin(one(), "mine")])
    accepted, failed = await journal.apply([Accepted(one(), "t1"), fail])
    assert (accepted.changed, failed.changed) == (False, False)
    (now,) = await journal.apply([Accepted(one(), "t2")])
    assert (now.record.task_id, now.record.former, now.record.credits) == ("t2", " t1", 20)


async def test_a_task_id_under_another_key_contradicts(journal):
    await journal.apply([Enter(record()), Begin(one(), "mine"), Accepted(one(), "t1")])
    for task_id in ("t1", "t2"):
        step = Enter(record(owner="theirs", request=None, task_id=task_id, state=JobState.SUBMITTED))
        (outcome,) = await journal.apply([step])
        assert step.contradicts(outcome.record) == (task_id == "t2")


# --- many at once ---------------------------------------------------------------------------------------------------


async def test_of_many_who_begin_a_job_one_may(place):
    async with place.open() as here, place.open() as there:
        await here.apply([Enter(record(f"{n}")) for n in range(20)])
        calls = [(journal, n) for n in range(20) for journal in (here, there) for _ in range(5)]
        outcomes = await asyncio.gather(*(journal.apply([Begin(one(f"{n}"), "mine")]) for journal, n in calls))
        begun = [n for (_, n), (outcome,) in zip(calls, outcomes, strict=True) if outcome.changed]
        assert sorted(begun) == list(range(20))
        assert {found.attempts for found in await there.find(ACCOUNT)} == {1}


async def test_of_many_who_enter_a_job_one_gets_it(place):
    async with place.open() as here, place.open() as there:
        owners = [f"owner {n}" for n in range(10)]
        for owner in owners:
            await here.lease(owner, 60)
        calls = [
            journal.apply([Enter(record(owner=owner))])
            for owner, journal in zip(owners, [here, there] * 5, strict=True)
        ]
        outcomes = [outcome for (outcome,) in await asyncio.gather(*calls)]
        assert [outcome.changed for outcome in outcomes].count(True) == 1
        assert len({outcome.record.owner for outcome in outcomes}) == 1


async def test_calls_are_carried_out_in_their_order(journal):
    calls = [journal.apply([Enter(record())]), *(journal.save(ACCOUNT, "n", str(n)) for n in range(20))]
    await asyncio.gather(*calls, journal.apply([Begin(one(), "mine")]))
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
    await journal.apply([Enter(made[3]), Begin(made[0].id, "mine")])

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


async def test_find_tells_what_changed_since_a_moment(journal, place):
    await journal.apply([Enter(record(key)) for key in "abc"])
    await place.wait(1)
    since = place.now()
    await journal.apply([Begin(one("b"), "mine"), Begin(one("b"), "mine"), Begin(one("c"), "another")])
    await place.wait(1)
    await journal.apply([Enter(record("d"))])
    changed = [found.key for found in await journal.find(ACCOUNT, changed_since=since)]
    assert changed == ["b", "d"]
    both = await journal.find(ACCOUNT, states=[JobState.QUEUED], changed_since=since)
    assert [found.key for found in both] == ["d"]
    assert await journal.find(ACCOUNT, changed_since=place.now() + 1) == []


async def test_what_was_entered_together_keeps_its_order(journal):
    await journal.apply([Enter(record(key)) for key in "cabfed"])
    await journal.apply([Begin(one("a"), "mine"), Put(None, id=one("b")), Enter(record("b"))])
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
        await journal.lease("mine", 60)
        await journal.apply([Enter(record()), Begin(one(), "mine"), Accepted(one(), "t1")])
        await journal.save(ACCOUNT, "durations", "{}")
        kept = await journal.find(ACCOUNT)
    async with place.open() as journal:
        assert await journal.find(ACCOUNT) == kept
        assert await journal.load(ACCOUNT, "durations") == "{}"
        assert not (await journal.apply([Enter(record(owner="another"))]))[0].changed


# --- other processes ------------------------------------------------------------------------------------------------

PROCESS = """
import asyncio, os, random, signal, sys
from aimusic_async.events import JobState
from aimusic_async.journal.record import *
from aimusic_async.journal.steps import *
from aimusic_async.journal.record import JobRecord
from aimusic_async.journal.leases import owner_name
from aimusic_async.journal.sqlite import SqliteJournal

me = owner_name()

def ident(key):
    return record_id({account!r}, "", key)

def enter(key, **rest):
    return Enter(JobRecord(id=ident(key), account={account!r}, group="", key=key, operation="o", owner=me, **rest))

async def main():
    async with {journal} as journal:
        await journal.lease(me, 60)
{body}

asyncio.run(main())
"""


@contextlib.contextmanager
def process(place, body):
    """Run this in another process, with a `journal` of the same place, and `me` as owner."""
    if place.elsewhere is None:
        pytest.skip("lives in one process only")
    body = "\n".join(" " * 8 + line for line in body.strip().splitlines())
    source = PROCESS.format(account=ACCOUNT, journal=place.elsewhere, body=body)
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", source], stdin=pipe, stdout=pipe, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


async def line(running):
    """Return the next line that the process prints."""
    return (await asyncio.to_thread(running.stdout.readline)).strip()


RACE = """
print("ready", flush=True)
sys.stdin.readline()
async def race(key):
    await journal.apply([enter(key)])
    if (await journal.apply([Begin(ident(key), me)]))[0].changed:
        print(key, flush=True)
names = random.sample([f"job-{n}" for n in range(200)], 200)
for start in range(0, 200, 10):
    await asyncio.gather(*(race(name) for name in names[start : start + 10]))
"""


async def test_two_processes_that_race_begin_each_job_once(place):
    with process(place, RACE) as first, process(place, RACE) as second:
        for racer in (first, second):
            assert await line(racer) == "ready"
        for racer in (first, second):
            racer.stdin.write("go\n")
            racer.stdin.flush()
        begun = [(await asyncio.to_thread(racer.communicate))[0].split() for racer in (first, second)]
        assert first.returncode == second.returncode == 0
    assert sorted(begun[0] + begun[1]) == sorted(f"job-{n}" for n in range(200))
    assert all(begun), "one of them was never there: no race"


DIE = """
await journal.apply([enter("kept"), Begin(ident("kept"), me)])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
async def test_what_returned_is_there_when_the_process_is_killed_at_once(place):
    with process(place, DIE) as killed:
        assert await asyncio.to_thread(killed.wait) == -9
    async with place.open() as journal:
        (found,) = await journal.find(ACCOUNT)
        assert (found.key, found.state) == ("kept", JobState.SENDING)


WRITE_ON = """
for n in range(100_000):
    await journal.apply([enter(str(n)), Begin(ident(str(n)), me)])
    print(n, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("after", [1, 10, 30])
async def test_a_process_killed_while_it_writes_leaves_all_it_was_told_and_nothing_half(place, after):
    with process(place, WRITE_ON) as killed:
        for _ in range(after):
            await line(killed)
        await asyncio.sleep(0.001 * after)
        killed.kill()
        told = after + len((await asyncio.to_thread(killed.stdout.read)).split())
    async with place.open() as journal:
        found = await journal.find(ACCOUNT)
        assert len(found) in (told, told + 1)
        assert [kept.key for kept in found] == [str(n) for n in range(len(found))]
        assert {kept.state for kept in found} == {JobState.SENDING}


STAY = """
await journal.apply([enter("paid"), enter("free", repeatable=True), enter("queued"), enter("submitted")])
await journal.apply([Begin(ident("paid"), me), Begin(ident("free"), me), Begin(ident("submitted"), me)])
await journal.apply([Accepted(ident("submitted"), "t1")])
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a lease has to run out")
async def test_jobs_of_a_killed_process_are_taken_over_at_once_and_nothing_is_paid_twice(place):
    with process(place, STAY) as killed:
        assert await line(killed) == "ready"
        async with place.open() as journal:
            kept = await journal.find(ACCOUNT)
            enter = [Enter(attrs.evolve(found, owner="mine")) for found in kept]
            assert [found.key for found in kept] == ["paid", "free", "queued", "submitted"]
            assert not any(outcome.changed for outcome in await journal.apply(enter))
            killed.kill()
            await asyncio.to_thread(killed.wait)
            after = [outcome.record for outcome in await journal.apply(enter)]
    assert [(found.state.value, found.owner) for found in after] == [
        ("unknown", None),
        ("queued", "mine"),
        ("queued", "mine"),
        ("submitted", "mine"),
    ]
    assert after[3].task_id == "t1"


# --- laws -----------------------------------------------------------------------------------------------------------

FINAL = {JobState.SUCCEEDED, JobState.FAILED}
BEFORE_SENDING = {JobState.QUEUED, JobState.CANCELLED}

keys = st.sampled_from(["a", "b"])
ids = keys.map(one)
owners = st.sampled_from(["anna", "bert"])
tasks = st.sampled_from(["t1", "t2"])
flags = st.booleans()
resends = st.sets(st.sampled_from([JobState.UNKNOWN, JobState.FAILED]))
entries = st.builds(
    lambda key, owner, free, resend: Enter(record(key, owner=owner, repeatable=free), resend=frozenset(resend)),
    keys, owners, flags, resends,
)  # fmt: skip
answers = st.one_of(
    st.builds(Accepted, ids, tasks, owner=st.none() | owners),
    st.builds(Refused, ids, owners, st.just("busy"), flags),
    st.builds(Doubted, ids, owners, st.just("lost")),
    st.builds(
        Finished,
        ids,
        st.just("{}"),
        error=st.sampled_from([None, "too loud"]),
        refunded=st.none() | flags,
        task_id=st.none() | tasks,
    ),
    st.builds(Released, ids, owners, cancelled=flags),
)
steps = st.one_of(entries, st.builds(Begin, ids, owners), answers)
acts = st.one_of(
    st.tuples(st.just("apply"), st.lists(steps, min_size=1, max_size=6)),
    st.tuples(st.just("lease"), owners, st.sampled_from([0, 10, 60])),
    st.tuples(st.just("wait"), st.sampled_from([1, 30])),
    st.tuples(st.just("prune"), st.sampled_from([0, 20])),
)


async def carry_out(journal, place, act):
    match act:
        case "apply", several:
            return await journal.apply(several)
        case "lease", owner, seconds:
            return await journal.lease(owner, seconds)
        case "wait", seconds:
            return await place.wait(seconds)
        case "prune", seconds:
            return await journal.prune(ACCOUNT, older_than=seconds)


def is_paid(record):
    """Whether the service has its credits: it took the job, and gave nothing back."""
    if record.state is JobState.FAILED:
        return record.refunded is False
    return record.state in (JobState.SUBMITTED, JobState.SUCCEEDED)


def check_laws(step, before, after):
    """Hold one change against what must be true of all changes."""
    sent_anew = isinstance(step, Enter) and (
        before.state in step.resend
        or (before.state is JobState.SENDING and JobState.UNKNOWN in step.resend)
        or (before.state is JobState.SENDING and before.repeatable)
    )
    if before.state not in BEFORE_SENDING and after.state in BEFORE_SENDING:
        assert sent_anew or isinstance(step, Refused)
    if before.state in FINAL and after != before:
        assert sent_anew
    if before.task_id is not None and after.task_id != before.task_id:
        assert sent_anew
    if after.state is JobState.SENDING and before.state is not JobState.SENDING:
        assert isinstance(step, Begin)
        assert (before.state, before.owner) == (JobState.QUEUED, step.owner)
    if after.state is JobState.SUBMITTED:
        assert after.task_id is not None
    if isinstance(step, Finished) and None not in (step.task_id, before.task_id) and step.task_id != before.task_id:
        assert after == before
    if isinstance(step, Accepted | Finished) and step.task_id in before.former.split():
        assert after == before
    if after.state is not before.state:
        paid = is_paid(after) - is_paid(before) + (before.state is JobState.UNKNOWN and sent_anew)
        back = isinstance(step, Enter) and before.state is JobState.SUCCEEDED
        assert after.credits - before.credits == after.cost * paid or sent_anew or back
    assert after.credits >= 0
    assert after.attempts == before.attempts + isinstance(step, Begin) * (after != before)
    assert after.created == before.created


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(acts, max_size=25))
def test_whatever_happens_all_journals_agree_and_the_laws_hold(plan):
    async def main(folder):
        places = [place(folder) for place in PLACES]
        async with contextlib.AsyncExitStack() as stack:
            journals = [await stack.enter_async_context(place.open()) for place in places]
            known = {}
            for act in plan:
                results = [
                    await carry_out(journal, place, act) for journal, place in zip(journals, places, strict=True)
                ]
                assert all(result == results[0] for result in results)
                if act[0] == "apply":
                    for step, outcome in zip(act[1], results[0], strict=True):
                        before = known.get(step.id)
                        assert outcome.changed == (outcome.record != before)
                        if before is not None:
                            check_laws(step, before, outcome.record)
                        if outcome.record is not None:
                            known[step.id] = outcome.record
                found = [await journal.find(ACCOUNT) for journal in journals]
                assert all(each == found[0] for each in found)
                if act[0] == "prune":
                    known = {kept.id: kept for kept in found[0]}
                assert sorted(known) == sorted(kept.id for kept in found[0])

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(folder))
