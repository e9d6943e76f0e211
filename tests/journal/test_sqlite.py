"""The SQLite journal's file and thread: opening, versions, failures, group commit. The rest is in `test_journal`."""

import asyncio
import contextlib
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import attrs
import pytest

from aimusic_async import JobState
from aimusic_async.errors import JournalError
from aimusic_async.journal import sqlite_tables
from aimusic_async.journal.record import JobRecord, record_id
from aimusic_async.journal.sqlite import SqliteJournal
from aimusic_async.journal.sqlite_tables import MIGRATIONS, Tables, connect
from aimusic_async.journal.steps import Begin, Enter

ACCOUNT = "account"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.sqlite"


def record(key="one", **rest):
    fields = {"group": "", "operation": "sonic.create_music", "owner": "me"} | rest
    return JobRecord(id=record_id(ACCOUNT, "", key), account=ACCOUNT, key=key, **fields)


async def keys(journal):
    return [found.key for found in await journal.find(ACCOUNT)]


def look(path, question, *values):
    """Ask the file past the journal."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        return db.execute(question, values).fetchall()


def commits(path):
    """How many transactions changed the file so far; SQLite counts them in its header. No journal may be at work."""
    return int.from_bytes(path.read_bytes()[24:28], "big")


async def make(path, *steps):
    """Make a journal that knows what these steps say."""
    async with SqliteJournal(path) as journal:
        await journal.apply(steps)


# --- the file -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
async def test_nobody_else_may_read_the_file_whatever_the_umask_says(path):
    before = os.umask(0)
    try:
        async with SqliteJournal(path) as journal:
            await journal.apply([Enter(record())])
            assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}
    finally:
        os.umask(before)


async def test_the_file_is_as_safe_as_sqlite_can_make_it(path):
    db = connect(str(path), patience=1)
    with contextlib.closing(db):
        told = {
            name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "fullfsync")
        }
    assert told == {"journal_mode": "truncate", "synchronous": 2, "fullfsync": 1}


async def test_the_table_has_the_fields_of_a_record(path):
    await make(path)
    assert [name for _, name, *_ in look(path, "PRAGMA table_info(records)")] == [
        field.name for field in attrs.fields(JobRecord)
    ]


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({"group": "album"}, "sqlite_autoindex_records_2"),
        ({"states": [JobState.QUEUED, JobState.UNKNOWN]}, "by_state"),
        ({"task_id": "t1"}, "by_task"),
        ({"changed_since": 1.0}, "by_change"),
    ],
)
async def test_what_is_often_looked_for_has_an_index(path, filters, index):
    asked = []
    with contextlib.closing(connect(str(path), patience=1)) as db:
        db.set_trace_callback(asked.append)
        everything = dict.fromkeys(["group", "states", "key", "task_id", "changed_since", "limit"])
        Tables(db, 0).find(ACCOUNT, **everything | filters)
        (plan, *_) = db.execute(f"EXPLAIN QUERY PLAN {asked[0]}").fetchall()
    assert f"USING INDEX {index} (" in plan[-1]
    assert len(re.findall(r"[=>]\?", plan[-1])) == 2


async def test_a_path_may_be_a_text_and_in_the_folder_that_one_is_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with SqliteJournal("here.sqlite") as journal:
        monkeypatch.chdir("/")
        await journal.apply([Enter(record())])
    await make(tmp_path / "here.sqlite", Begin(record().id, "me"))
    assert [found.name for found in tmp_path.iterdir() if found.stat().st_size] == ["here.sqlite"]


@pytest.mark.skipif(os.name != "posix", reason="links are for administrators elsewhere")
async def test_a_link_to_a_file_that_is_not_there_yet_is_followed(path, tmp_path):
    path.symlink_to(tmp_path / "real.sqlite")
    await make(path, Enter(record()))
    assert path.is_symlink()
    assert stat.S_IMODE((tmp_path / "real.sqlite").stat().st_mode) == 0o600


# --- versions -------------------------------------------------------------------------------------------------------

SECOND = (*MIGRATIONS, ("ALTER TABLE owners ADD COLUMN host TEXT", "CREATE INDEX by_owner ON records (owner)"))


async def test_the_next_version_takes_over_the_records_of_this_one(path, monkeypatch):
    await make(path, Enter(record()))
    monkeypatch.setattr(sqlite_tables, "MIGRATIONS", SECOND)
    async with SqliteJournal(path) as journal:
        assert await keys(journal) == ["one"]
    assert look(path, "PRAGMA user_version") == [(2,)]
    assert look(path, "SELECT count(host) FROM owners") == [(0,)]


@pytest.mark.parametrize("known", [False, True])
async def test_many_that_open_at_once_migrate_once(path, monkeypatch, known):
    if known:
        await make(path, Enter(record()))
    monkeypatch.setattr(sqlite_tables, "MIGRATIONS", SECOND)
    async with contextlib.AsyncExitStack() as stack:
        opening = [stack.enter_async_context(SqliteJournal(path)) for _ in range(8)]
        for journal in await asyncio.gather(*opening):
            assert await keys(journal) == ["one"] * known
    assert look(path, "PRAGMA user_version") == [(2,)]


async def test_a_migration_that_fails_leaves_all_as_it_was(path, monkeypatch):
    await make(path, Enter(record()))
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_tables, "MIGRATIONS", (*SECOND, ("CREATE TABLE third (x)", "nonsense")))
        with pytest.raises(JournalError, match="nonsense"):
            await make(path)
    assert look(path, "PRAGMA user_version") == [(1,)]
    async with SqliteJournal(path) as journal:
        assert await keys(journal) == ["one"]


# --- what cannot be opened ------------------------------------------------------------------------------------------


def a_text(path):
    path.write_text("dear diary, " * 100)


def a_few_bytes(path):
    path.write_bytes(b"hello")


def another_programs(path):
    look(path, "CREATE TABLE cats (name TEXT)")


def marked_by_another_program(path):
    look(path, "PRAGMA application_id = 7")


def a_newer_one(path):
    asyncio.run(make(path))
    look(path, "PRAGMA user_version = 99")


def damaged(path):
    asyncio.run(make(path, *(Enter(record(f"{n}", request="x" * 1000)) for n in range(50))))
    held = bytearray(path.read_bytes())
    held[len(held) // 2 : len(held) // 2 + 4096] = b"\x5a" * 4096
    path.write_bytes(held)


def cut_off(path):
    asyncio.run(make(path, *(Enter(record(f"{n}", request="x" * 1000)) for n in range(50))))
    os.truncate(path, path.stat().st_size // 2)


def a_folder(path):
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (a_text, "is no SQLite file"),
        (a_few_bytes, "is no SQLite file"),
        (another_programs, "is another program's"),
        (marked_by_another_program, "is another program's"),
        (a_newer_one, "newer aimusic-async; update"),
        (damaged, "is damaged"),
        (cut_off, "is damaged"),
        (a_folder, "cannot be opened"),
    ],
)
def test_what_is_no_sound_journal_is_named_and_left_as_it_is(path, spoil, why):
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(JournalError) as caught:
        asyncio.run(make(path))
    assert str(path) in str(caught.value)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert before == (path.read_bytes() if path.is_file() else None)


async def test_a_folder_that_is_missing_is_not_made(tmp_path):
    with pytest.raises(JournalError, match=r"its folder does not exist; make the folder"):
        await make(tmp_path / "missing" / "jobs.sqlite")
    assert not any(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=r"look at its folder \(Not a directory\)"):
        await make(tmp_path / "file" / "jobs.sqlite")


@pytest.fixture
def ours():
    """A folder that we own, as a user who is not root; files below pytest's own folders would be out of reach."""
    if os.name != "posix":
        pytest.skip("rights to files")
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid() != 0:
            yield Path(folder)
            return
        os.chown(folder, 65534, -1)
        os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)


async def test_a_file_that_may_not_be_written_is_told_at_once(ours):
    path = ours / "jobs.sqlite"
    await make(path)
    path.chmod(0o400)
    with pytest.raises(JournalError, match="cannot be written; make the file and its folder writable"):
        await make(path)
    path.chmod(0)
    with pytest.raises(JournalError, match="cannot be opened; make the file and its folder writable"):
        await make(path)


async def test_a_folder_that_may_not_be_written_is_told_at_once(ours):
    path = ours / "jobs.sqlite"
    await make(path)
    ours.chmod(0o500)
    try:
        with pytest.raises(JournalError, match=r"look at its folder \(Permission denied\)"):
            await make(ours / "new.sqlite")
        for left in ours.glob("*-journal"):
            ours.chmod(0o700)
            left.unlink()
            ours.chmod(0o500)
        with pytest.raises(JournalError, match="make the file and its folder writable"):
            await make(path)
    finally:
        ours.chmod(0o700)


# --- failures while it is open --------------------------------------------------------------------------------------

OUT_OF_ROOM = """
import asyncio, os, sys
from pathlib import Path
from aimusic_async.errors import JournalError
from aimusic_async.journal.record import *
from aimusic_async.journal.steps import *
from aimusic_async.journal.sqlite import SqliteJournal

folder = Path(sys.argv[1])
{fill_and_free}

def enter(key):
    job = record_id("a", "", key)
    return Enter(JobRecord(id=job, account="a", group="", key=key, operation="o", request="x" * 20000, owner="me"))

async def main():
    async with SqliteJournal(folder / "jobs.sqlite") as journal:
        await journal.apply([enter("before"), Begin(enter("before").id, "me")])
        fill()
        calls = [journal.apply([enter(str(n))]) for n in range(20)]
        calls += [journal.apply([Begin(enter("before").id, "me")]), journal.find("a")]
        *failed, unchanged, found = await asyncio.gather(*calls, return_exceptions=True)
        assert {{type(error) for error in failed}} == {{JournalError}}, failed
        assert not unchanged[0].changed
        assert [record.key for record in found] == ["before"]
        print(failed[0])
        try:
            async with SqliteJournal(folder / "jobs.sqlite"):
                print("opened")
        except JournalError as error:
            print(error)
        free()
        await journal.apply([enter("after")])
    async with SqliteJournal(folder / "jobs.sqlite") as journal:
        assert [record.key for record in await journal.find("a")] == ["before", "after"]
        print("works again")

asyncio.run(main())
"""

FULL_DISK = """
def fill():
    with (folder / "rest").open("wb", buffering=0) as rest:
        try:
            while rest.write(b"x" * 512):
                pass
        except OSError:
            pass

def free():
    (folder / "rest").unlink()
"""

NO_FILE_MAY_GROW = """
import resource
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)

def fill():
    resource.setrlimit(resource.RLIMIT_FSIZE, (256, most))

def free():
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
"""


def out_of_room(fill_and_free, folder, *before):
    """Run that in another process; return what it printed."""
    source = OUT_OF_ROOM.format(fill_and_free=fill_and_free)
    command = [*before, sys.executable, "-X", "dev", "-W", "error", "-c", source, str(folder)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()


MOUNTED = [
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    'mount -t tmpfs -o size=256k none "$0" && exec "$@"',
]


def disks():
    """Whether small disks can be made here."""
    if not shutil.which("unshare"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run([*MOUNTED, folder, "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not disks(), reason="no disk can be made here")
def test_a_full_disk_is_told_and_the_journal_works_again_when_there_is_room(tmp_path):
    path = tmp_path / "jobs.sqlite"
    assert out_of_room(FULL_DISK, tmp_path, *MOUNTED, str(tmp_path)) == [
        f"the journal {path} cannot be written, the disk is full; make room",
        f"the journal {path} cannot be written, the disk is full; make room",
        "works again",
    ]


@pytest.mark.skipif(os.name != "posix", reason="limits of a process")
def test_a_disk_that_refuses_to_write_is_told_and_the_journal_works_again(tmp_path):
    first, second, third = out_of_room(NO_FILE_MAY_GROW, tmp_path)
    assert first == second == f"the journal {tmp_path / 'jobs.sqlite'} could not be read or written; look at its disk"
    assert third == "works again"


async def test_a_file_that_another_process_holds_for_too_long_fails_all_that_waits_and_only_that(path):
    async with SqliteJournal(path, patience=0.05) as journal:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            calls = [journal.apply([Enter(record(f"{n}"))]) for n in range(5)]
            failed = await asyncio.gather(*calls, journal.find(ACCOUNT), return_exceptions=True)
            assert len({id(error) for error in failed}) == 6
            for error in failed:
                with pytest.raises(JournalError, match="was locked by another process for too long"):
                    raise error
            with pytest.raises(JournalError, match="was locked by another process for too long"):
                await make_with_patience(path, 0.05)
        await journal.apply([Enter(record("after"))])
        assert await keys(journal) == ["after"]


async def make_with_patience(path, patience):
    async with SqliteJournal(path, patience=patience):
        pass


async def test_a_file_that_another_process_holds_for_a_while_is_waited_for(path):
    async with SqliteJournal(path) as journal:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.ensure_future(journal.apply([Enter(record())]))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            other.execute("ROLLBACK")
            assert (await waiting)[0].changed


@pytest.mark.skipif(os.name != "posix", reason="elsewhere an open file stays where it is")
async def test_a_file_that_was_removed_is_not_written_into_the_void(path):
    async with SqliteJournal(path) as journal:
        path.unlink()
        with pytest.raises(JournalError, match="was moved or removed while it was open"):
            await journal.apply([Enter(record())])


@attrs.frozen
class Broken:
    """A step that fails."""

    id: str = "x"

    def after(self, record, *, now, alive):
        raise ZeroDivisionError("oh")


@pytest.mark.parametrize(
    ("step", "cause"), [(Broken(), ZeroDivisionError), (Enter(record("x", error="\ud800")), UnicodeEncodeError)]
)
async def test_what_cannot_be_kept_fails_alone_and_whole(path, step, cause):
    async with SqliteJournal(path) as journal:
        good = [journal.apply([Enter(record(f"{n}"))]) for n in range(3)]
        bad = journal.apply([Enter(record("lost")), step])
        *kept, error = await asyncio.gather(*good, bad, return_exceptions=True)
        assert all(outcome.changed for (outcome,) in kept)
        with pytest.raises(JournalError, match="could not do what was asked") as caught:
            raise error
        assert isinstance(caught.value.__cause__, cause)
        assert await keys(journal) == ["0", "1", "2"]


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
            await journal.apply([Enter(record()), Begin(record().id, "me")])
            await journal.save(ACCOUNT, "n", "text")
            await journal.prune(ACCOUNT, older_than=0)
            await keys(journal)
            await journal.load(ACCOUNT, "n")
    assert commits(path) - before == 2  # opening it, and the first text


async def test_a_lease_counts_for_the_steps_behind_it_in_the_same_transaction(path):
    with contextlib.closing(connect(str(path), patience=1)) as db:
        tables = Tables(db, now=10)
        tables.apply([Enter(record(owner="theirs"))])
        assert tables.apply([Enter(record())])[0].changed
        assert tables.apply([Enter(record(owner="theirs"))])[0].changed
        tables.lease("theirs", 1)
        assert not tables.apply([Enter(record())])[0].changed
        tables.lease("theirs", 0)
        assert tables.apply([Enter(record())])[0].changed


async def test_leases_that_ran_out_are_forgotten(path):
    now = 0
    async with SqliteJournal(path, clock=lambda: now) as journal:
        for n in range(10):
            now = n
            await journal.lease(f"owner {n}", 2.5)
    assert look(path, "SELECT owner FROM owners ORDER BY until") == [("owner 7",), ("owner 8",), ("owner 9",)]


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
