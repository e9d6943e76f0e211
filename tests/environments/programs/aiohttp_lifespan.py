"""An aiohttp service whose cleanup context holds the session; handlers are cancelled when a client goes away."""

import asyncio
import contextlib
import sys

import aiohttp
from aiohttp import web

from aimusic_async import MusicSession, sonic, to_plain

MUSIC = web.AppKey("music", MusicSession)


async def session(app):
    """Hold the session as long as the service runs."""
    async with MusicSession(journal=sys.argv[1]) as music:
        app[MUSIC] = music
        yield


async def make(request):
    """Make a song; when this is cancelled, the job goes on."""
    key = request.match_info["key"]
    job = request.app[MUSIC].submit(sonic.CreateMusic(prompt=key, mv="sonic-v5"), key=key)
    return web.json_response(to_plain(await job))


async def main():
    """Serve, ask, go away, ask again."""
    app = web.Application()
    app.cleanup_ctx.append(session)
    app.router.add_post("/songs/{key}", make)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        with contextlib.suppress(TimeoutError):
            await client.post("/songs/a", timeout=aiohttp.ClientTimeout(total=0.05))
        async with client.post("/songs/a") as answer:
            first = await answer.json()
        async with client.post("/songs/b") as answer:
            assert (await answer.json())["task_id"] != first["task_id"]
    await runner.cleanup()
    print("OK")


asyncio.run(main())
