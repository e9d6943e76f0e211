"""uvloop's event loop: a song, a job that is given up, and SIGTERM-safe `run`."""

import asyncio
import sys

import uvloop

from aimusic_async import MusicSession, run, sonic


async def main(journal):
    """Make songs."""
    assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
    async with MusicSession(journal=journal) as music:
        song = await music.sonic.create_music(prompt="rain", mv="sonic-v5")
        job = music.submit(sonic.CreateMusic(prompt="sun", mv="sonic-v5"))
        job.cancel()
        print("OK", len(song.clips))


asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
run(main(sys.argv[1]))
