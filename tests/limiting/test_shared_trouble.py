"""A shared limit whose file cannot be used for a while holds its waiters, says so once, and goes on by itself."""

import asyncio
import logging
import os
import subprocess
import sys
import time

import pytest

from aimusic_async import ConfigurationError, MusicError

from .buckets import at_once, has_to_wait, locked, shared

SHORT = 0.05
"""Seconds, in place of those between two tries."""


@pytest.fixture
def impatient(monkeypatch):
    """A limiter that does not wait long for a lock, nor between two tries."""
    monkeypatch.setattr("aimusic_async.limiting.shared._BUSY", 0.05)
    monkeypatch.setattr("aimusic_async.limiting.shared._AGAIN", SHORT)


async def until_said(caplog, words):
    async with asyncio.timeout(5):
        while words not in caplog.text:
            await asyncio.sleep(0.01)


def assert_said_once(caplog, path):
    """One warning with the path and what to do, one that it goes on."""
    began, ended = (record.getMessage() for record in caplog.records)
    assert str(path) in began
    assert "cannot be used" in began
    assert "free space on its disk" in began
    assert ended == f"the shared rate limit in {path} can be used again, and requests go on"
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


async def test_the_loop_goes_on_while_the_file_is_locked_and_the_waiter_gets_its_token_after(tmp_path):
    async with shared(tmp_path / "line") as bucket:
        with locked(tmp_path / "line"):
            waiter = asyncio.create_task(at_once(bucket))
            started = time.monotonic()
            for _ in range(20):
                await asyncio.sleep(0.005)
            took = time.monotonic() - started
            assert not waiter.done()
        await waiter
    assert took < 2.0  # less than the lock would have been waited for


async def test_a_file_that_stays_locked_holds_the_waiter_until_it_is_free(tmp_path, impatient, caplog):
    path = tmp_path / "line"
    async with shared(path) as bucket:
        with locked(path):
            waiter = asyncio.create_task(bucket.acquire())
            await until_said(caplog, "locked")
            await asyncio.sleep(0.3)
            assert not waiter.done()
        await waiter
        assert await has_to_wait(bucket)
    assert_said_once(caplog, path)


@pytest.mark.skipif(os.name == "nt", reason="Windows moves no folder with an open file")
async def test_a_folder_that_is_away_holds_the_waiter_until_it_is_back(tmp_path, impatient, caplog):
    folder, away = tmp_path / "folder", tmp_path / "away"
    folder.mkdir()
    async with shared(folder / "line", 0.3) as bucket:
        await at_once(bucket)
        folder.rename(away)
        waiters = [asyncio.create_task(bucket.acquire()) for _ in range(2)]
        await until_said(caplog, "cannot be used")
        await asyncio.sleep(0.5)
        assert not any(waiter.done() for waiter in waiters)
        away.rename(folder)
        await asyncio.gather(*waiters)
    assert_said_once(caplog, folder / "line")


async def test_a_folder_that_is_away_refuses_who_opens_now(tmp_path, impatient):
    path = tmp_path / "folder" / "line"
    path.parent.mkdir()
    async with shared(path) as bucket:
        path.parent.rename(tmp_path / "away")
        for other in (shared(path), bucket):
            with pytest.raises(ConfigurationError, match="cannot be kept in"):
                await other.__aenter__()
        (tmp_path / "away").rename(path.parent)
        await at_once(bucket)


SHORTAGE = """
import asyncio, logging, os, resource, signal, sys
from aimusic_async.limiting.shared import SharedTokenBucket

logging.basicConfig(format="%(message)s", stream=sys.stdout)
path, what = sys.argv[1:]

def full_disk():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits)

def no_descriptor():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 1024))
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return lambda: [os.close(one) for one in taken]

async def main():
    async with SharedTokenBucket(path, rate=20, margin=0) as bucket:
        (await bucket.acquire()).spent()
        end = globals()[what]()
        waiter = asyncio.create_task(bucket.acquire())
        await asyncio.sleep(1.5)
        end()
        if waiter.done():
            print("got one", waiter)
        (await waiter).spent()
        (await bucket.acquire()).spent()
        print("done")

asyncio.run(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limits")
@pytest.mark.parametrize("shortage", ["full_disk", "no_descriptor"])
def test_a_shortage_holds_the_waiter_until_it_is_over(tmp_path, shortage):
    path = tmp_path / "line"
    command = [sys.executable, "-c", SHORTAGE, path, shortage]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)
    assert ran.stderr == ""
    began, ended, done = ran.stdout.splitlines()
    assert began.startswith(f"the shared rate limit in {path} cannot be used (")
    assert ended == f"the shared rate limit in {path} can be used again, and requests go on"
    assert done == "done"


async def test_a_held_waiter_can_be_cancelled_and_takes_no_token(tmp_path, impatient, caplog):
    async with shared(tmp_path / "line") as bucket:
        with locked(tmp_path / "line"):
            waiter = asyncio.create_task(bucket.acquire())
            await until_said(caplog, "cannot be used")
            waiter.cancel()
            await asyncio.wait([waiter], timeout=0.5)
            assert waiter.cancelled()
        await asyncio.sleep(0.2)
        await at_once(bucket)


async def test_closing_ends_a_held_waiter(tmp_path, impatient, caplog):
    async with shared(tmp_path / "line") as bucket:
        with locked(tmp_path / "line"):
            waiter = asyncio.create_task(bucket.acquire())
            await until_said(caplog, "cannot be used")
            await bucket.__aexit__(None, None, None)
            with pytest.raises(MusicError, match="not open"):
                await waiter
        await bucket.__aenter__()


async def test_a_pause_that_could_not_be_stored_holds_all_once_the_file_can_be_used(tmp_path, impatient, caplog):
    path, loop = tmp_path / "line", asyncio.get_running_loop()
    async with shared(path, 0.01) as one, shared(path, 0.01) as other:
        with locked(path):
            one.pause_until(loop.time() + 1.2)
            until = loop.time() + 1.2
            await until_said(caplog, "cannot be used")
            waiter = asyncio.create_task(one.acquire())
            await asyncio.sleep(0.2)
        await asyncio.sleep(0.2)
        await at_once(other)
        await waiter
        assert until - 0.05 <= loop.time() <= until + 0.5
    assert_said_once(caplog, path)


async def test_tokens_that_were_spent_while_the_file_was_locked_count_from_then(tmp_path, impatient, caplog):
    path, loop = tmp_path / "line", asyncio.get_running_loop()
    async with shared(path, 0.6) as bucket:
        token = await bucket.acquire()
        await asyncio.sleep(0.3)
        with locked(path):
            token.spent()
            spent = loop.time()
            await until_said(caplog, "cannot be used")
        await bucket.acquire()
        assert 0.6 <= loop.time() - spent < 0.9
    assert_said_once(caplog, path)


async def test_a_symbolic_link_shares_the_limit_of_its_file(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "current").symlink_to("data", target_is_directory=True)
    (tmp_path / "other").symlink_to("data/line")
    async with (
        shared(tmp_path / "other") as one,
        shared(tmp_path / "current" / "line") as two,
        shared(tmp_path / "data" / "line") as three,
    ):
        await at_once(one)
        assert await has_to_wait(two)
        assert await has_to_wait(three)
    (tmp_path / "other").unlink()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("other")]
