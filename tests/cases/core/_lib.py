"""What the cases beside it share: time that jumps, and a little service that counts what it was paid for."""

import asyncio
import contextlib
import logging
import sys

import looptime
from aiohttp import web
from aiohttp.test_utils import TestServer

from aimusic_async import sonic

logging.disable(logging.CRITICAL)


def run(main):
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        return runner.run(main)


class Service:
    """Takes songs, which are finished at once; `lose_answers` while that is set."""

    def __init__(self):
        self.taken = []
        self.lose_answers = False

    async def create(self, request):
        body = await request.json()
        self.taken.append(body["title"])
        if self.lose_answers:
            request.transport.abort()
        return web.json_response({"task_id": f"t{len(self.taken)}"})

    async def poll(self, request):
        task = request.match_info["task"]
        clips = [{"clip_id": f"{task}-{n}", "state": "succeeded", "audio_url": "https://x/1.mp3"} for n in (1, 2)]
        return web.json_response({"code": 200, "data": clips})

    @contextlib.asynccontextmanager
    async def serve(self):
        """Serve it on this machine; gives its address."""
        app = web.Application()
        app.router.add_post("/api/v1/sonic/create", self.create)
        app.router.add_get("/api/v1/sonic/task/{task}", self.poll)
        async with TestServer(app) as server:
            yield str(server.make_url("")).rstrip("/")


def song(title):
    return sonic.CreateMusic(prompt="la la la", mv="sonic-v5", title=title)


def judge(*, fault):
    """End with what a case found; `fault` says what is wrong, empty when nothing is."""
    print(f"FAULT: {fault}" if fault else "OK")
    sys.exit(bool(fault))
