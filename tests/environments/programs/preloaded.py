"""An aiohttp service for `gunicorn --preload`: the session object is made before the workers are forked."""

import os

from aiohttp import web

from aimusic_async import MusicSession, sonic

music = MusicSession(journal=os.environ["JOURNAL"])  # once, in the master


async def session(_app):
    """Enter it in this worker."""
    async with music:
        yield


async def make(request):
    """Make a song whose job has no key: no two workers may give one name to different jobs."""
    song = await music.submit(sonic.CreateMusic(prompt=request.match_info["key"], mv="sonic-v5"))
    return web.json_response({"worker": os.getpid(), "task": song.task_id, "refusals": music.stats.refusals})


app = web.Application()
app.cleanup_ctx.append(session)
app.router.add_post("/songs/{key}", make)
