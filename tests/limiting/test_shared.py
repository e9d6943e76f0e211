"""The limit that processes share: the line's arithmetic, its file, clocks that jump, processes that are killed."""

import asyncio
import heapq
import itertools
import logging
import math
import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from aimusic_async import ConfigurationError, MusicError
from aimusic_async.limiting.shared import Line, SharedTokenBucket

PERIOD = 3.0
LONG = 1000.0
HOUR = 3600.0


def shared(path, period=LONG, **others):
    return SharedTokenBucket(path, rate=1 / period, margin=0, **others)


async def at_once(bucket):
    async with asyncio.timeout(5):
        return await bucket.acquire()


async def has_to_wait(bucket):
    waiter = asyncio.create_task(bucket.acquire())
    await asyncio.wait([waiter], timeout=0.2)
    waiter.cancel()
    await asyncio.wait([waiter])
    return waiter.cancelled()


# --- the line, with processes that are generators: what they yield is how long they sleep ---------------------------


@define
class World:
    """Real time, the clock of the machine, and what happened; moments are in real time."""

    line: Line = field(factory=lambda: Line(PERIOD))
    now: float = 0.0
    clock_is_ahead: float = 1.7e9
    spends: list = field(factory=list)
    grants: list = field(factory=list)
    waits: list = field(factory=list)
    pauses: list = field(factory=list)

    def look(self):
        """As a transaction begins."""
        self.line.look(self.clock())
        return self.line

    def clock(self):
        return self.now + self.clock_is_ahead

    def run(self, *processes):
        order = itertools.count()
        heap = [(0.0, next(order), process) for process in processes]
        while heap:
            self.now, _, process = heapq.heappop(heap)
            for sleep in process:
                heapq.heappush(heap, (self.now + sleep, next(order), process))
                break

    def process(self, turns):
        for think, late, manner, hold in turns:
            yield think
            place, taken = None, None
            while taken is None:
                place, answer = self.look().ask(place)
                if place is None:
                    taken = answer
                    self.grants.append(self.now)
                    break
                self.waits.append(answer)
                if manner == "die":
                    return
                if manner == "leave":
                    yield answer * 0.9
                    self.look().leave(place)
                    break
                yield answer + late
            if taken is None:
                continue
            yield hold
            if manner == "give back":
                self.look().put_back(taken, None)
            else:
                said, moment = self.clock(), self.now
                yield late / 10  # until it is written down
                self.look().spent(taken, said)
                self.spends.append(moment)

    def pause(self, after, seconds):
        yield after
        self.look().pause(seconds)
        self.pauses.append((self.now, self.now + seconds))

    def jump(self, after, seconds):
        yield after
        self.clock_is_ahead += seconds


def nearest(moments):
    moments = sorted(moments)
    return min((late - early for early, late in itertools.pairwise(moments)), default=math.inf)


MANNERS = ["spend", "spend", "spend", "give back", "leave", "die"]
THINKS = st.one_of(st.just(0.0), st.floats(0, 20))
LATES = st.one_of(st.just(0.0), st.floats(0, 0.1), st.floats(0, 5))


def processes(manners=MANNERS, holds=st.floats(0, 0.8 * PERIOD)):  # noqa: B008 - strategies are values
    turns = st.tuples(THINKS, LATES, st.sampled_from(manners), holds)
    return st.lists(st.lists(turns, min_size=1, max_size=6), min_size=1, max_size=5)


pauses = st.lists(st.tuples(st.floats(0, 60), st.floats(0, 30)), max_size=2)
jumps = st.lists(st.tuples(st.floats(0, 60), st.floats(-2 * HOUR, -0.1)), max_size=2)


@settings(max_examples=200, deadline=None)
@given(processes=processes(), pauses=pauses, jumps=jumps)
def test_whatever_processes_do_no_two_requests_are_nearer_than_the_period(processes, pauses, jumps):
    world = World()
    world.run(
        *(world.process(turns) for turns in processes),
        *(world.pause(*pause) for pause in pauses),
        *(world.jump(*jump) for jump in jumps),
    )
    assert nearest(world.spends) >= PERIOD - 1e-5
    for start, end in world.pauses:
        assert not [grant for grant in world.grants if start < grant < end - 1e-5]


@settings(max_examples=100, deadline=None)
@given(processes=processes(["spend"], st.floats(0, 10 * PERIOD)))
def test_however_long_tokens_are_held_none_is_granted_within_a_period_of_a_grant_or_of_what_was_spent(processes):
    world = World()
    world.run(*(world.process(turns) for turns in processes))
    assert nearest(world.grants) >= PERIOD - 1e-5
    for grant, spend in itertools.product(world.grants, world.spends):
        # What is written down an instant later cannot be known at once.
        assert grant <= spend + 0.5 or grant - spend >= PERIOD - 1e-5


@settings(max_examples=200, deadline=None)
@given(
    processes=processes(["spend", "give back"]),
    pauses=pauses,
    jumps=st.lists(st.tuples(st.floats(0, 60), st.floats(-2 * HOUR, 2 * HOUR)), max_size=3),
)
def test_a_clock_that_jumps_makes_nobody_wait_for_more_than_those_before_and_the_pauses(processes, pauses, jumps):
    world = World()
    world.run(
        *(world.process(turns) for turns in processes),
        *(world.pause(*pause) for pause in pauses),
        *(world.jump(*jump) for jump in jumps),
    )
    longest_pause = max((seconds for _, seconds in pauses), default=0)
    assert max(world.waits, default=0) <= longest_pause + len(processes) * PERIOD + 1e-5


@settings(max_examples=100, deadline=None)
@given(number=st.integers(1, 6), late=st.floats(0, 0.2), turns=st.integers(1, 8))
def test_busy_processes_waste_nothing_and_take_turns(number, late, turns):
    world = World()
    world.run(*(world.process([(0.0, late, "spend", 0.0)] * turns) for _ in range(number)))
    assert len(world.spends) == number * turns
    assert max(world.spends) <= (number * turns - 1) * (PERIOD + 1.2 * late) + 1e-5


def test_one_that_never_comes_costs_the_others_one_period():
    world = World()
    two_turns = [(0.0, 0.0, "spend", 0.0)] * 2
    world.run(
        world.process(two_turns),
        world.process([(0.0, 0.0, "die", 0.0)]),
        world.process(two_turns),
    )
    assert world.spends == pytest.approx([0, 2 * PERIOD, 3 * PERIOD, 4 * PERIOD])


def test_one_that_comes_too_late_is_the_next_and_not_the_last():
    line = Line(PERIOD)
    line.look(0.0)
    line.ask(None)
    late, punctual, patient, _ = (line.ask(None)[0] for _ in range(4))
    line.look(2 * PERIOD)
    assert line.ask(punctual)[0] is None
    line.look(2.5 * PERIOD)
    assert line.ask(late) == (late, 0.5 * PERIOD)
    line.look(3 * PERIOD)
    assert line.ask(late)[0] is None
    assert line.ask(patient) == (patient, PERIOD)


def line_with(*places):
    """A line at time 0 whose token was just taken, and for which others wait."""
    line = Line(PERIOD)
    line.look(0.0)
    _, taken = line.ask(None)
    assert [line.ask(None)[0] for _ in places] == list(places)
    return line, taken


def test_a_place_that_is_left_goes_to_the_next_who_comes_if_it_was_the_last():
    line, _ = line_with(2, 3)
    line.leave(3)
    assert line.ask(None) == (3, 2 * PERIOD)


def test_a_place_that_is_left_with_somebody_behind_it_is_lost_and_nobody_gets_anothers():
    line, _ = line_with(2, 3)
    line.leave(2)
    assert line.ask(None) == (4, 3 * PERIOD)


def test_a_token_that_is_given_back_lets_nobody_overtake_those_of_other_processes_who_sleep():
    line, taken = line_with(2, 3)
    line.put_back(taken, 2)
    assert line.due(2) == PERIOD
    assert line.ask(None) == (4, 3 * PERIOD)


def test_a_place_that_the_line_does_not_know_waits_for_no_more_than_are_there():
    line, _ = line_with(2, 3)
    assert line.ask(57) == (57, 2 * PERIOD)


def test_what_was_spent_before_the_clock_was_set_back_delays_nobody_by_the_jump():
    line, taken = line_with(2)
    line.look(1.0)
    line.look(-HOUR)
    line.spent(taken, 1.0)
    assert line.ask(2) == (2, PERIOD)


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
async def test_a_damaged_file_is_made_anew_and_a_copy_of_it_is_kept(tmp_path, spoil, caplog):
    path = tmp_path / "line"
    async with shared(path) as bucket:
        await at_once(bucket)
    spoil(path)
    spoiled = path.read_bytes()
    async with shared(path) as one, shared(path) as other:
        await at_once(one)
        assert await has_to_wait(other)
    assert (tmp_path / "line.damaged").read_bytes() == spoiled
    assert "made anew" in caplog.text


async def test_a_file_that_is_damaged_while_it_is_open_is_made_anew_for_all_who_have_it_open(tmp_path, caplog):
    path = tmp_path / "line"
    async with shared(path) as one, shared(path) as other:
        await at_once(one)
        fill_with_text(path)
        await at_once(one)
        assert await has_to_wait(other)
    assert caplog.text.count("made anew") == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no open file")
async def test_a_file_that_was_removed_while_it_was_open_is_made_anew(tmp_path):
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


@contextmanager
def locked(path):
    """Somebody else is in the middle of a transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("BEGIN EXCLUSIVE")
        yield


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


async def test_a_file_that_stays_locked_is_asked_again_until_it_is_not(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("aimusic_async.limiting.shared._BUSY", 0.05)
    async with shared(tmp_path / "line") as bucket:
        with locked(tmp_path / "line"):
            waiter = asyncio.create_task(bucket.acquire())
            while "locked" not in caplog.text:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            assert not waiter.done()
        await waiter
    assert caplog.text.count("is asked again") == 1


async def test_trouble_with_what_nobody_waits_for_is_logged_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("aimusic_async.limiting.shared._BUSY", 0.01)
    async with shared(tmp_path / "line", 0.01) as bucket:
        tokens = [await bucket.acquire() for _ in range(3)]
        with locked(tmp_path / "line"):
            for token in tokens:
                token.spent()
            bucket.pause_until(0)
            while not caplog.records:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
        await at_once(bucket)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "line" in caplog.text


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


@pytest.mark.parametrize("bad", [{"rate": 0}, {"rate": float("nan")}, {"margin": -0.1}])
def test_senseless_settings_are_refused(tmp_path, bad):
    with pytest.raises(ConfigurationError, match=next(iter(bad))):
        SharedTokenBucket(tmp_path / "line", **bad)


def test_the_margin_makes_each_period_longer_by_two_percent_and_at_least_fifty_milliseconds(tmp_path):
    assert SharedTokenBucket(tmp_path / "line").period == pytest.approx(3.06)
    assert SharedTokenBucket(tmp_path / "line", rate=20).period == pytest.approx(0.1)
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


# --- real processes ---------------------------------------------------------------------------------------------------

CALLER = """
import asyncio, sys, time
from aimusic_async.limiting.shared import SharedTokenBucket

async def main(path, period):
    async with SharedTokenBucket(path, rate=1 / period, margin=0) as bucket:
        async def call():
            while True:
                token = await bucket.acquire()
                print(time.time(), flush=True)
                token.spent()
        await asyncio.gather(*(call() for _ in range(3)))

asyncio.run(main(sys.argv[1], float(sys.argv[2])))
"""


@contextmanager
def caller(path, period):
    """A process with three tasks that never stop asking; it prints when it was given a token. It ends with kill -9."""
    process = subprocess.Popen([sys.executable, "-c", CALLER, path, str(period)], stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_a_killed_process_that_stood_in_line_costs_the_others_one_period(tmp_path):
    path, period = tmp_path / "line", 0.8

    async def next_token():
        async with shared(path, period) as bucket:
            await bucket.acquire()
        return time.time()

    with caller(path, period) as process:
        granted = float(process.stdout.readline())
        time.sleep(period / 4)  # by now it stands in line again
    took = asyncio.run(next_token()) - granted
    assert 2 * period - 0.01 <= took < 3 * period


def test_processes_killed_at_any_moment_harm_neither_the_file_nor_the_others(tmp_path, caplog):
    path, period = tmp_path / "line", 0.02

    async def go_on():
        async with shared(path, period) as bucket:
            for _ in range(10):
                (await bucket.acquire()).spent()

    for number in range(5):
        with caller(path, period) as process:
            process.stdout.readline()
            time.sleep(number * 0.0037)
        started = time.monotonic()
        asyncio.run(go_on())
        assert time.monotonic() - started < 2.0
    assert not caplog.records


def test_busy_processes_get_their_share_each_and_never_two_tokens_too_near(tmp_path):
    path, period = tmp_path / "line", 0.1
    with caller(path, period) as a, caller(path, period) as b, caller(path, period) as c:
        moments = [[float(process.stdout.readline()) for _ in range(8)] for process in (a, b, c)]
        for process, own in zip((a, b, c), moments, strict=True):
            process.kill()
            own += [float(line) for line in process.stdout.read().split()[:-1]]
    assert nearest(itertools.chain(*moments)) >= period - 0.005
    start, end = max(own[0] for own in moments), min(own[-1] for own in moments)  # while all were there
    counts = [sum(start <= moment <= end for moment in own) for own in moments]
    assert max(counts) >= 4
    assert 2 * min(counts) >= max(counts)
