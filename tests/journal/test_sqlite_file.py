"""The SQLite journal's file: how it is opened, what cannot be opened, and what fails while it is open."""

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
from pathlib import Path

import attrs
import pytest

from aimusic_async.errors import JournalError
from aimusic_async.events import JobState
from aimusic_async.journal.leases import steady
from aimusic_async.journal.record import JobRecord
from aimusic_async.journal.sqlite import SqliteJournal
from aimusic_async.journal.sqlite_file import connect
from aimusic_async.journal.sqlite_tables import Tables
from aimusic_async.journal.steps import Begin, Enter

from .places import ACCOUNT, keys, look, make, record


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.sqlite"


# --- opening --------------------------------------------------------------------------------------------------------


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
    db = connect(str(path), patience=1, now=0)
    with contextlib.closing(db):
        found = {
            name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "fullfsync")
        }
    assert found == {"journal_mode": "truncate", "synchronous": 2, "fullfsync": 1}


async def test_the_table_has_the_fields_of_a_record(path):
    await make(path)
    columns = {name for _, name, *_ in look(path, "PRAGMA table_info(records)")}
    assert columns == {field.name for field in attrs.fields(JobRecord)} - {"former"} | {"other_tasks"}


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({"group": "album"}, "sqlite_autoindex_records_2"),
        ({"states": [JobState.QUEUED, JobState.UNKNOWN]}, "by_state"),
        ({"task_id": "t1"}, "by_task"),
        ({"after": 1}, "by_sequence"),
    ],
)
async def test_what_is_often_looked_for_has_an_index(path, filters, index):
    asked = []
    with contextlib.closing(connect(str(path), patience=1, now=0)) as db:
        tables = Tables(db, str(path), patience=1, clock=lambda: 0, steady=steady, warned=set())
        db.set_trace_callback(asked.append)
        tables.find(ACCOUNT, **filters)
        plan = "; ".join(step[-1] for step in db.execute(f"EXPLAIN QUERY PLAN {asked[0]}").fetchall())
    assert f"USING INDEX {index} (" in plan
    assert len(re.findall(r"[=>]\?", plan)) == 1 + (index != "by_sequence")
    assert ("ORDER BY" in plan) == (index != "by_sequence")


async def test_a_path_may_be_a_text_and_in_the_folder_that_one_is_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with SqliteJournal("here.sqlite") as journal:
        monkeypatch.chdir("/")
        await journal.apply([Enter(record())])
    await make(tmp_path / "here.sqlite", Begin(record().id, "mine", 1))
    assert [found.name for found in tmp_path.iterdir() if found.stat().st_size] == ["here.sqlite"]


@pytest.mark.skipif(os.name != "posix", reason="links are for administrators elsewhere")
async def test_a_link_to_a_file_that_is_not_there_yet_is_followed(path, tmp_path):
    path.symlink_to(tmp_path / "real.sqlite")
    await make(path, Enter(record()))
    assert path.is_symlink()
    assert stat.S_IMODE((tmp_path / "real.sqlite").stat().st_mode) == 0o600


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
    assert caught.value.passing == (spoil is a_folder)
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


async def test_a_file_that_may_not_be_written_is_reported_at_once(ours):
    path = ours / "jobs.sqlite"
    await make(path)
    path.chmod(0o400)
    with pytest.raises(JournalError, match="cannot be written; make the file and its folder writable"):
        await make(path)
    path.chmod(0)
    with pytest.raises(JournalError, match="cannot be opened; make the file and its folder writable"):
        await make(path)


async def test_a_folder_that_may_not_be_written_is_reported_at_once(ours):
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
        await journal.apply([enter("before"), Begin(enter("before").id, "me", 1)])
        fill()
        calls = [journal.apply([enter(str(n))]) for n in range(20)]
        calls += [journal.apply([Begin(enter("before").id, "me", 1)]), journal.find("a")]
        *failed, unchanged, found = await asyncio.gather(*calls, return_exceptions=True)
        assert {{type(error) for error in failed}} == {{JournalError}}, failed
        assert not unchanged[0].changed
        assert [record.key for record in found] == ["before"]
        assert all(error.passing for error in failed)
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
def test_a_full_disk_is_reported_and_the_journal_works_again_when_there_is_room(tmp_path):
    path = tmp_path / "jobs.sqlite"
    assert out_of_room(FULL_DISK, tmp_path, *MOUNTED, str(tmp_path)) == [
        f"the journal {path} cannot be written, the disk is full; make room",
        f"the journal {path} cannot be written, the disk is full; make room",
        "works again",
    ]


@pytest.mark.skipif(os.name != "posix", reason="limits of a process")
def test_a_disk_that_refuses_to_write_is_reported_and_the_journal_works_again(tmp_path):
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
                assert error.passing
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
