"""The SQLite journal's thread, its transactions, its owners, and rows and steps that are odd."""

import asyncio
import contextlib
import logging
import sqlite3
import subprocess
import sys
import threading

import attrs
import pytest

from aimusic_async.errors import JournalError
from aimusic_async.events import JobState
from aimusic_async.journal.budget import Ledger
from aimusic_async.journal.leases import LEASE, SENDING_LEASE, owner_name
from aimusic_async.journal.protocol import Outcome
from aimusic_async.journal.sqlite import SqliteJournal
from aimusic_async.journal.steps import Accepted, Begin, Enter, Finished

from .places import ACCOUNT, Put, Sqlite, keys, look, make, one, record


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.sqlite"


def commits(path):
    """How many transactions changed the file so far; SQLite counts them in its header. No journal may be at work."""
    return int.from_bytes(path.read_bytes()[24:28], "big")


# --- steps that cannot be stored ------------------------------------------------------------------------------------


@attrs.frozen
class Broken:
    """A step that fails."""

    id: str = "x"

    def after(self, record, moment):
        raise ZeroDivisionError("oh")


POISON = {
    "a step that fails": (Broken(), ZeroDivisionError),
    "half a character": (Enter(record("x", error="\ud800")), UnicodeEncodeError),
    "half a character in a key": (Enter(record("\ud800", account=ACCOUNT)), UnicodeEncodeError),
    "half a character in an id": (Accepted("\ud800", "t1"), UnicodeEncodeError),
    "half a character in a group": (Enter(record("x", group="\ud800")), UnicodeEncodeError),
    "half a character in an answer": (Finished(one("good"), "\ud800"), UnicodeEncodeError),
    "a number that is too large": (Enter(record("x", cost=2**63)), OverflowError),
    "a limit that is too large": (Begin(one("good", "album"), "mine", 1, {"group:album": 2**63}), OverflowError),
    "a budget that grows too large": (Put(record("x", group="album", credits=2**63 - 1)), OverflowError),
    "a text that is too long": (Enter(record("x", error="x" * 1001)), sqlite3.DataError),
    "a value of another kind": (Enter(record("x", error=["no", "text"])), sqlite3.Error),
    "nothing where something must be": (Enter(record("x", operation=None)), sqlite3.IntegrityError),
    "an id that another job has": (Enter(attrs.evolve(record("x"), id=one("good"))), sqlite3.IntegrityError),
}


@pytest.mark.parametrize("name", POISON)
async def test_a_step_that_cannot_be_stored_changes_nothing_and_harms_no_other(path, name):
    step, cause = POISON[name]
    async with SqliteJournal(path) as journal:
        await journal.apply([Enter(record("good")), Enter(record("good", group="album"))])
        await journal.apply([Put(record("spent", group="album", credits=1))])
        if cause is sqlite3.DataError:  # SQLite's own limit would take a gigabyte
            await journal._ask(lambda tables: tables._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1000))
        before = {kept.id: kept for kept in await journal.find(ACCOUNT)}
        call = journal.apply([Enter(record("a")), step, Enter(record("b"))])
        (a, poison, b), (c,) = await asyncio.gather(call, journal.apply([Enter(record("c"))]))
        assert (a.changed, b.changed, c.changed) == (True, True, True)
        assert (poison.changed, poison.record) == (False, before.get(step.id) if name != list(POISON)[-1] else None)
        assert isinstance(poison.error.__cause__, cause)
        assert not poison.error.passing
        assert f"the journal {path} could not do what was asked" in str(poison.error)
        assert sorted(await keys(journal)) == ["a", "b", "c", "good", "good", "spent"]
        assert [each.record.sequence for each in (a, b, c)] == [4, 5, 6]
        assert (await journal.ledgers(ACCOUNT))["group:album"] == Ledger(spent=1)


async def test_a_text_that_cannot_be_kept_fails_alone(path):
    async with SqliteJournal(path) as journal:
        good = [journal.apply([Enter(record(f"{n}"))]) for n in range(3)]
        *kept, error = await asyncio.gather(*good, journal.save(ACCOUNT, "n", "\ud800"), return_exceptions=True)
        assert all(outcome.changed for (outcome,) in kept)
        assert isinstance(error, JournalError)
        assert not error.passing
        assert await keys(journal) == ["0", "1", "2"]


# --- rows that this version cannot read -----------------------------------------------------------------------------

ODD = {
    "a state of a later version": ("state", "'paused'"),
    "a blob": ("error", "x'00ff'"),
    "a text that is none": ("error", "CAST(x'ff' AS TEXT)"),
    "words for a number": ("cost", "'dear'"),
    "a fraction": ("attempts", "1.5"),
    "words for a time": ("updated", "'noon'"),
    "words for a change": ("sequence", "'last'"),
}


@pytest.mark.parametrize("name", ODD)
async def test_a_row_that_cannot_be_read_is_left_out_with_one_warning(path, name, caplog):
    column, value = ODD[name]
    await make(path, *(Enter(record(key)) for key in ("before", "odd", "behind")))
    look(path, f'UPDATE records SET "{column}" = {value} WHERE "key" = \'odd\'')
    async with SqliteJournal(path) as journal:
        with caplog.at_level(logging.WARNING, "aimusic_async"):
            for _ in range(3):
                assert await keys(journal) == ["before", "behind"]
        (warning,) = caplog.messages
        assert f"the job 'odd' of the group '', which this version cannot read ({column}: " in warning
        for step in (Enter(record("odd")), Begin(one("odd"), "mine", 1)):
            good, outcome = await journal.apply([Enter(record("good")), step])
            assert good.error is None
            assert outcome == Outcome(None, changed=False, error=outcome.error)
            assert "cannot read" in str(outcome.error)
            assert not outcome.error.passing
        assert await keys(journal) == ["before", "behind", "good"]
        assert await journal.latest() == 4
    assert look(path, "SELECT count(*) FROM records") == [(4,)]


# --- owners ---------------------------------------------------------------------------------------------------------


async def test_after_the_machine_was_started_anew_nobody_lives_who_lived_before(tmp_path):
    place = Sqlite(tmp_path)
    async with place.open() as journal:
        await journal.beat("theirs", ACCOUNT)
        await journal.apply([Enter(record(owner="theirs")), Enter(record("b", owner="theirs"))])
        await journal.apply([Begin(one("b"), "theirs", 1)])
        place.boot, place.steady = "second", 1001.0  # later on the clock by a second, and in truth by a day
        assert await journal.owners(ACCOUNT) == {}
        a, b = await journal.apply([Enter(record()), Enter(record("b"))])
        assert (a.record.owner, b.record.state) == ("mine", JobState.UNKNOWN)
        await journal.beat("mine", ACCOUNT)
    assert look(place.path, "SELECT owner, boot, heard FROM owners") == [("mine", "second", 1001.0)]


async def test_where_a_boot_has_no_name_a_clock_that_went_back_is_another_boot(tmp_path):
    place = Sqlite(tmp_path)
    place.boot = ""
    async with place.open() as journal:
        await journal.beat("theirs", ACCOUNT)
        await journal.apply([Enter(record(owner="theirs"))])
        place.steady -= 0.5  # read before, written later
        assert await journal.owners(ACCOUNT) == {"theirs": 0}
        place.steady = 3.0
        assert await journal.owners(ACCOUNT) == {}
        assert (await journal.apply([Enter(record())]))[0].changed


async def test_owners_that_were_silent_for_long_are_forgotten(tmp_path):
    place = Sqlite(tmp_path)
    async with place.open() as journal:
        for n in range(5):
            await journal.beat(f"owner {n}", ACCOUNT)
            await place.wait(SENDING_LEASE / 2 - 1)
        assert len(await journal.owners(ACCOUNT)) == 3
    assert look(place.path, "SELECT owner FROM owners ORDER BY heard") == [(f"owner {n}",) for n in (2, 3, 4)]


STAY = "from aimusic_async.journal.leases import owner_name; print(owner_name(), flush=True); input()"


@pytest.fixture
def killed():
    """The name of an owner whose process has been killed."""
    with subprocess.Popen([sys.executable, "-c", STAY], stdin=-1, stdout=-1, text=True) as process:
        name = process.stdout.readline().strip()
        process.kill()
    return name


@pytest.mark.skipif(sys.platform == "win32", reason="there a lease has to run out")
async def test_an_owner_whose_process_was_killed_is_silent_for_ever_and_one_that_runs_is_not(path, killed):
    running = owner_name()
    async with SqliteJournal(path) as journal:
        for owner in (killed, running):
            await journal.beat(owner, ACCOUNT)
            await journal.apply([Enter(record(owner, owner=owner))])
        assert list(await journal.owners(ACCOUNT)) == [running]
        outcomes = await journal.apply([Enter(attrs.evolve(each, owner="me")) for each in await journal.find(ACCOUNT)])
        assert [outcome.changed for outcome in outcomes] == [True, False]


async def test_a_beat_counts_for_the_steps_behind_it_in_the_same_transaction(path):
    async with SqliteJournal(path) as journal:
        theirs, mine = Enter(record(owner="theirs")), Enter(record())

        def together(tables):
            first = [*tables.apply([theirs]), *tables.apply([mine]), *tables.apply([theirs])]
            tables.beat("theirs", ACCOUNT, alive=True)
            kept = tables.apply([mine])
            tables.beat("theirs", ACCOUNT, alive=False)
            return [outcome.changed for outcome in (*first, *kept, *tables.apply([mine]))]

        assert await journal._ask(together) == [True, True, True, False, True]


async def test_the_default_clock_of_leases_is_that_of_the_machine(path):
    async with SqliteJournal(path) as here, SqliteJournal(path, clock=lambda: 5.0) as there:
        await here.beat("mine", ACCOUNT)
        assert 0 <= (await there.owners(ACCOUNT))["mine"] < LEASE


# --- the thread and its transactions --------------------------------------------------------------------------------


async def test_what_waits_together_is_one_transaction(path):
    await make(path)
    before = commits(path)
    async with SqliteJournal(path) as journal:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            calls = [asyncio.ensure_future(journal.apply([Enter(record(f"{n}"))])) for n in range(500)]
            await asyncio.sleep(0)
            other.execute("ROLLBACK")
        assert all(outcome.changed for (outcome,) in await asyncio.gather(*calls))
    assert commits(path) - before <= 3  # to open it; what the thread had taken when the lock stopped it; the rest


async def test_what_changes_nothing_writes_nothing(path):
    await make(path, Enter(record(state=JobState.UNKNOWN)))
    before = commits(path)
    async with SqliteJournal(path) as journal:
        await journal.save(ACCOUNT, "n", "text")
        for _ in range(5):
            await journal.apply([Enter(record()), Begin(record().id, "mine", 1)])
            await journal.save(ACCOUNT, "n", "text")
            await journal.prune(ACCOUNT, older_than=0)
            await journal.migrate_accounts(ACCOUNT, "0" * 16)
            await journal.beat("nobody", ACCOUNT, alive=False)
            await keys(journal)
            await journal.load(ACCOUNT, "n")
    assert commits(path) - before == 2  # opening it, and the first text


async def test_closing_writes_what_was_asked_for(path):
    async with SqliteJournal(path) as journal:
        calls = [asyncio.ensure_future(journal.apply([Enter(record(f"{n}"))])) for n in range(20)]
        await asyncio.sleep(0)
    assert all(call.done() and call.result()[0].changed for call in calls)
    async with SqliteJournal(path) as journal:
        assert len(await keys(journal)) == 20


async def test_what_was_cancelled_while_it_waited_is_written_all_the_same(path):
    async with SqliteJournal(path) as journal:
        call = asyncio.ensure_future(journal.apply([Enter(record())]))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await keys(journal) == ["one"]


async def test_a_journal_that_is_not_open_says_so(path):
    journal = SqliteJournal(path)
    for call in (journal.apply, journal.find):
        with pytest.raises(JournalError, match="is not open"):
            await call([])
    async with journal:
        with pytest.raises(JournalError, match="is open already"):
            await journal.__aenter__()
        await journal.apply([Enter(record())])
    with pytest.raises(JournalError, match="is not open"):
        await journal.save(ACCOUNT, "n", "text")
    async with journal:
        assert await keys(journal) == ["one"]


def threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("aimusic-journal")]


async def test_the_thread_ends_with_the_journal(path):
    async with SqliteJournal(path) as journal:
        assert len(threads()) == 1
        await journal.apply([Enter(record())])
    assert threads() == []
    with pytest.raises(JournalError):
        await make(path / "below")
    while threads():
        await asyncio.sleep(0.001)


async def test_cancelling_the_opening_leaves_nothing_open(path):
    await make(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        journal = SqliteJournal(path)
        opening = asyncio.ensure_future(journal.__aenter__())
        while not threads():
            await asyncio.sleep(0.001)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        other.execute("ROLLBACK")
    async with journal:  # another thread, while the first one may still be at it
        await journal.apply([Enter(record())])
    while threads():
        await asyncio.sleep(0.001)


async def test_cancelling_the_closing_still_writes_and_ends_the_thread(path):
    journal = SqliteJournal(path)
    await journal.__aenter__()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        call = asyncio.ensure_future(journal.apply([Enter(record())]))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(journal.__aexit__())
        await asyncio.sleep(0.02)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert not call.done()
        other.execute("ROLLBACK")
    assert (await call)[0].changed
    while threads():
        await asyncio.sleep(0.001)


def test_one_object_serves_one_loop_after_another(path):
    journal = SqliteJournal(path)

    async def begin():
        await journal.__aenter__()
        await journal.apply([Enter(record())])
        asyncio.ensure_future(journal.apply([Enter(record("left"))]))  # noqa: RUF006 - the loop ends before its answer
        await asyncio.sleep(0)

    async def go_on():
        assert await keys(journal) == ["one", "left"]
        await journal.__aexit__()

    asyncio.run(begin())
    asyncio.run(go_on())


UNCLOSED = """
import asyncio, sys
from aimusic_async.journal.sqlite import SqliteJournal
asyncio.run(SqliteJournal(sys.argv[1]).__aenter__())
"""


def test_a_program_that_forgets_to_close_it_ends_all_the_same(path):
    subprocess.run([sys.executable, "-c", UNCLOSED, str(path)], check=True, timeout=15)
