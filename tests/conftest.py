"""Fixtures and repairs that several test files share."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import signal
from types import SimpleNamespace

import aiohttp
import aioresponses.core
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from aimusic_async import sonic


def pytest_configure():
    """Say that this thread has no loop: else Python up to 3.13 makes one for whoever asks, and nobody closes it."""
    asyncio.set_event_loop(None)
    # A shell that starts the tests in the background makes them deaf to Ctrl-C, and their children inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        with contextlib.suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGINT, signal.default_int_handler)


class _ClientResponse(aiohttp.ClientResponse):
    """aiohttp 3.14 made `stream_writer` a required argument of its responses; aioresponses 0.7.9 does not pass it."""

    def __init__(self, *args, stream_writer=None, **kwargs):
        super().__init__(*args, stream_writer=stream_writer or SimpleNamespace(output_size=0), **kwargs)


if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
    aioresponses.core.ClientResponse = _ClientResponse


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch):
    """A developer's own key and proxies must not decide a test."""
    for name in tuple(os.environ):
        if name.startswith("AIMUSIC_") or name.upper() in {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}:
            monkeypatch.delenv(name)


class FakeService:
    """A server that answers what a test scripts, and keeps what it was asked.

    A step is a body (200), a `(status, body)` or `(status, body, headers)`, or an async function of the request that
    returns one. The last step of a path goes on for ever.
    """

    def __init__(self):
        self.steps = {"/get-credits": [{"credits": 100, "extra_credits": 0}]}
        self.asked = []

    def script(self, path, *steps):
        """Answer `/api/v1{path}` with these steps, one after the other."""
        self.steps[path] = list(steps)

    def times(self, path=None):
        """When requests came, on the loop's clock."""
        return [at for at, _, asked, _ in self.asked if path in (None, asked)]

    async def handle(self, request):
        """Answer one request."""
        path = request.path.removeprefix("/api/v1")
        text = await request.text()
        self.asked.append((asyncio.get_running_loop().time(), request, path, text))
        steps = self.steps[path]
        step = steps.pop(0) if len(steps) > 1 else steps[0]
        if callable(step):
            step = await step(request)
        if isinstance(step, web.StreamResponse):
            return step
        status, body, headers = (*step, {})[:3] if isinstance(step, tuple) else (200, step, {})
        if isinstance(body, str):
            return web.Response(status=status, text=body, headers=headers)
        return web.json_response(body, status=status, headers=headers)


@pytest.fixture
async def fake():
    """A scripted service on this machine, with its address in `.url`."""
    service = FakeService()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", service.handle)
    async with TestServer(app) as server:
        service.url = str(server.make_url("")).rstrip("/")
        yield service


@pytest.fixture
def song():
    """A function that makes a request for a song."""

    def make(**fields):
        return sonic.CreateMusic(**{"prompt": "[Verse]\nHere we go", "mv": "sonic-v5"} | fields)

    return make
