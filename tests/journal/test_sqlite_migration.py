"""What becomes of files and accounts of older versions. `version1.sqlite` was written by the last version 1."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import attrs
import pytest

from aimusic_async.errors import JournalError
from aimusic_async.events import JobState
from aimusic_async.journal import sqlite_file
from aimusic_async.journal.budget import Ledger
from aimusic_async.journal.leases import owner_name
from aimusic_async.journal.record import account_id, group_scope, key_hash, record_id
from aimusic_async.journal.sqlite import SqliteJournal
from aimusic_async.journal.sqlite_file import APPLICATION, MIGRATIONS, copy_of
from aimusic_async.journal.steps import Accepted, Begin, Enter, Settled

from .places import look, make, record

FIRST, SECOND = key_hash("sk-first"), key_hash("sk-second")
ACCOUNT = account_id("default", "api.test")
LEGACY_FIRST, LEGACY_SECOND = f"legacy-{FIRST}@api.test", f"legacy-{SECOND}@api.test"
WRITTEN = 1_700_000_100.0
THIRD = (*MIGRATIONS, ("ALTER TABLE owners ADD COLUMN host TEXT", "CREATE INDEX by_owner ON records (owner)"))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "jobs.sqlite"
    shutil.copy(Path(__file__).with_name("version1.sqlite"), path)
    return path


def dump(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


async def everything(journal):
    """Return the records of all accounts by account, group and key."""
    accounts = (FIRST, SECOND, ACCOUNT, LEGACY_FIRST, LEGACY_SECOND)
    found = [kept for account in accounts for kept in await journal.find(account)]
    return {(kept.account, kept.group, kept.key): kept for kept in found}


async def check_ledgers(journal):
    """See that the ledgers are the sums of what is there."""
    sums = defaultdict(Ledger)
    for kept in (await everything(journal)).values():
        if kept.group:
            name = kept.account, group_scope(kept.group)
            sums[name] = sums[name].moved(None, kept)
    for account in (FIRST, SECOND, ACCOUNT, LEGACY_FIRST, LEGACY_SECOND):
        expected = {scope: ledger for (name, scope), ledger in sums.items() if name == account}
        assert await journal.ledgers(account) == expected, account


# --- tables ---------------------------------------------------------------------------------------------------------


def test_the_first_migration_is_what_version_1_was():
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        for statement in MIGRATIONS[0]:
            db.execute(statement)
        asked = "SELECT name, sql FROM sqlite_master ORDER BY name"
        assert db.execute(asked).fetchall() == look(Path(__file__).with_name("version1.sqlite"), asked)


async def test_the_records_of_version_1_are_all_there_with_every_field(path):
    names = (
        'id, account, "group", "key", request, cost, state, owner, task_id, former, credits, answer, error, refunded'
    )
    asked = f"SELECT {names}, attempts, updated, accepted FROM records ORDER BY rowid"
    before = look(path, asked)
    async with SqliteJournal(path) as journal:
        found = await everything(journal)
        assert len(found) == len(before) == 34
        assert {kept.state for kept in found.values()} == set(JobState) - {JobState.DETACHED}
        assert all(kept.sender == (kept.owner if kept.state is JobState.SENDING else None) for kept in found.values())
        assert {kept.presumed for kept in found.values()} == {0}
    assert look(path, asked.replace("former", "other_tasks")) == before


async def test_changes_of_version_1_have_numbers_in_the_order_of_their_times(path):
    async with SqliteJournal(path) as journal:
        found = sorted((await everything(journal)).values(), key=lambda kept: kept.sequence)
        assert [kept.sequence for kept in found] == list(range(1, 35))
        assert [kept.updated for kept in found] == sorted(kept.updated for kept in found)
        assert found[0].key == "before the clock was set back"
        assert await journal.latest() == 34
        (outcome,) = await journal.apply([Enter(record())])
        assert outcome.record.sequence == 35


async def test_budgets_of_version_1_are_counted(path):
    async with SqliteJournal(path) as journal:
        assert await journal.ledgers(FIRST) == {"group:album": Ledger(spent=30, at_risk=20), "group:mix": Ledger()}
        await check_ledgers(journal)


async def test_jobs_of_version_1_go_on(path):
    async with SqliteJournal(path, clock=lambda: WRITTEN) as journal:
        found = await everything(journal)
        mine = {
            key: (await journal.apply([Enter(attrs.evolve(found[FIRST, "", key], owner="me"))]))[0].record
            for key in ("queued", "sending", "submitted", "unknown")
        }
        assert [(kept.state, kept.owner) for kept in mine.values()] == [
            (JobState.QUEUED, "me"),
            (JobState.UNKNOWN, None),
            (JobState.SUBMITTED, "me"),
            (JobState.UNKNOWN, None),
        ]
        begun, accepted, settled = await journal.apply(
            [
                Begin(mine["queued"].id, "me", 1),
                Accepted(mine["queued"].id, "t1", "me", 1),
                Settled(mine["unknown"].id, 1),
            ]
        )
        assert begun.changed
        assert accepted.record.task_id == "t1"
        assert settled.record.state is JobState.QUEUED
        await check_ledgers(journal)


async def test_a_copy_of_the_file_is_made_once_before_it_is_changed(path):
    before = dump(path)
    path.chmod(0o644)
    mask = os.umask(0)
    try:
        await make(path, Enter(record()))
    finally:
        os.umask(mask)
    copy = path.with_name("jobs.sqlite.before-2")
    assert copy == copy_of(str(path), 2)
    assert dump(copy) == before
    assert os.name != "posix" or stat.S_IMODE(copy.stat().st_mode) == 0o600
    at = copy.stat().st_mtime_ns
    await make(path, Enter(record("b")))
    assert copy.stat().st_mtime_ns == at
    shutil.copy(copy, path)  # as a user restores it
    await make(path)
    assert copy.stat().st_mtime_ns == at
    assert {each.name for each in path.parent.iterdir() if each.stat().st_size} == {"jobs.sqlite", copy.name}


async def test_of_a_new_file_no_copy_is_made(tmp_path):
    await make(tmp_path / "new.sqlite")
    assert not copy_of(tmp_path / "new.sqlite", 2).exists()


async def test_where_no_copy_can_be_made_nothing_is_changed(path):
    (path.parent / "jobs.sqlite.before-2.half").mkdir()
    before = dump(path)
    with pytest.raises(JournalError, match="cannot be made; look at its folder"):
        await make(path)
    assert dump(path) == before


async def test_the_next_version_takes_over_the_records_of_this_one(path, monkeypatch):
    await make(path)
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", THIRD)
    async with SqliteJournal(path) as journal:
        assert len(await everything(journal)) == 34
    assert look(path, "PRAGMA user_version") == [(3,)]
    assert look(copy_of(path, 3), "PRAGMA user_version") == [(2,)]


@pytest.mark.parametrize("known", [False, True])
async def test_many_that_open_at_once_migrate_once(path, known):
    if not known:
        path.unlink()
    async with contextlib.AsyncExitStack() as stack:
        opening = [stack.enter_async_context(SqliteJournal(path)) for _ in range(8)]
        for journal in await asyncio.gather(*opening):
            assert len(await everything(journal)) == 34 * known
    assert look(path, "PRAGMA user_version") == [(2,)]


async def test_a_migration_that_fails_leaves_all_as_it_was(path, monkeypatch):
    before = dump(path)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_file, "MIGRATIONS", (*THIRD, ("CREATE TABLE fourth (x)", "nonsense")))
        with pytest.raises(JournalError, match="nonsense") as caught:
            await make(path)
        assert not caught.value.passing
    assert look(path, "PRAGMA user_version") == [(1,)]
    assert look(path, "PRAGMA application_id") == [(APPLICATION,)]
    assert dump(path) == before
    async with SqliteJournal(path) as journal:
        assert len(await everything(journal)) == 34


# --- a process of version 1 beside it -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "named"),
    [(owner_name(), f"process {os.getpid()}"), ("another machine:77:ab", "process 77"), ("me", "the session 'me'")],
    ids=["this machine's", "another machine's", "no process"],
)
async def test_an_older_version_that_still_works_on_the_file_is_named_and_nothing_is_changed(path, owner, named):
    look(path, "INSERT INTO owners VALUES (?, ?)", owner, WRITTEN + 20)
    before = path.read_bytes()
    with pytest.raises(JournalError) as caught:
        async with SqliteJournal(path, clock=lambda: WRITTEN + 10):
            pass
    assert str(caught.value) == f"the journal {path} is in use by an older aimusic-async ({named}); end it first"
    assert caught.value.passing
    assert path.read_bytes() == before
    assert not copy_of(path, 2).exists()
    async with SqliteJournal(path, clock=lambda: WRITTEN + 40):
        pass
    assert look(path, "PRAGMA user_version") == [(2,)]


STAY = "from aimusic_async.journal.leases import owner_name; print(owner_name(), flush=True); input()"


async def test_an_older_version_that_slept_through_its_lease_can_read_nothing_any_more(path):
    with contextlib.closing(sqlite3.connect(path)) as older:
        older.execute("SELECT count(*) FROM records").fetchall()
        await make(path)
        with pytest.raises(sqlite3.OperationalError, match="no such column: former"):
            older.execute("SELECT id, former FROM records")  # as it reads each record before it changes one


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a lease has to run out")
def test_an_older_version_that_was_killed_is_not_waited_for(path):
    with subprocess.Popen([sys.executable, "-c", STAY], stdin=-1, stdout=-1, text=True) as killed:
        look(path, "INSERT INTO owners VALUES (?, ?)", killed.stdout.readline().strip(), 1e12)
        with pytest.raises(JournalError, match=f"process {killed.pid}"):
            asyncio.run(make(path))
        killed.kill()
    asyncio.run(make(path))
    assert look(path, "SELECT * FROM owners") == []


# --- accounts -------------------------------------------------------------------------------------------------------


async def test_jobs_of_the_own_key_become_the_account_s_and_others_are_kept_as_legacy(path):
    async with SqliteJournal(path) as journal:
        before = await everything(journal)
        (sentence,) = await journal.migrate_accounts(ACCOUNT, FIRST)
        assert "older jobs (16) belong to another API key" in sentence
        assert f"account='legacy-{SECOND}'" in sentence
        names = {FIRST: ACCOUNT, SECOND: LEGACY_SECOND}
        expected = [attrs.evolve(kept, account=names[kept.account]) for kept in before.values()]
        assert list((await everything(journal)).values()) == expected
        assert await journal.load(ACCOUNT, "durations") == "first"
        assert await journal.load(LEGACY_SECOND, "durations") == "second"
        await check_ledgers(journal)
        assert await journal.migrate_accounts(ACCOUNT, FIRST) == []
        assert list((await everything(journal)).values()) == expected


async def test_jobs_that_became_the_account_s_are_entered_under_their_old_ids(path):
    async with SqliteJournal(path) as journal:
        await journal.migrate_accounts(ACCOUNT, FIRST)
        (kept,) = await journal.find(ACCOUNT, group="album", key="queued")
        entry = attrs.evolve(kept, id=record_id(ACCOUNT, "album", "queued"), owner="me")
        (entered,) = await journal.apply([Enter(entry)])
        assert (entered.record.id, entered.record.owner) == (record_id(FIRST, "album", "queued"), "me")
        (begun,) = await journal.apply([Begin(entered.record.id, "me", 1, {"group:album": 60})])
        assert begun.record.state is JobState.SENDING
        assert (await journal.ledgers(ACCOUNT))["group:album"] == Ledger(60, spent=30, at_risk=30)


async def test_jobs_of_the_only_other_key_become_the_account_s_with_a_warning(path):
    look(path, "DELETE FROM records WHERE account = ?", SECOND)
    async with SqliteJournal(path) as journal:
        (sentence,) = await journal.migrate_accounts(ACCOUNT, key_hash("sk-new"))
        assert f"jobs of one other API key only (18); they now belong to the account {ACCOUNT!r}" in sentence
        assert str(copy_of(path, 2)) in sentence
        assert {account for account, _, _ in await everything(journal)} == {ACCOUNT}
        assert await journal.load(ACCOUNT, "durations") == "first"
        await check_ledgers(journal)


async def test_jobs_of_the_only_other_key_are_not_given_to_an_account_that_has_jobs(path):
    look(path, "DELETE FROM records WHERE account = ?", SECOND)
    async with SqliteJournal(path) as journal:
        await journal.apply([Enter(record("new", account=ACCOUNT))])
        (sentence,) = await journal.migrate_accounts(ACCOUNT, key_hash("sk-new"))
        assert f"older jobs (18) belong to another API key; open a session with account='legacy-{FIRST}'" in sentence
        assert {account for account, _, _ in await everything(journal)} == {ACCOUNT, LEGACY_FIRST}
        await check_ledgers(journal)


async def test_of_several_other_keys_none_becomes_the_account_s(path):
    async with SqliteJournal(path) as journal:
        sentences = await journal.migrate_accounts(ACCOUNT, key_hash("sk-new"))
        assert len(sentences) == 2
        assert all(name in sentence for name, sentence in zip(sorted([FIRST, SECOND]), sentences, strict=True))
        assert {account for account, _, _ in await everything(journal)} == {LEGACY_FIRST, LEGACY_SECOND}
        await check_ledgers(journal)


async def test_where_a_key_is_in_use_the_newer_job_keeps_it_and_the_older_is_legacy(path):
    async with SqliteJournal(path) as journal:
        newer = record("succeeded", group="album", account=ACCOUNT)
        await journal.apply([Enter(newer), Begin(newer.id, "mine", 1, {"group:album": 500})])
        await journal.save(ACCOUNT, "durations", "newer")
        legacy, _ = await journal.migrate_accounts(ACCOUNT, FIRST)
        assert f"older jobs (1) have keys that {ACCOUNT!r} uses too" in legacy
        assert f"account='legacy-{FIRST}'" in legacy
        found = await everything(journal)
        assert found[ACCOUNT, "album", "succeeded"].id == newer.id
        assert found[LEGACY_FIRST, "album", "succeeded"].task_id == f"{FIRST[:2]}-album-succeeded"
        assert len([key for key in found if key[0] == ACCOUNT]) == 18
        assert (await journal.load(ACCOUNT, "durations"), await journal.load(LEGACY_FIRST, "durations")) == (
            "newer",
            "first",
        )
        assert (await journal.ledgers(ACCOUNT))["group:album"] == Ledger(500, spent=20, at_risk=30)
        assert (await journal.ledgers(LEGACY_FIRST))["group:album"] == Ledger(spent=10)


async def test_what_was_pruned_stays_counted_when_an_account_has_a_name(path):
    async with SqliteJournal(path) as journal:
        await journal.prune(FIRST, older_than=0)
        await journal.migrate_accounts(ACCOUNT, FIRST)
        assert (await journal.ledgers(ACCOUNT))["group:album"] == Ledger(spent=30, at_risk=20)
        assert await journal.ledgers(FIRST) == {}


async def test_an_account_without_a_host_has_legacy_accounts_without_one(path):
    async with SqliteJournal(path) as journal:
        await journal.migrate_accounts("mine", FIRST)
        assert len(await journal.find(f"legacy-{SECOND}")) == 16


async def test_names_of_accounts_that_are_no_hash_are_left_alone(path):
    async with SqliteJournal(path) as journal:
        await journal.migrate_accounts(ACCOUNT, FIRST)
        await journal.apply([Enter(record("x", account="another@api.test")), Enter(record("y", account="A" * 16))])
        assert await journal.migrate_accounts("third@api.test", SECOND) == []
        assert len(await journal.find("another@api.test")) == len(await journal.find("A" * 16)) == 1
