"""Outages of an hour and of ten minutes in every hour: 500 songs, none lost, none paid twice, none ended early.

In virtual time; the service is a few lines in memory, and what stands before it answers as the hour wants.
"""

import asyncio
import logging
import random

import attrs
import pytest

import aimusic_async.session as session_module
from aimusic_async import JobState, MemoryJournal, MusicSession, SubmissionUnknown, TokenBucket, sonic
from aimusic_async.api.wire import Reply
from aimusic_async.errors import NotSent, TransportError

from .virtual import now, run_virtual

SONGS = 500
PAGE = Reply(status=502, text="<html><h1>Bad Gateway</h1></html>")
OTHERS_JSON = Reply(status=403, body={"message": "Forbidden: no lyrics, no credits, no subscription"})


@attrs.define
class World:
    """The service, and what becomes of a request that is sent at a moment."""

    trouble: object
    """A function of the time: None, or what a gateway answers, or an error of the way there."""
    chance: random.Random = attrs.field(factory=lambda: random.Random(7))
    taken: dict = attrs.field(factory=dict)
    """By title: when each was taken."""
    posts: list = attrs.field(factory=list)
    probes: int = 0

    def post(self, title):
        self.posts.append(now())
        trouble = self.trouble(now())
        if trouble is not None and self.chance.random() < 0.5:
            return trouble  # the service never saw it
        self.taken.setdefault(title, []).append(now())
        return trouble or Reply(status=200, body={"message": "success", "task_id": title})

    def get(self, path):
        if (trouble := self.trouble(now())) is not None:
            self.probes += "/task/" not in path
            return trouble
        if "/task/" not in path:
            return Reply(status=200, body={"credits": 1_000_000})
        (at,) = self.taken[path.rpartition("/")[2]]
        state = "succeeded" if now() > at + 90 else "running"
        clips = [{"clip_id": f"{path}{n}", "state": state, "audio_url": "https://x.test/a.mp3"} for n in (1, 2)]
        return Reply(status=200, body={"code": 200, "data": clips})


def transport_to(world):
    class Transport:
        def __init__(self, *_, **__):
            pass

        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            pass

        async def send(self, request, more=None, *, on_sent=lambda: None):
            if request.endpoint.method == "GET":
                return await self.look(request.endpoint.path, on_sent=on_sent)
            return await self._through(lambda: world.post(request.title), on_sent)

        async def look(self, path, *, on_sent=lambda: None):
            return await self._through(lambda: world.get(path), on_sent)

        async def _through(self, act, on_sent):
            if isinstance(world.trouble(now()), NotSent):
                await asyncio.sleep(0.2)
                raise world.trouble(now()) or NotSent("no connection")
            on_sent()
            reply = act()
            await asyncio.sleep(0.3)
            if isinstance(reply, Exception):
                raise reply
            return reply

    return Transport


class Warnings(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def live(monkeypatch, world, *, rate, journal=None):
    """Make 500 songs in that world; return the jobs, and what was logged."""
    monkeypatch.setattr(session_module, "HttpTransport", transport_to(world))
    heard, complaints = Warnings(), []
    logging.getLogger("aimusic_async").addHandler(heard)

    async def main():
        limiter = TokenBucket(rate, margin=0)
        async with MusicSession("k", "http://127.0.0.1:1", limiter=limiter, journal=journal) as music:
            async with music.group("night", on_failure="keep") as group:
                jobs = [
                    group.submit(sonic.CreateMusic(prompt="la", mv="sonic-v5", title=f"song-{number}"), key=str(number))
                    for number in range(SONGS)
                ]
            await asyncio.gather(*jobs, return_exceptions=True)  # what nobody has read would be logged
            return jobs

    try:
        jobs = run_virtual(main(), complain=complaints.append)
    finally:
        logging.getLogger("aimusic_async").removeHandler(heard)
    assert not complaints
    return jobs, heard.lines


def check(jobs, world, *, incidents, lines):
    assert max(len(times) for times in world.taken.values()) == 1, "paid twice"
    ended = [job for job in jobs if job.state is not JobState.SUCCEEDED]
    assert all(isinstance(job.exception(), SubmissionUnknown) for job in ended), [job.exception() for job in ended]
    assert len(ended) <= incidents
    assert len(world.posts) <= SONGS
    assert len(lines) <= 2 * incidents, lines
    for early, late in zip(lines[::2], lines[1::2], strict=True):
        assert "nothing is submitted until the service answers" in early
        assert "the service answers again" in late


@pytest.mark.parametrize("trouble", [NotSent("no connection"), PAGE, OTHERS_JSON, TransportError("reset")])
@pytest.mark.parametrize("journalled", [False, True])
def test_an_hour_of_outage(monkeypatch, trouble, journalled):
    world = World(lambda at: trouble if 600 <= at < 4200 else None)
    journal = MemoryJournal(clock=now) if journalled else None
    jobs, lines = live(monkeypatch, world, rate=1 / 3, journal=journal)
    check(jobs, world, incidents=1, lines=lines)
    assert not [at for at in world.posts if 620 < at < 4200]
    if not isinstance(trouble, NotSent):
        assert 55 <= world.probes <= 75  # a minute apart, in the end
    else:
        assert all(job.state is JobState.SUCCEEDED for job in jobs)


@pytest.mark.parametrize("trouble", [PAGE, OTHERS_JSON])
def test_a_night_with_a_gateway_that_answers_for_ten_minutes_in_every_hour(monkeypatch, trouble):
    world = World(lambda at: trouble if at % 3600 >= 3000 else None)
    jobs, lines = live(monkeypatch, world, rate=1 / 20)
    nights = {int(at // 3600) for at in world.posts}
    assert len(nights) >= 5
    check(jobs, world, incidents=len(nights), lines=lines)
