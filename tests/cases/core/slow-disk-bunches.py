"""Sessions that share a limiter, and a disk that is slow for a while: the server sees no bunch of requests."""

import asyncio
import itertools

from _lib import Service, judge, run, song

from aimusic_async import MemoryJournal, MusicSession, TokenBucket
from aimusic_async.journal.steps import Begin


class Slow(MemoryJournal):
    """A journal that syncs what begins at the full ten seconds only."""

    async def apply(self, steps):
        if any(isinstance(step, Begin) for step in steps):
            await asyncio.sleep(10 - asyncio.get_running_loop().time() % 10)
        return await super().apply(steps)


class Timed(Service):
    """One that notes when songs are asked for."""

    def __init__(self):
        super().__init__()
        self.times = []

    async def create(self, request):
        self.times.append(asyncio.get_running_loop().time())
        return await super().create(request)


async def main():
    service, bucket = Timed(), TokenBucket()
    async with service.serve() as url:
        sessions = [MusicSession("k", url, journal=Slow(), limiter=bucket, poll_interval=10_000) for _ in range(3)]
        for session in sessions:
            await session.__aenter__()
            for number in range(5):
                session.submit(song(str(number)), key=str(number))
        await asyncio.sleep(100)
        for session in sessions:
            await session.__aexit__(None, None, None)
    return service.times


times = run(main())
gap = min(late - early for early, late in itertools.pairwise(times))
print(f"{len(times)} songs in 100 s, at least {gap:.2f} s apart; one in three seconds is allowed")
judge(fault="the server sees a bunch" if gap < 3 * 0.9 else "")
