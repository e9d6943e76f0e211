"""Eager tasks (Python 3.12 and later): a task runs at once, in the midst of what makes it."""

import asyncio
import contextvars
import sys

from aimusic_async import JobChanged, MusicSession, sonic

who = contextvars.ContextVar("who", default="nobody")


async def main(journal):
    """Make songs in groups, by direct calls, and from within a listener."""
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    who.set("me")
    seen = set()
    async with MusicSession(journal=journal) as music:
        music.events.listen(lambda event: seen.add(who.get()), JobChanged)
        async with music.group("album") as group:
            for number in range(3):
                group.submit(sonic.CreateMusic(prompt=str(number), mv="sonic-v5"))
        calls = (music.sonic.upsample_tags(tags="pop") for _ in range(5))
        await asyncio.gather(*calls)
        assert len(group.results()) == 3
    assert seen == {"me"}, seen
    print("OK")


asyncio.run(main(sys.argv[1]))
