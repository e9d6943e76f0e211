"""A pool of processes: songs and errors come back, and no process pays for what another has."""

import asyncio
import concurrent.futures
import multiprocessing
import sys

from aimusic_async import JobRef, KeyConflict, MusicSession, NotFound, sonic


async def made(journal, request, key):
    """Make a song in this process."""
    async with MusicSession(journal=journal) as music:
        return await music.submit(request, key=key)


def work(*args):
    """Do that in a loop of this process' own."""
    return asyncio.run(made(*args))


def main():
    """Ask for the same song twice, and for what fails."""
    journal = sys.argv[1]
    song = sonic.CreateMusic(prompt="rain", mv="sonic-v5")
    other = sonic.CreateMusic(prompt="sun", mv="sonic-v5")
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        one, two = pool.submit(work, journal, song, "a"), pool.submit(work, journal, song, "a")
        assert one.result().task_id == two.result().task_id
        conflict = pool.submit(work, journal, other, "a").exception()
        assert isinstance(conflict, KeyConflict)
        assert isinstance(conflict.job, JobRef)
        assert conflict.job.key == "a"
        lost = pool.submit(work, journal, sonic.Remaster(continue_clip_id="nobody", mv="sonic-v5"), "b").exception()
        assert isinstance(lost, NotFound)
        assert lost.status == 404
    print("OK")


if __name__ == "__main__":
    main()
