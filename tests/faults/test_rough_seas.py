"""Several sessions, one journal, and everything goes wrong at once: nothing hangs, is lost, or is paid for twice."""

import asyncio
import random
from collections import Counter

import pytest
from aiohttp import web

from aimusic_async import JobState, JournalError, MemoryJournal, MusicSession, TokenBucket, WebhookConfig, webhooks

KEYS = [f"k{number}" for number in range(8)]
CONFIG = WebhookConfig("https://example.org/hook", "the configured secret")


def now():
    return asyncio.get_running_loop().time()


class Moody(MemoryJournal):
    """A journal that is slow, and fails before or after it has done what was asked."""

    def __init__(self, chance, weather):
        super().__init__(clock=now)
        self.chance = chance
        self.slow = 0.3 * ("slow" in weather)
        self.before = 0.15 * ("fails" in weather)
        self.after = 0.1 * ("forgets to answer" in weather)

    def calm(self):
        self.slow = self.before = self.after = 0

    async def apply(self, steps):
        if self.chance.random() < self.slow:
            await asyncio.sleep(self.chance.uniform(0, 4))
        if self.chance.random() < self.before:
            raise JournalError("not now")
        outcomes = await super().apply(steps)
        if self.chance.random() < self.after:
            raise JournalError("done, but nobody is told")
        return outcomes


class Service:
    """Takes songs, refuses some, loses answers, is slow; and tells of their ends by webhooks, not always once."""

    def __init__(self, chance):
        self.chance = chance
        self.taken = Counter()
        self.ends = {}
        self.doors = []
        self.telling = set()

    async def create(self, request):
        body = await request.json()
        fate = self.chance.random()
        if fate < 0.2:
            return web.json_response({"error": "slower"}, status=429, headers={"Retry-After": "1"})
        if fate < 0.25:
            return web.json_response({"type": "invalid_request", "error": "no"}, status=400)
        if fate < 0.3:
            request.transport.abort()
            return web.Response()
        self.taken[body["title"]] += 1
        task_id = f"{body['title']}-{self.taken[body['title']]}"
        self.ends[task_id] = now() + self.chance.uniform(5, 60), self.chance.random() < 0.1
        if "webhook_url" in body:
            for _ in range(self.chance.choice([0, 1, 1, 2])):
                job_id = body["webhook_url"].partition("job=")[2]
                self.telling.add(asyncio.create_task(self.tell(task_id, job_id)))
        if self.chance.random() < 0.15:
            await asyncio.sleep(self.chance.uniform(0, 50))
        if self.chance.random() < 0.1:
            request.transport.abort()
            return web.Response()
        return web.json_response({"task_id": task_id})

    def shown(self, task_id):
        end, fails = self.ends[task_id]
        state = "running" if now() < end else "failed" if fails else "succeeded"
        return {"code": 200, "data": [{"clip_id": "c1", "state": state, "audio_url": "https://x/c1.mp3"}] * 2}

    async def look(self, request):
        return web.json_response(self.shown(request.match_info["task_id"]))

    async def tell(self, task_id, job_id):
        end, fails = self.ends[task_id]
        await asyncio.sleep(end - now() + self.chance.uniform(0.1, 5))
        event = "song.failed" if fails else "song.completed"
        body = self.shown(task_id) | {"task_id": task_id, "event": event}
        if self.doors:
            told = {
                "id": "e",
                "event": event,
                "task_id": task_id,
                "platform": "sonic",
                "timestamp": 0.0,
                "signature": "",
            }
            await self.chance.choice(self.doors).deliver(webhooks.WebhookEvent(**told, body=body), job_id)


async def voyage(service, url, journal, song, *, hooked):
    """One program: three times it opens a session, submits, resumes, cancels something, and leaves in the middle."""
    chance, jobs = service.chance, []
    await asyncio.sleep(chance.uniform(0, 20))
    for _ in range(3):
        limiter = TokenBucket(chance.choice([1000, 1, 0.2]), margin=0)
        try:
            async with MusicSession(
                "k", url, limiter=limiter, journal=journal, webhook=CONFIG if hooked else None
            ) as music:
                service.doors.append(music)
                mine = [
                    music.submit(song(title=key), key=key, timeout=chance.choice([None, None, 20]))
                    for key in chance.sample(KEYS, 5)
                ]
                if chance.random() < 0.3:
                    mine += await music.resume()
                jobs += mine
                await asyncio.sleep(chance.uniform(0, 40))
                chance.choice(mine).cancel()
                await asyncio.sleep(chance.uniform(0, 60))
                service.doors.remove(music)
        except JournalError:
            pass  # the journal failed just as it was opened or asked for a list
    return jobs


WEATHER = ["calm", "slow", "fails", "forgets to answer", "webhooks", "slow, fails, webhooks"]


@pytest.mark.looptime
@pytest.mark.timeout(60)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weather", WEATHER)
async def test_every_job_ends_and_every_song_is_there_or_known(song, aiohttp_server_of, weather, seed):
    chance = random.Random(seed)
    service, journal, hooked = Service(chance), Moody(chance, weather), "webhooks" in weather
    async with aiohttp_server_of(service) as url:
        voyages = (voyage(service, url, journal, song, hooked=hooked) for _ in range(3))
        jobs = [job for some in await asyncio.gather(*voyages) for job in some]
        assert all(job.done() for job in jobs)
        journal.calm()
        async with MusicSession("k", url, limiter=TokenBucket(1000, margin=0), journal=journal) as music:
            last = [music.submit(song(title=key), key=key) for key in KEYS]
            async with asyncio.timeout(4000):
                await asyncio.gather(*(job.wait() for job in last))
        for task in service.telling:
            task.cancel()
        assert max(service.taken.values()) == 1
        for job in last:
            if service.taken[job.key]:
                assert job.state in (JobState.SUCCEEDED, JobState.FAILED, JobState.UNKNOWN)
            if job.state is JobState.SUCCEEDED:
                assert job.task_id == f"{job.key}-1"
