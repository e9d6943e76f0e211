"""The limit that processes share: its file, opening and closing, clocks that jump."""

import asyncio
import itertools
import os
import sqlite3
import threading
import time
from contextlib import closing

import pytest
from attrs import define

from aimusic_async import ConfigurationError, MusicError
from aimusic_async.limiting.shared import SharedTokenBucket

from .buckets import HOUR, at_once, has_to_wait, locked, shared

# --- the file ---------------------------------------------------------------------------------------------------------


async def test_the_file_is_for_its_user_only_and_its_folder_stays_as_it_was(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o750)
    before = folder.stat().st_mode
    async with shared(folder / "line") as bucket:
        await bucket.acquire()
        assert folder.stat().st_mode == before
        if os.name == "posix":
            assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


async def test_accounts_in_one_file_do_not_share(tmp_path):
    async with shared(tmp_path / "line", account="a") as a, shared(tmp_path / "line", account="b") as b:
        await at_once(a)
        await at_once(b)
        assert await has_to_wait(b)


async def test_the_limit_outlives_those_who_use_it(tmp_path):
    async with shared(tmp_path / "line") as bucket:
        await at_once(bucket)
    async with shared(tmp_path / "line") as bucket:
        assert await has_to_wait(bucket)


def fill_with_text(path):
    path.write_text("this is no database\n" * 1000)


def spoil_its_pages(path):
    content = bytearray(path.read_bytes())
    content[100:] = b"\xa5" * (len(content) - 100)
    path.write_bytes(content)


@pytest.mark.parametrize("spoil", [fill_with_text, spoil_its_pages])
async def test_a_damaged_file_starts_empty_and_a_copy_of_it_is_kept(tmp_path, spoil, caplog):
    path = tmp_path / "line"
    async with shared(path) as bucket:
        await at_once(bucket)
    spoil(path)
    spoiled = path.read_bytes()
    async with shared(path) as one, shared(path) as other:
        await at_once(one)
        assert await has_to_wait(other)
    assert (tmp_path / "line.damaged").read_bytes() == spoiled
    assert "starts empty" in caplog.text


async def test_a_file_that_is_damaged_while_it_is_open_starts_empty_for_all_who_have_it_open(tmp_path, caplog):
    path = tmp_path / "line"
    async with shared(path) as one, shared(path) as other:
        await at_once(one)
        fill_with_text(path)
        await at_once(one)
        assert await has_to_wait(other)
    assert caplog.text.count("starts empty") == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no open file")
async def test_a_file_that_was_removed_while_it_was_open_is_created_again(tmp_path):
    path = tmp_path / "line"
    async with shared(path) as one:
        await at_once(one)
        path.unlink()
        await at_once(one)
        async with shared(path) as other:
            assert await has_to_wait(other)


@pytest.mark.parametrize("older", ["", "CREATE TABLE line (account TEXT); CREATE TABLE line_0 (slot REAL);"])
async def test_an_empty_file_or_one_of_another_layout_is_taken_over(tmp_path, older):
    with closing(sqlite3.connect(tmp_path / "line")) as file:
        file.executescript(older)
    async with shared(tmp_path / "line") as one, shared(tmp_path / "line") as other:
        await at_once(one)
        assert await has_to_wait(other)


@pytest.mark.parametrize("where", ["missing/line", ".", "file/line"])
async def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path, where):
    (tmp_path / "file").write_text("")
    before = threading.active_count()
    with pytest.raises(ConfigurationError, match="cannot be kept in") as raised:
        async with shared(tmp_path / where):
            pass
    assert str((tmp_path / where).absolute()) in str(raised.value)
    assert threading.active_count() == before


# --- several at once --------------------------------------------------------------------------------------------------


async def test_after_a_quiet_time_capacity_tokens_go_to_all_who_share_together_and_no_more(tmp_path):
    async with shared(tmp_path / "line", capacity=3) as one, shared(tmp_path / "line", capacity=3) as other:
        tokens = [await at_once(bucket) for bucket in (one, other, one)]
        assert await has_to_wait(other)
        tokens[0].spent()  # what departed takes as much room as what may depart
        assert await has_to_wait(one)
        await asyncio.sleep(0.05)  # until it is known that it waits no more
        tokens[1].give_back()
        await asyncio.sleep(0.05)
        await at_once(one)
        assert await has_to_wait(other)


async def test_a_token_in_flight_keeps_its_place_among_those_of_other_processes(tmp_path):
    period = 0.4
    async with (
        shared(tmp_path / "line", period, capacity=2) as one,
        shared(tmp_path / "line", period, capacity=2) as other,
    ):
        clock, started = asyncio.get_running_loop().time, asyncio.get_running_loop().time()
        first, second = await at_once(one), await at_once(one)
        await asyncio.sleep(0.75 * period)
        first.spent()
        second.spent()
        (await other.acquire()).spent()
        assert 1.75 * period - 0.01 <= clock() - started < 2.5 * period


async def test_a_token_says_until_when_its_request_may_depart(tmp_path):
    clock = asyncio.get_running_loop().time
    async with shared(tmp_path / "line", 0.1) as fast, shared(tmp_path / "other", 3.0) as slow:
        for bucket, seconds in ((fast, 0.25), (slow, 3.0)):
            before = clock()
            token = await bucket.acquire()
            assert before + seconds <= token.fresh_until <= clock() + seconds


async def test_a_token_that_nobody_holds_any_more_counts_from_when_it_was_granted(tmp_path):
    async with shared(tmp_path / "line", 0.05) as bucket:
        started = time.monotonic()
        for _ in range(5):
            await bucket.acquire()
        assert 0.2 - 0.01 <= time.monotonic() - started < 0.25 + 4 * 0.1  # and not after a quarter of a second each
        kept = [await bucket.acquire()]
        waiter = asyncio.create_task(bucket.acquire())
        await asyncio.sleep(0.1)
        assert not waiter.done()
        kept.clear()
        async with asyncio.timeout(0.2):
            await waiter


async def test_two_limits_on_one_file_are_said_once_and_the_slower_counts_while_both_are_open(tmp_path, caplog):
    path = tmp_path / "line"
    words = "{} holds one rate limit with two sizes: {} here, {} elsewhere; the slower rate and the smaller"
    async with shared(path, 0.01, capacity=9) as fast:
        async with shared(path, 1.0) as slow:
            (await at_once(slow)).spent()
            assert await has_to_wait(fast)
            assert await has_to_wait(fast)
        here, there = "1 requests per second", "100 requests per second, 9 at once"
        assert [record.getMessage() for record in caplog.records] == [
            words.format(path, *pair) + " capacity count, until all name the same"
            for pair in ((here, there), (there, here))
        ]
        await at_once(fast)
        started = time.monotonic()
        for _ in range(5):
            await at_once(fast)
        assert time.monotonic() - started < 1.0
    assert len(caplog.records) == 2


# --- opening and closing ----------------------------------------------------------------------------------------------


async def test_it_is_used_open_only(tmp_path):
    bucket = shared(tmp_path / "line")
    with pytest.raises(MusicError, match="async with"):
        await bucket.acquire()
    async with bucket:
        token = await bucket.acquire()
    with pytest.raises(MusicError, match="async with"):
        await bucket.acquire()
    with pytest.raises(MusicError, match="async with"):
        bucket.pause_until(0)
    token.spent()  # comes too late to be told, and does no harm


async def test_closing_ends_the_thread_and_wakes_who_waits(tmp_path):
    before = threading.active_count()
    async with shared(tmp_path / "line") as bucket:
        await bucket.acquire()
        waiters = [asyncio.create_task(bucket.acquire()) for _ in range(3)]
        await asyncio.sleep(0.05)
    assert threading.active_count() == before
    async with asyncio.timeout(5):
        for ended in await asyncio.gather(*waiters, return_exceptions=True):
            assert isinstance(ended, MusicError)


async def test_closing_leaves_the_line(tmp_path):
    period = 0.5
    async with shared(tmp_path / "line", period) as other:
        await other.acquire()
        started = time.monotonic()
        async with shared(tmp_path / "line", period) as bucket:
            waiter = asyncio.create_task(bucket.acquire())
            await asyncio.sleep(0.05)
        await other.acquire()
        assert time.monotonic() - started < 2 * period
        with pytest.raises(MusicError):
            await waiter


async def test_a_wait_that_is_cancelled_while_the_file_is_read_takes_no_token(tmp_path):
    async with shared(tmp_path / "line") as one, shared(tmp_path / "line") as other:
        with locked(tmp_path / "line"):
            waiter = asyncio.create_task(one.acquire())
            await asyncio.sleep(0.05)
            waiter.cancel()
            await asyncio.wait([waiter])
            assert waiter.cancelled()
        await asyncio.sleep(0.3)
        await at_once(other)


async def test_a_waiter_asks_no_more_often_than_needed(tmp_path):
    looks = itertools.count()

    def clock():
        next(looks)
        return time.monotonic()

    path = tmp_path / "line"
    async with shared(path, clock=clock) as one, shared(path, clock=time.monotonic) as other:
        token = await one.acquire()
        waiters = [asyncio.create_task(bucket.acquire()) for bucket in (one, other)]
        await asyncio.sleep(0.1)
        token.give_back()  # which wakes the waiter, but frees nothing, as the other waits too
        await asyncio.sleep(0.1)
        assert next(looks) < 10
        assert not any(waiter.done() for waiter in waiters)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.wait(waiters)


async def test_it_may_be_entered_several_times_and_the_last_one_out_closes_it(tmp_path):
    bucket = shared(tmp_path / "line", 0.01)
    async with bucket:
        async with bucket:
            await bucket.acquire()
        await bucket.acquire()
    async with bucket:
        await bucket.acquire()


async def test_cancelling_while_it_opens_leaves_it_closed(tmp_path):
    before = threading.active_count()
    async with shared(tmp_path / "line"):
        with locked(tmp_path / "line"):
            bucket = shared(tmp_path / "line")
            opening = asyncio.create_task(bucket.__aenter__())
            await asyncio.sleep(0.05)
            opening.cancel()
            await asyncio.sleep(0.05)
        await asyncio.wait([opening])
        assert opening.cancelled()
        with pytest.raises(MusicError, match="not open"):
            await bucket.acquire()
    assert threading.active_count() == before


def test_it_serves_one_loop_at_a_time_and_another_after_that(tmp_path):
    bucket = shared(tmp_path / "line", 0.01)

    async def use():
        async with bucket:
            await bucket.acquire()

    async def use_in_two():
        async with bucket:
            await bucket.acquire()
            with pytest.raises(ConfigurationError, match="one event loop"):
                await asyncio.to_thread(asyncio.run, use())

    asyncio.run(use())
    asyncio.run(use_in_two())
    asyncio.run(use())


@pytest.mark.parametrize("bad", [{"rate": 0}, {"rate": float("nan")}, {"capacity": 0}, {"margin": -0.1}])
def test_senseless_settings_are_refused(tmp_path, bad):
    with pytest.raises(ConfigurationError, match=next(iter(bad))):
        SharedTokenBucket(tmp_path / "line", **bad)


def test_the_margin_is_that_of_a_token_bucket(tmp_path):
    assert SharedTokenBucket(tmp_path / "line").period == pytest.approx(3.06)
    assert SharedTokenBucket(tmp_path / "line", rate=20).period == pytest.approx(0.0525)
    assert SharedTokenBucket(tmp_path / "line", rate=20, margin=0.2).period == pytest.approx(0.25)


# --- clocks that jump -------------------------------------------------------------------------------------------------


@define
class JumpingClock:
    ahead: float = 1.7e9

    def __call__(self):
        return time.monotonic() + self.ahead


@pytest.mark.parametrize("jump", [-HOUR, HOUR, -1.5e9])
async def test_a_clock_that_jumps_while_somebody_waits_does_not_make_them_wait_for_it(tmp_path, jump):
    clock, period = JumpingClock(), 0.2
    async with (
        shared(tmp_path / "line", period, clock=clock) as one,
        shared(tmp_path / "line", period, clock=clock) as other,
    ):
        await one.acquire()
        waiters = [asyncio.create_task(bucket.acquire()) for bucket in (one, other)]
        await asyncio.sleep(period / 4)
        clock.ahead += jump
        async with asyncio.timeout(10 * period):
            await asyncio.gather(*waiters)
            await other.acquire()


@pytest.mark.parametrize("jump", [-HOUR, -1.5e9])
async def test_a_clock_that_is_set_back_lets_nobody_send_too_early(tmp_path, jump):
    clock = JumpingClock()
    async with shared(tmp_path / "line", clock=clock) as bucket:
        await at_once(bucket)
        clock.ahead += jump
        assert await has_to_wait(bucket)


async def test_a_pause_lasts_until_its_moment_for_all_who_share(tmp_path):
    loop = asyncio.get_running_loop()
    async with shared(tmp_path / "line", 0.01) as one, shared(tmp_path / "line", 0.01) as other:
        until = loop.time() + 0.4
        one.pause_until(until)
        await asyncio.sleep(0.1)
        await at_once(other)
        assert until - 0.01 <= loop.time() < until + 0.5


async def test_a_pause_is_over_in_time_also_when_the_clock_is_set_back(tmp_path):
    clock, loop = JumpingClock(), asyncio.get_running_loop()
    async with (
        shared(tmp_path / "line", 0.01, clock=clock) as one,
        shared(tmp_path / "line", 0.01, clock=clock) as other,
    ):
        one.pause_until(loop.time() + 0.4)
        await asyncio.sleep(0.1)
        clock.ahead -= HOUR
        started = loop.time()
        await at_once(other)
        assert 0.25 <= loop.time() - started < 2.0
