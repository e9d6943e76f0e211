"""A journal that cannot be used is a clear error before anything is sent; one that breaks in mid-run loses nothing."""

import asyncio
import os
import re
import sqlite3
import sys
import tempfile
from pathlib import Path

import pytest

from aimusic_async import ConfigurationError, JobState, JournalError, MusicSession
from aimusic_async.sandbox import Options, Sandbox

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions and limits of POSIX")

NOBODY = 65534


@pytest.fixture
async def box():
    async with Sandbox(Options(speed=60)) as sandbox:
        yield sandbox
        assert sandbox.books.requests == []


@pytest.fixture
def unprivileged():
    """Let permissions count, also for root. Files of this user that others may not read cannot be read meanwhile."""
    from aimusic_async.jobs import link  # noqa: F401 - cannot be loaded later
    from aimusic_async.limiting import shared  # noqa: F401 - as above

    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    yield
    os.seteuid(0)


@pytest.fixture
def folder():
    """A folder that everybody may enter; those of pytest are for their owner."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


async def refused(box, path):
    """Open a session with this journal, which fails; return the text."""
    with pytest.raises(JournalError) as caught:
        async with MusicSession(box.key, box.url, journal=path):
            pass
    told = str(caught.value)
    assert str(path) in told
    assert "\n" not in told
    return told


async def make_journal(box, path):
    async with MusicSession(box.key, box.url, journal=path):
        pass


async def test_a_folder_that_is_missing(box, tmp_path):
    assert "make the folder, or name another" in await refused(box, tmp_path / "missing" / "jobs.db")
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_instead_of_a_file(box, tmp_path):
    assert re.search("name another|look at its folder", await refused(box, tmp_path))


async def test_a_file_where_a_folder_should_be(box, tmp_path):
    (tmp_path / "file").write_text("")
    assert "look at its folder (Not a directory)" in await refused(box, tmp_path / "file" / "jobs.db")


async def test_a_folder_that_is_read_only(box, folder, request):
    folder.chmod(0o555)
    request.getfixturevalue("unprivileged")
    assert "look at its folder (Permission denied)" in await refused(box, folder / "jobs.db")


async def test_a_file_that_is_read_only(box, folder, request):
    await make_journal(box, folder / "jobs.db")
    (folder / "jobs.db").chmod(0o444)
    folder.chmod(0o555)
    request.getfixturevalue("unprivileged")
    assert "make the file and its folder writable" in await refused(box, folder / "jobs.db")


async def test_a_file_that_is_writable_in_a_folder_that_is_not(box, folder, request):
    await make_journal(box, folder / "jobs.db")
    (folder / "jobs.db").chmod(0o666)
    folder.chmod(0o555)
    request.getfixturevalue("unprivileged")
    assert "make the file and its folder writable" in await refused(box, folder / "jobs.db")


async def test_a_journal_of_a_newer_version(box, tmp_path):
    path = tmp_path / "jobs.db"
    await make_journal(box, path)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 1000")
    db.close()
    before = path.read_bytes()
    assert "newer aimusic-async; update this one, or name another" in await refused(box, path)
    assert path.read_bytes() == before


async def test_the_database_of_another_program(box, tmp_path):
    path = tmp_path / "jobs.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE records (mine TEXT)")
    db.close()
    before = path.read_bytes()
    assert "another program's SQLite file; name another" in await refused(box, path)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database(box, tmp_path):
    (tmp_path / "notes.txt").write_text("My notes about songs. " * 500)
    assert "is no SQLite file; name another" in await refused(box, tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "My notes about songs. " * 500


PAGE = 4096
GARBAGE = b"\xa5"
DAMAGE = {
    "all but the first page is garbage": lambda whole: whole[:PAGE] + GARBAGE * (len(whole) - PAGE),
    "the page of the records is garbage": lambda whole: whole[:PAGE] + GARBAGE * PAGE + whole[2 * PAGE :],
    "cut in the middle": lambda whole: whole[: len(whole) // 2],
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_file_that_is_damaged(box, tmp_path, damage):
    path = tmp_path / "jobs.db"
    await make_journal(box, path)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    assert "is damaged; keep it, for it says what was paid" in await refused(box, path)


async def test_a_rate_limit_that_cannot_be_kept_beside_it(box, tmp_path):
    (tmp_path / "jobs.db-limit").mkdir()
    with pytest.raises(ConfigurationError, match=r"jobs\.db-limit"):
        async with MusicSession(box.key, box.url, journal=tmp_path / "jobs.db"):
            pass


# --- in mid-run ------------------------------------------------------------------------------------------------------

FULL = """
import asyncio, resource, signal, sys
from pathlib import Path
from aimusic_async import MusicSession, Settings, sonic

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write past the limit fails, as on a full disk

def may_grow_to(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def main(url, path, numbers):
    settings = Settings(api_key="sandbox-key", base_url=url, speed=60)
    async with MusicSession(settings=settings, journal=path) as music:
        def song(number):
            return music.submit(sonic.CreateMusic(prompt=f"{number} " + "la " * 900, mv="sonic-v5"), key=f"{number}")

        first = [song(number) for number in range(2)]
        for job in first:
            await job.accepted()
        may_grow_to(Path(path).stat().st_size)
        late = [song(number) for number in range(2, int(numbers))]
        await asyncio.sleep(3)
        print(*(job.state for job in late))
        may_grow_to(resource.RLIM_INFINITY)
        for job in (*first, *late):
            await job

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_full_disk_holds_what_is_not_sent_yet_and_ends_nothing(tmp_path):
    path = tmp_path / "jobs.db"
    async with Sandbox(Options(speed=60, durations={"sonic": 20})) as box:
        command = [sys.executable, "-c", FULL, box.url, str(path), "8"]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
        try:
            printed, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, errors.decode()
        assert "queued" in printed.decode()
        assert not {"failed", "cancelled", "unknown"} & set(printed.decode().split())
        said = [line for line in errors.decode().splitlines() if f"the journal {path} " in line]
        assert len(said) == 1, said
        assert re.search(r"(cannot be written|could not be read or written).*disk", said[0])
        async with MusicSession(box.key, box.url, journal=path) as music:
            kept = {record.key: record for record in await music.journal.jobs()}
        assert {record.state for record in kept.values()} == {JobState.SUCCEEDED}
        made = {entry.body["prompt"].split()[0]: entry.task_id for entry in box.books.taken()}
        assert made == {key: record.task_id for key, record in kept.items()}
        assert len(made) == box.books.accepted == 8
