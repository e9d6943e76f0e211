"""The account's plan, a rate and a capacity: named in one of four places, for whichever limiter the session has."""

import asyncio
import itertools
import logging

import pytest

from aimusic_async import (
    ConfigurationError,
    MemoryJournal,
    MusicSession,
    RequestSent,
    Settings,
    SharedTokenBucket,
    TokenBucket,
    account,
)
from aimusic_async.sandbox import Options, Sandbox


async def bursts(fake, music, count):
    """Ask so often; return how many requests came at once each time, and the seconds between."""
    fake.script("/get-credits", {"credits": 7})
    await asyncio.gather(*(music.run(account.GetCredits()) for _ in range(count)))
    times = fake.times()
    gaps = [late - early for early, late in itertools.pairwise(times)]
    long = [gap for gap in gaps if gap > 0.1]
    return count - len(long), long


def by_argument(url, monkeypatch, plan, **others):
    return MusicSession("key", url, **plan, **others)


def by_settings(url, monkeypatch, plan, **others):
    return MusicSession(settings=Settings(api_key="key", base_url=url, **plan), **others)


def by_load(url, monkeypatch, plan, **others):
    return MusicSession(settings=Settings.load(api_key="key", base_url=url, **plan), **others)


def by_environment(url, monkeypatch, plan, **others):
    monkeypatch.setenv("AIMUSIC_RATE", str(plan["rate"]))
    monkeypatch.setenv("AIMUSIC_CAPACITY", str(plan["capacity"]))
    return MusicSession("key", url, **others)


EVERYWHERE = pytest.mark.parametrize("named", [by_argument, by_settings, by_load, by_environment])


@EVERYWHERE
@pytest.mark.looptime
async def test_the_plan_is_that_of_the_limiter_wherever_it_is_named(fake, named, monkeypatch):
    async with named(fake.url, monkeypatch, {"rate": 0.5, "capacity": 3}) as music:
        await asyncio.sleep(10)
        at_once, gaps = await bursts(fake, music, 5)
        assert at_once == 3
        assert gaps == pytest.approx([2.05, 2.05], abs=0.02)
        assert music.period == pytest.approx(2.05)


@EVERYWHERE
async def test_the_plan_is_that_of_the_limiter_that_processes_share_too(fake, named, monkeypatch, tmp_path):
    made = []
    init = SharedTokenBucket.__init__

    def noted(self, *args, **kwargs):
        init(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(SharedTokenBucket, "__init__", noted)
    async with named(fake.url, monkeypatch, {"rate": 2.0, "capacity": 3}, journal=tmp_path / "jobs.db") as music:
        at_once, gaps = await bursts(fake, music, 5)
    (bucket,) = made
    assert (bucket.rate, bucket.capacity, bucket.period) == (2.0, 3, pytest.approx(0.525))
    assert at_once == 3
    assert sum(gaps) > 0.525  # two periods of departures, of which arrivals tell little on a busy machine


@pytest.mark.looptime
async def test_without_a_plan_it_is_the_standard_one(fake):
    async with MusicSession("key", fake.url) as music:
        at_once, gaps = await bursts(fake, music, 3)
        assert (at_once, gaps) == (1, pytest.approx([3.06, 3.06], abs=0.02))
        assert music.period == pytest.approx(3.06)


@pytest.mark.parametrize("plan", [{"rate": 2.0}, {"capacity": 3}])
@pytest.mark.parametrize("named", [by_argument, by_settings, by_load])
def test_a_plan_beside_a_limiter_of_ones_own_is_refused(named, plan, monkeypatch):
    with pytest.raises(ConfigurationError, match=f"give {next(iter(plan))}, or a limiter of your own"):
        named("https://h.example", monkeypatch, plan, limiter=TokenBucket())


@pytest.mark.parametrize("plan", [{"rate": 2.0}, {"capacity": 3}])
def test_a_plan_beside_settings_is_refused(plan):
    with pytest.raises(ConfigurationError, match=f"give settings, or {next(iter(plan))}"):
        MusicSession(settings=Settings(api_key="k"), **plan)


def test_a_limiter_of_ones_own_goes_before_the_plan_in_the_environment(monkeypatch):
    monkeypatch.setenv("AIMUSIC_RATE", "9")
    monkeypatch.setenv("AIMUSIC_CAPACITY", "9")
    limiter = TokenBucket(0.5)
    assert MusicSession("key", limiter=limiter).period == limiter.period
    assert MusicSession(settings=Settings.load(api_key="key"), limiter=limiter).period == limiter.period
    with pytest.raises(ConfigurationError, match="give rate"):
        MusicSession("key", rate=9.0, limiter=limiter)


SENSELESS = [{"rate": 0}, {"rate": "fast"}, {"rate": 1e-320}, {"capacity": 0}, {"capacity": 2.5}]


@pytest.mark.parametrize("bad", SENSELESS)
def test_a_senseless_plan_is_refused_and_the_field_named(bad):
    for make in (MusicSession, Settings):
        with pytest.raises(ConfigurationError, match=f"^{next(iter(bad))} "):
            make(api_key="k", **bad)


@pytest.mark.parametrize("bad", SENSELESS)
async def test_a_senseless_plan_of_a_sandbox_is_refused_too(bad):
    with pytest.raises(ConfigurationError, match=f"^{next(iter(bad))} "):
        async with MusicSession.sandbox(**bad):
            pass


# --- sandboxes -------------------------------------------------------------------------------------------------------


@pytest.mark.looptime
@pytest.mark.parametrize("speed", [1, 60, 200])
@pytest.mark.parametrize(("rate", "capacity"), [(None, None), (0.5, 4), (10, 10)])
async def test_in_a_sandbox_a_session_has_the_same_share_of_its_plan_at_any_speed(speed, rate, capacity):
    async with MusicSession.sandbox(speed=speed, rate=rate, capacity=capacity) as music:
        moments = []

        def note(event):
            if isinstance(event, RequestSent):
                moments.append(asyncio.get_running_loop().time())

        music.events.listen(note)
        count = 40 + (capacity or 1)
        await asyncio.gather(*(music.credits() for _ in range(count)))
        period = TokenBucket(rate or 1 / 3).period
        took = (moments[-1] - moments[0]) * speed
        assert 40 * period - 1e-3 <= took <= 40 * (period + 0.003 * speed)  # timers are some milliseconds late
        assert music.stats.refusals == 0


@pytest.mark.looptime
async def test_a_session_takes_the_plan_of_the_sandbox_that_it_is_given_unless_it_has_one():
    async with Sandbox(Options(speed=60, period=0.5, capacity=5)) as box:
        async with MusicSession.sandbox(box) as music:
            assert music.period == pytest.approx(TokenBucket(2.0).period)
            started = asyncio.get_running_loop().time()
            await asyncio.gather(*(music.credits() for _ in range(5)))
            assert asyncio.get_running_loop().time() == started
        async with MusicSession.sandbox(box, rate=1.0) as music:
            assert music.period == pytest.approx(TokenBucket(1.0).period)
        assert box.books.refusals == []


# --- two plans on one file -------------------------------------------------------------------------------------------


async def test_of_two_rates_on_one_file_the_slower_counts_and_both_are_warned(fake, tmp_path, caplog):
    path = tmp_path / "jobs.db"
    fake.script("/get-credits", {"credits": 7})
    with caplog.at_level(logging.WARNING):
        async with (
            MusicSession("key", fake.url, rate=50.0, capacity=5, journal=path) as fast,
            MusicSession("key", fake.url, rate=4.0, journal=path) as slow,
        ):
            await asyncio.gather(*(music.run(account.GetCredits()) for music in (fast, slow) for _ in range(3)))
    times = fake.times()
    assert min(late - early for early, late in itertools.pairwise(times)) > 0.25
    said = [record.getMessage() for record in caplog.records if "rate limit" in record.getMessage()]
    assert len(said) == 2
    assert all("50 requests per second, 5 at once" in words and "4 requests per second" in words for words in said)
    assert all(str(path) in words and "slower" in words for words in said)


async def test_the_same_plan_twice_on_one_file_warns_nobody(fake, tmp_path, caplog):
    path = tmp_path / "jobs.db"
    async with (
        MusicSession("key", fake.url, rate=50.0, journal=path) as one,
        MusicSession("key", fake.url, rate=50.0, journal=path) as two,
    ):
        fake.script("/get-credits", {"credits": 7})
        await asyncio.gather(one.credits(), two.credits())
    assert not [record for record in caplog.records if "rate limit" in record.getMessage()]


async def test_a_journal_of_ones_own_has_the_plan_too(fake):
    async with MusicSession("key", fake.url, rate=50.0, capacity=5, journal=MemoryJournal()) as music:
        at_once, _ = await bursts(fake, music, 5)
        assert at_once == 5
