"""A web server with a door for webhooks, in the test's own event loop."""

from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from aimusic_async import MusicSession, WebhookConfig, webhooks

SECRET = "the configured secret"


@pytest.fixture
def hooked():
    """Open sessions with a webhook, each behind a web server of its own: `hooked(box, journal=…)`."""

    @asynccontextmanager
    async def opened(box, **more):
        app = web.Application()
        handlers = []

        async def handle(request):
            return await handlers[0](request)

        app.router.add_post("/hook", handle)
        async with TestServer(app) as server:
            config = WebhookConfig(str(server.make_url("/hook")), SECRET)
            async with MusicSession.sandbox(box, webhook=config, **more) as music:
                handlers.append(webhooks.aiohttp_handler(music))
                yield music

    return opened
