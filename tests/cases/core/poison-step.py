"""A key that no file takes costs its own job, and neither those that are entered with it nor those that come later."""

import asyncio

from _lib import Service, judge, song

from aimusic_async import InvalidRequest, JobState, MusicSession, TokenBucket


async def main():
    service = Service()
    async with (
        service.serve() as url,
        MusicSession("k", url, journal="jobs.db", limiter=TokenBucket(50, margin=0), poll_interval=0.05) as music,
    ):
        good = [music.submit(song(str(n)), key=f"good-{n}") for n in range(5)]
        bad = None
        try:
            bad = music.submit(song("bad"), key="bad-\udcff.mp3")
        except InvalidRequest as error:
            print("refused at once:", error)
        good += [music.submit(song(str(n)), key=f"good-{n}") for n in range(5, 10)]
        await asyncio.gather(*(job.wait() for job in (*good, *([bad] if bad else []))))
        late = music.submit(song("late"), key="late")
        await late.wait()
        return [job.key for job in (*good, late) if job.state is not JobState.SUCCEEDED]


harmed = asyncio.run(main())
judge(fault=f"harmed: {harmed}" if harmed else "")
