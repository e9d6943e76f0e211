"""What meets an outage at an awkward moment: a webhook for a parked call, answers between slices, late probes."""

import asyncio
import json

import pytest

from aimusic_async import JobState, MemoryJournal, MusicSession, TokenBucket, account, sonic
from aimusic_async.api.wire import Reply
from aimusic_async.callbacks import WebhookConfig
from aimusic_async.clock import Clock
from aimusic_async.errors import TransportError
from aimusic_async.jobs.happenings import Answered, Failed
from aimusic_async.jobs.outage import Outage
from aimusic_async.jobs.work import Order, Rules, Work
from aimusic_async.scheduling.schedule import Kind, Schedule

pytestmark = pytest.mark.looptime

PAGE = (502, "<html><h1>Bad Gateway</h1></html>")
CREDITS = {"credits": 100, "extra_credits": 0}
RUNNING = {"code": 200, "data": [{"clip_id": "c1", "state": "running"}]}
DONE = {"code": 200, "data": [{"clip_id": "c1", "state": "succeeded", "audio_url": "https://x.test/c1.mp3"}]}
TAKEN = Answered(Reply(status=200, body={"task_id": "t"}))


def quick(fake, **more):
    return MusicSession("key", fake.url, limiter=TokenBucket(10, margin=0), **more)


class Delivery:
    event = "song.streaming"
    task_id = "t1"
    reply = Reply(status=200, body=RUNNING)


@pytest.mark.parametrize("journal", [False, True])
async def test_a_parked_call_that_a_webhook_says_was_taken_is_not_paid_again(fake, song, journal):
    fake.script("/sonic/create", (405, "<html>no</html>"), {"message": "success", "task_id": "t2"})
    fake.script("/sonic/task/t1", RUNNING, DONE)
    fake.script("/get-credits", CREDITS)
    hook = WebhookConfig("https://me.test/hook", "a secret of 16 characters")
    more = {"journal": MemoryJournal()} if journal else {}
    async with quick(fake, webhook=hook, **more) as music:
        await music.credits()
        fake.script("/get-credits", *[PAGE] * 5, CREDITS)
        paid = asyncio.create_task(music.run(song()))
        await asyncio.sleep(3)
        (body,) = (json.loads(text) for _, _, path, text in fake.asked if path == "/sonic/create")
        assert await music.deliver(Delivery(), body["webhook_url"].partition("job=")[2])
        assert (await paid).clips[0].clip_id == "c1"
        await asyncio.sleep(300)
    assert len(fake.times("/sonic/create")) == 1


async def test_failures_of_free_calls_do_not_make_later_outages_longer(fake, song):
    fake.script("/sonic/create", {"message": "success", "task_id": "t"})
    fake.script("/sonic/task/t", DONE)
    fake.script("/get-credits", CREDITS)
    now = asyncio.get_running_loop().time
    async with quick(fake) as music:
        await music.credits()
        for _ in range(6):
            fake.script("/get-credits", PAGE, CREDITS)
            began = now()
            await music.credits()
            assert now() - began < 5
            await asyncio.sleep(600)


async def test_submits_whose_outcome_is_unknown_make_each_next_outage_longer_until_one_is_taken(fake, song):
    fake.script("/sonic/task/t", DONE)
    fake.script("/get-credits", CREDITS)
    now = asyncio.get_running_loop().time

    async def waits():
        fake.script("/sonic/create", PAGE, {"message": "success", "task_id": "t"})
        lost = music.submit(song())
        await lost.wait()
        assert lost.state is JobState.UNKNOWN
        fake.script("/sonic/create", PAGE)
        began = now()
        await music.submit(song()).wait()
        return now() - began

    async with quick(fake) as music:
        await music.credits()
        first, second = await waits(), await waits()
        assert second > 2 * first
        fake.script("/sonic/create", {"message": "success", "task_id": "t"})
        await music.submit(song())
        assert await waits() == pytest.approx(first, abs=1)


# --- an outage by itself ---------------------------------------------------------------------------------------------


class World:
    """An outage, and what it asks for."""

    def __init__(self):
        self.works, self.asked, self.resumed = [], [], []
        self.schedule = Schedule()
        clock = Clock(asyncio.get_running_loop())
        self.outage = Outage(self, self.schedule, clock, self.asked.append, self.resumed.append)

    def happen_for(self, work, _event):
        if work.state is JobState.QUEUED:
            work.state = JobState.FAILED

    def wake(self):
        pass

    def work(self, state=JobState.QUEUED):
        request = sonic.CreateMusic(prompt="x", mv="sonic-v5")
        work = Work.of(Rules(), sonic.CreateMusic, "k", Order(direct=True), request=request)
        work.state = state
        self.works.append(work)
        return work

    async def probe_fails(self):
        await asyncio.sleep(120)
        self.outage.probed(self.asked[-1], Failed(TransportError("x")))


async def test_an_answer_while_a_session_gives_up_ends_that_outage_alone():
    world = World()
    works = [world.work() for _ in range(600)]
    parked = works[550]
    world.outage.trouble(works[0], TransportError("lost"))
    assert world.outage.parks(parked)
    for _ in range(3):
        await world.probe_fails()
    world.outage.answered(works[1], TAKEN)
    assert world.resumed == [parked]
    parked.state = JobState.SENDING
    world.outage.trouble(works[2], TransportError("lost again"))
    late = world.work()
    assert world.outage.parks(late)
    for _ in range(5):
        await asyncio.sleep(0)
    assert world.resumed == [parked]
    assert world.schedule.holds
    await asyncio.sleep(120)
    world.outage.answered(works[3], TAKEN)
    assert world.resumed == [parked, late]
    assert not world.schedule.holds


async def test_a_probe_of_an_outage_that_is_over_says_nothing_of_the_next():
    world = World()
    world.outage.answered(world.work(), TAKEN)
    world.outage.trouble(world.work(), TransportError("first"))
    await asyncio.sleep(5)
    (old,) = world.asked
    world.outage.answered(world.work(), TAKEN)
    world.outage.trouble(world.work(), TransportError("second"))
    world.outage.probed(old, Failed(TransportError("late")))
    await asyncio.sleep(30)
    assert len(world.asked) == 2


async def test_a_free_call_that_is_slow_makes_nobody_suspicious():
    world = World()
    free = Work.of(Rules(), account.GetCredits, "k", Order(), request=account.GetCredits())
    world.outage.departed(free)
    world.schedule.add(world.work(), Kind.SUBMIT, now=0)
    await asyncio.sleep(100)
    assert not world.schedule.holds
