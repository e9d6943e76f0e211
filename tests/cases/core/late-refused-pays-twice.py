"""A late word of a process that was cut off concerns its own attempt alone: another's unknown one stays unknown."""

import asyncio

from _lib import Service, judge, run, song

from aimusic_async import JournalError, MemoryJournal, MusicSession
from aimusic_async.journal.steps import Begin


class Link:
    """One process's way to the journal; it is cut as a job is about to begin."""

    version = 2

    def __init__(self, journal):
        self.journal, self.cut, self.armed = journal, False, True

    def __getattr__(self, name):
        async def call(*args, **named):
            if name == "apply" and self.armed and any(isinstance(step, Begin) for step in args[0]):
                self.cut = True
            if self.cut:
                raise JournalError("the network is gone")
            return await getattr(self.journal, name)(*args, **named)

        return call


async def main():
    service, journal = Service(), MemoryJournal()
    link = Link(journal)
    async with service.serve() as url:
        async with MusicSession("k", url, journal=link) as first:
            cut_off = first.submit(song("x"), key="x")
            await asyncio.sleep(400)  # longer than any lease
            service.lose_answers = True
            async with MusicSession("k", url, journal=journal) as second:
                job = second.submit(song("x"), key="x")
                await job.wait()
                print("the second process:", job.state)
                link.cut = link.armed = False
                await asyncio.sleep(10)
                print("the first one is back:", cut_off.state, "; the journal:", (await second.journal.job("x")).state)
        service.lose_answers = False
        async with MusicSession("k", url, journal=journal) as third:
            again = third.submit(song("x"), key="x")
            await again.wait()
            print("the next run:", again.state)
    return len(service.taken)


taken = run(main())
judge(fault=f"the song was paid for {taken} times" if taken != 1 else "")
