"""Credits: what a budget allows, and what happens when the account has too few."""

import asyncio

import pytest

from aimusic_async import (
    BudgetExceeded,
    ConfigurationError,
    CreditsShort,
    InsufficientCredits,
    JobFailed,
    JobState,
    MemoryJournal,
    MusicSession,
    sonic,
)
from aimusic_async.sandbox import Fate, Options, Sandbox, Script

COST = sonic.CreateMusic.cost


@pytest.mark.looptime
async def test_what_a_group_cannot_pay_for_is_refused_before_it_is_sent(song):
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        async with music.group(budget=3 * COST + 5, on_failure="keep") as group:
            jobs = [group.submit(song(title=str(number))) for number in range(5)]
            cheap = group.submit(sonic.GetBpm(clip_id="5b0f7d1e-0000-4000-8000-000000000000"))
        error = jobs[3].exception()
        assert isinstance(error, BudgetExceeded)
        assert str(error) == (
            f"{jobs[3].key} would exceed the budget: it costs 10 credits, 5 of 35 are left "
            "(it was never sent; nothing was paid)"
        )
        assert not isinstance(cheap.exception(), BudgetExceeded)
        assert box.books.charged == 3 * COST
        assert group.spent == 3 * COST


@pytest.mark.looptime
async def test_a_session_s_budget_holds_for_everything_in_it(song):
    async with Sandbox() as box, MusicSession.sandbox(box, budget=2 * COST) as music:
        async with music.group(on_failure="keep") as group:
            group.submit(song())
        await music.run(song())
        with pytest.raises(BudgetExceeded):
            await music.run(song())
        with pytest.raises(BudgetExceeded):
            await music.submit(sonic.UpsampleTags(tags="pop"))
        assert (await music.credits()).total > 0
        assert box.books.charged == 2 * COST


@pytest.mark.looptime
async def test_refunds_and_jobs_that_were_never_sent_can_be_spent_again(song):
    async with Sandbox(Options(task_failure_rate=1)) as box, MusicSession.sandbox(box, budget=2 * COST) as music:
        async with music.group(on_failure="keep") as group:
            first, second, over = (group.submit(song()) for _ in range(3))
            await over.wait()
            assert isinstance(over.exception(), BudgetExceeded)
            group.submit(song()).cancel()
            await asyncio.wait([asyncio.ensure_future(job.wait()) for job in (first, second)])
            assert [job.credits for job in (first, second)] == [0, 0]
            await group.submit(song()).wait()
        assert box.books.charged == box.books.refunded == 3 * COST


@pytest.mark.looptime
async def test_what_may_have_been_charged_counts_as_charged(fake, song):
    async def hang_up(request):
        request.transport.abort()
        return {}

    fake.script("/sonic/create", hang_up)
    async with MusicSession("sk", fake.url, budget=COST) as music:
        job = music.submit(song())
        await job.wait()
        assert job.state is JobState.UNKNOWN
        with pytest.raises(BudgetExceeded):
            await music.submit(song())


@pytest.mark.looptime
async def test_a_named_group_s_budget_counts_what_earlier_runs_spent(song):
    journal = MemoryJournal()
    async with Sandbox() as box:
        for count in (2, 4):
            async with (
                MusicSession.sandbox(box, journal=journal) as music,
                music.group("album", budget=3 * COST, on_failure="keep") as group,
            ):
                for number in range(count):
                    group.submit(song(title=str(number)), key=f"track-{number}")
        assert [type(error) for error in group.failures().values()] == [BudgetExceeded]
        assert box.books.charged == 3 * COST


@pytest.mark.parametrize("budget", [-1, 2.5, "10", True])
def test_a_budget_is_a_whole_number(budget):
    with pytest.raises(ConfigurationError, match="budget must be a whole number"):
        MusicSession("sk", budget=budget)


# --- the account has too few ---------------------------------------------------------------------------------------


def credit_holds(music):
    seen = []
    music.events.listen(lambda event: seen.append(event) if isinstance(event, CreditsShort) else None)
    return seen


@pytest.mark.looptime
async def test_one_refusal_holds_the_rest_back_and_what_runs_is_watched_to_its_end(song, caplog):
    async with Sandbox(Options(credits=3 * COST, extra_credits=0)) as box, MusicSession.sandbox(box) as music:
        seen = credit_holds(music)
        with pytest.raises(ExceptionGroup, match="17 of 20 jobs failed") as caught:
            async with music.group() as group:
                for number in range(20):
                    group.submit(song(title=str(number)))
        (error,) = caught.value.exceptions
        assert isinstance(error, InsufficientCredits)
        assert "17 jobs, which cost 170 credits, were not sent" in error.__notes__[0]
        assert len(group.results()) == 3
        assert box.books.count("sonic.create_music") == 4
        assert [(event.waiting, event.needed) for event in seen] == [(17, 170)]
        assert "17 jobs, which cost 170, wait" in caplog.text


@pytest.mark.looptime
async def test_a_refund_lets_the_rest_go_on(song):
    failing = Script(("sonic.create_music", Fate.fails()), ("sonic.create_music", Fate.fails()))
    options = Options(credits=2 * COST, extra_credits=0, faults=failing)
    async with Sandbox(options) as box, MusicSession.sandbox(box) as music:
        async with music.group(on_failure="keep") as group:
            for number in range(6):
                group.submit(song(title=str(number)))
        assert box.books.refunded == 2 * COST
        assert [type(error) for error in group.failures().values()] == [JobFailed] * 2 + [InsufficientCredits] * 2
        assert len(group.results()) == 2


@pytest.mark.looptime
async def test_credits_that_are_seen_to_be_back_let_the_rest_go_on(song, fake):
    fake.script(
        "/sonic/create",
        {"task_id": "t1"},
        (403, {"type": "forbidden", "error": "Insufficient credits"}),
        {"task_id": "t2"},
    )
    fake.script("/get-credits", {"credits": 3, "extra_credits": 0}, {"credits": 10, "extra_credits": 0})
    running = {"code": 200, "data": [{"clip_id": "c1", "state": "running"}] * 2}
    done = {"code": 200, "data": [{"clip_id": "c1", "state": "succeeded"}] * 2}
    fake.script("/sonic/task/t1", *[running] * 20, done)
    fake.script("/sonic/task/t2", done)
    async with MusicSession("sk", fake.url) as music, music.group() as group:
        group.submit(song(title="1"))
        second = group.submit(song(title="2"))
        await asyncio.sleep(30)
        assert (second.state, len(fake.times("/sonic/create"))) == (JobState.QUEUED, 2)
        await music.credits()
        await asyncio.sleep(30)
        assert len(fake.times("/sonic/create")) == 2
        await music.credits()
        await second.accepted()
        assert len(fake.times("/sonic/create")) == 3


@pytest.mark.looptime
async def test_a_direct_call_is_refused_for_itself_and_holds_nobody_back(song):
    async with Sandbox(Options(credits=5, extra_credits=0)) as box, MusicSession.sandbox(box) as music:
        seen = credit_holds(music)
        with pytest.raises(InsufficientCredits):
            await music.run(song())
        assert seen == []
        suggestion = await music.submit(sonic.UpsampleTags(tags="pop"))
        assert suggestion.upsampled_tags
        assert box.books.charged == 1


@pytest.mark.looptime
async def test_with_a_journal_the_next_run_sends_what_was_held_back(song):
    journal = MemoryJournal()
    for owned, made in ((2 * COST, 2), (3 * COST, 3)):
        async with Sandbox(Options(credits=owned, extra_credits=0)) as box:
            async with (
                MusicSession.sandbox(box, journal=journal) as music,
                music.group("album", on_failure="keep") as group,
            ):
                for number in range(5):
                    group.submit(song(title=str(number)), key=f"track-{number}")
            assert len(box.books.taken()) == made
    assert len(group.results()) == 5


@pytest.mark.looptime
async def test_a_new_job_in_front_of_old_ones_does_not_spend_their_credits_again(song):
    journal = MemoryJournal()
    async with Sandbox() as box:
        for keys in (["a", "b", "c"], ["new", "a", "b", "c"]):
            async with (
                MusicSession.sandbox(box, journal=journal) as music,
                music.group("album", budget=3 * COST, on_failure="keep") as group,
            ):
                for key in keys:
                    group.submit(song(title=key), key=key)
        assert [job.key for job in group.failures()] == ["new"]
        assert box.books.charged == 3 * COST


@pytest.mark.looptime
async def test_two_processes_with_one_budget_spend_it_once(song):
    journal = MemoryJournal()

    async def run(music):
        async with music.group("album", budget=3 * COST, on_failure="keep") as group:
            for key in "abcdef":
                group.submit(song(title=key), key=key)

    async with (
        Sandbox(Options(count="posts", period=0.1)) as box,
        MusicSession.sandbox(box, journal=journal) as here,
        MusicSession.sandbox(box, journal=journal) as there,
    ):
        await asyncio.gather(run(here), run(there))
        assert box.books.charged == 3 * COST


@pytest.mark.looptime
async def test_held_submits_are_tried_again_after_a_while(song, fake):
    short = (403, {"type": "forbidden", "error": "Insufficient credits"})
    fake.script("/sonic/create", {"task_id": "t1"}, short, {"task_id": "t2"})
    fake.script("/sonic/task/t1", {"code": 200, "data": [{"clip_id": "c1", "state": "running"}] * 2})
    fake.script("/sonic/task/t2", {"code": 200, "data": [{"clip_id": "c2", "state": "succeeded"}] * 2})
    async with MusicSession("sk", fake.url) as music:
        music.submit(song(title="1"))  # runs on and on
        await music.submit(song(title="2"))
        assert len(fake.times("/sonic/create")) == 3
