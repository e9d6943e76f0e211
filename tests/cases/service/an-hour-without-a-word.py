"""A long pause that the service asks for (429, Retry-After: 86400) is cut to an hour, and somebody hears of it.

The time of a direct call counts from the call, so a job of the queue waits here: the pause ends no job of its own.
"""

import asyncio
import logging
import sys

from aiohttp import web

from aimusic_async import MusicSession, Settings, TokenBucket, sonic


async def main():
    posts, lines = [], []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.getLogger("aimusic_async").addHandler(handler)

    async def post(request):
        posts.append(request)
        if len(posts) == 1:
            refusal = {"type": "rate_limit", "error": "x"}
            return web.json_response(refusal, status=429, headers={"Retry-After": "86400"})
        return web.json_response({"task_id": "task-1"})

    async def poll(_request):
        clip = {"clip_id": "c1", "state": "succeeded", "audio_url": "http://127.0.0.1/a.mp3"}
        return web.json_response({"code": 200, "data": [clip]})

    app = web.Application()
    app.router.add_post("/api/v1/{tail:.*}", post)
    app.router.add_get("/api/v1/{tail:.*}", poll)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    settings = Settings.load(api_key="k", base_url=f"http://127.0.0.1:{runner.addresses[0][1]}", speed=1000)
    started = asyncio.get_running_loop().time()
    async with MusicSession(settings=settings, limiter=TokenBucket(200, margin=0)) as music:
        await music.submit(sonic.CreateMusic(gpt_description_prompt="rain", mv="sonic-v5"), timeout=60)
    waited = (asyncio.get_running_loop().time() - started) * 1000
    await runner.cleanup()
    said = [line for line in lines if "3600 s" in line]
    print(f"waited {waited:.0f} s of the service; log lines: {lines}")
    sys.exit(not (3600 <= waited < 6000 and len(said) == 1))


asyncio.run(main())
