"""What ends or resumes many jobs at once holds the event loop for some milliseconds only: the longest turn, in CPU."""

import asyncio
import gc
import logging
import sys
import tempfile
import time
from asyncio import events
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from aimusic_async import AuthenticationError, MusicSession, TokenBucket, sonic

logging.disable(logging.CRITICAL)
gc.disable()  # Python's own collections are another matter

JOBS = int(sys.argv[1]) if len(sys.argv) > 1 else 30_000
LIMIT = 0.05


class Gate:
    """A limiter that grants nothing until it is opened."""

    def __init__(self):
        self.opened, self.bucket = asyncio.Event(), TokenBucket(1, margin=0)

    async def acquire(self):
        await self.opened.wait()
        return await self.bucket.acquire()

    def pause_until(self, moment):
        pass


class Turns:
    longest = 0.0
    slow = False

    def install(self):
        run = events.Handle._run

        def timed(handle):
            began = time.thread_time()
            run(handle)
            self.longest = max(self.longest, time.thread_time() - began)

        events.Handle._run = timed

    def note(self, what):
        print(f"{what:36} {JOBS:,} jobs: the longest turn took {self.longest * 1e3:5.0f} ms", flush=True)
        self.slow |= self.longest > LIMIT
        self.longest = 0.0


turns = Turns()
turns.install()


def request(number):
    return sonic.CreateMusic(mv="sonic-v5", prompt=f"[Verse]\nSong {number}", title=f"Song {number}")


async def fill(submit, named=False):
    for number in range(JOBS):
        submit(request(number), **({"key": f"song {number}"} if named else {}))
        if number % 200 == 0:
            await asyncio.sleep(0)
    turns.longest = 0.0


def opened(url="http://127.0.0.1:9", gate=None, **more):
    return MusicSession("k", url, limiter=gate or Gate(), **more)


async def groups():
    async with opened() as music:
        async with music.group(on_failure="keep", timeout=JOBS * 60e-6 + 1) as group:
            await fill(group.submit)
        turns.note("a group's time-out")
        with suppress(KeyError):
            async with music.group() as group:
                await fill(group.submit)
                raise KeyError
        await asyncio.sleep(0)
        turns.note("leaving a group by an exception")
        await fill(music.submit)
    await asyncio.sleep(0)
    turns.note("closing the session")


async def a_wrong_key():
    app = web.Application()
    refusal = {"type": "unauthorized", "error": "Invalid API key"}

    async def refuse(_request):
        return web.json_response(refusal, status=401)

    app.router.add_post("/{tail:.*}", refuse)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    gate = Gate()
    async with opened(f"http://127.0.0.1:{runner.addresses[0][1]}", gate) as music:
        with suppress(BaseExceptionGroup):
            async with music.group() as group:
                await fill(group.submit)
                gate.opened.set()
        assert all(isinstance(job.exception(), AuthenticationError) for job in group.jobs)
        turns.note("a 401 with a batch waiting")
    await runner.cleanup()


async def journals():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "jobs.db")
        async with opened(journal=path) as music:
            await fill(music.submit, named=True)
            await music.journal.jobs(limit=1)
            turns.note("entering the journal")
        turns.note("closing a session with a journal")
        async with opened(journal=path) as music:
            assert len(await music.resume()) == JOBS
            await asyncio.sleep(0)
            turns.note("resume()")
            await music.journal.jobs(limit=1)
            turns.note("resumed jobs enter the journal")


async def main():
    await groups()
    await a_wrong_key()
    await journals()


asyncio.run(main())
print("FAULT" if turns.slow else "OK")
sys.exit(turns.slow)
