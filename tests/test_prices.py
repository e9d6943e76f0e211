"""A session counts with its own prices everywhere, and says so when the balance does not agree with them."""

import logging

import pytest

from aimusic_async import BalanceDiffers, BudgetExceeded, JobState, MemoryJournal, MusicSession, sonic
from aimusic_async.sandbox import Fault, Options, Sandbox, Script

TODAY = {"sonic.create_music": 14}
NAME = "aimusic_async"


@pytest.fixture
def differences(caplog):
    """The warnings about the balance, so far."""
    caplog.set_level(logging.WARNING, NAME)
    return lambda: [one.getMessage() for one in caplog.records if "the balance fell" in one.getMessage()]


@pytest.mark.looptime
@pytest.mark.parametrize("journal", [None, MemoryJournal], ids=["without a journal", "with a journal"])
@pytest.mark.parametrize("name", ["", "album"])
async def test_a_budget_an_estimate_and_the_records_count_with_the_prices_of_the_session(song, journal, name):
    kept = journal() if journal else None
    async with (
        Sandbox(Options(prices=TODAY)) as box,
        MusicSession.sandbox(box, prices=TODAY, journal=kept) as music,
    ):
        async with music.group(name, budget=2 * 14 + 13, on_failure="keep") as group:
            jobs = [group.submit(song(title=str(number)), key=str(number)) for number in range(3)]
            assert group.estimate() == 3 * 14
            assert [job.cost for job in jobs] == [14, 14, 14]
        assert isinstance(jobs[2].exception(), BudgetExceeded)
        assert "it costs 14 credits, 13 of 41 are left" in str(jobs[2].exception())
        assert [job.credits for job in jobs] == [14, 14, 0]
        assert group.spent == box.books.charged == 28
        if kept is not None:
            records = await music.journal.jobs(group=name or None)
            assert {record.key: record.cost for record in records} == {"0": 14, "1": 14, "2": 14}
            assert sum(record.credits for record in records) == 28


@pytest.mark.looptime
async def test_a_model_may_have_a_price_of_its_own(song):
    prices = {"sonic.create_music": 14, "sonic.create_music sonic-v4": 5}
    async with Sandbox(Options(prices=prices)) as box, MusicSession.sandbox(box, prices=prices) as music:
        old, new = music.submit(song(mv="chirp-v4")), music.submit(song(mv="sonic-v5"))
        await old
        await new
        assert (old.credits, new.credits) == (5, 14)
        assert box.books.charged == 19


@pytest.mark.looptime
@pytest.mark.parametrize("resumed", [False, True], ids=["submitted again", "resumed"])
async def test_what_an_earlier_run_did_not_send_costs_what_it_costs_now(song, resumed):
    kept = MemoryJournal()
    async with Sandbox(Options(prices=TODAY)) as box:
        async with MusicSession.sandbox(box, journal=kept) as music:
            music.submit(song(title="first"))
            await music.submit(song(title="waiting"), key="waiting").recorded()
        async with MusicSession.sandbox(box, journal=kept, prices=TODAY) as music:
            jobs = await music.resume() if resumed else [music.submit(song(title="waiting"), key="waiting")]
            job = next(one for one in jobs if one.key == "waiting")
            await job
            assert job.credits == 14
            (record,) = [one for one in await music.journal.jobs() if one.key == "waiting"]
            assert (record.cost, record.credits) == (14, 14)


@pytest.mark.looptime
async def test_a_task_that_was_taken_at_an_earlier_price_keeps_it(song):
    kept = MemoryJournal()
    async with Sandbox() as box:
        async with MusicSession.sandbox(box, journal=kept) as music:
            await music.submit(song(), key="running").accepted()
        async with MusicSession.sandbox(box, journal=kept, prices=TODAY) as music:
            (job,) = await music.resume()
            await job
            assert job.state is JobState.SUCCEEDED
            assert job.credits == 10


# --- the balance -----------------------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_a_balance_that_fell_by_more_than_the_prices_explain_is_reported_with_the_price_that_would(
    song, differences
):
    async with Sandbox(Options(prices=TODAY)) as box, MusicSession.sandbox(box) as music:
        heard = []
        music.events.listen(heard.append, BalanceDiffers)
        await music.credits()
        await music.run(song())
        await music.run(song())
        await music.credits()
        (warning,) = differences()
        assert "fell by 28 credits" in warning
        assert "explain 20 at most" in warning
        assert 'Settings(prices={"sonic.create_music": 14})' in warning
        assert heard == [BalanceDiffers(28, 20)]
        await music.credits()
        assert len(differences()) == 1


@pytest.mark.looptime
async def test_several_operations_are_no_ground_to_name_a_price(song, differences):
    async with Sandbox(Options(prices=TODAY)) as box, MusicSession.sandbox(box) as music:
        await music.credits()
        made = await music.run(song())
        await music.run(sonic.GetBpm(clip_id=made.clips[0].clip_id))
        await music.credits()
        (warning,) = differences()
        assert "sonic.create_music" not in warning


@pytest.mark.looptime
@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(prices={"sonic.create_music": 9}),
        Options(task_failure_rate=1),
        Options(faults=Script(("sonic.create_music", Fault.dropped(taken=True)))),
        Options(faults=Script(("sonic.create_music", Fault.refused()))),
    ],
    ids=["as priced", "cheaper", "refunded", "lost", "refused"],
)
async def test_a_balance_that_the_requests_explain_is_no_news(song, differences, options):
    async with Sandbox(options) as box, MusicSession.sandbox(box) as music:
        await music.credits()
        async with music.group(on_failure="keep") as group:
            for number in range(3):
                group.submit(song(title=str(number)))
                await music.credits()
        await music.credits()
        assert differences() == []


@pytest.mark.looptime
async def test_what_is_prepared_is_charged_once_however_often_it_is_asked_for(song, differences):
    async with Sandbox(Options(prices={"sonic.get_wav": 3})) as box, MusicSession.sandbox(box) as music:
        made = await music.run(song())
        await music.credits()
        await music.run(sonic.GetWav(clip_id=made.clips[0].clip_id))
        await music.credits()
        (warning,) = differences()
        assert "explain 1 at most" in warning


@pytest.mark.looptime
async def test_a_refused_request_explains_nothing(song, differences):
    async with Sandbox(Options(prices={"sonic.create_music": 14})) as box, MusicSession.sandbox(box) as music:
        await music.credits()
        bad = sonic.GetBpm(clip_id="5b0f7d1e-0000-4000-8000-000000000000")
        async with music.group(on_failure="keep") as group:
            for _ in range(9):
                group.submit(bad)
            group.submit(song())
        await music.credits()
        (warning,) = differences()
        assert "explain 10 at most" in warning


@pytest.mark.looptime
async def test_another_program_on_the_account_is_noticed(song, differences):
    async with Sandbox() as box, MusicSession.sandbox(box) as music, MusicSession.sandbox(box) as other:
        await music.credits()
        await other.run(song())
        await music.credits()
        (warning,) = differences()
        assert "explain 0 at most" in warning
        assert "something else spends" in warning
