"""The sandbox itself: an aiohttp web server in the running event loop, and its addresses."""

import asyncio
import socket
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import aiohttp
import anyio
from aiohttp import web

from aimusic_async.sandbox import lyrics, nuro, producer, riffusion, sonic
from aimusic_async.sandbox.audio import Audio
from aimusic_async.sandbox.books import Books
from aimusic_async.sandbox.desk import World
from aimusic_async.sandbox.door import Door
from aimusic_async.sandbox.faults import Faults
from aimusic_async.sandbox.fetch import fetch
from aimusic_async.sandbox.files import Files
from aimusic_async.sandbox.options import Options
from aimusic_async.sandbox.postman import Postman

API = "/api/v1"
PLATFORMS = (sonic.PLATFORM, lyrics.PLATFORM, producer.PLATFORM, nuro.PLATFORM, riffusion.PLATFORM)
WORLD = web.AppKey("WORLD", World)


def application(world: World, files: Files) -> web.Application:
    """The web application that serves `world`."""
    app = web.Application()
    app[WORLD] = world
    door = Door(world)
    router = app.router
    router.add_get("/files/streaming/{name}", files.streaming)
    router.add_get("/files/{name}", files.serve)
    if world.options.serve_books:
        router.add_get("/books", door.books)
    router.add_get(f"{API}/get-credits", door.credits(), allow_head=False)
    for platform in PLATFORMS:
        for path in dict.fromkeys(operation.path for operation in platform.operations):
            router.add_post(API + path, door.operations(platform, path))
        if platform.family is not None:
            for tail in ("", "/", "/{task_id}"):
                router.add_get(f"{API}/{platform.family}/task{tail}", door.tasks(platform), allow_head=False)
    nothing = door.nothing()
    router.add_route("*", API + "/{tail:.*}", nothing)
    if world.options.unknown_addresses == "pages":
        router.add_route("*", "/{tail:.*}", nothing)
    return app


class Sandbox:
    """A stand-in for the service, on this machine, for as long as the `async with` block lasts.

    ```python
    async with Sandbox(Options(speed=60)) as box:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {box.key}"}) as http:
            ...  # POST to f"{box.url}/api/v1/sonic/create"
        print(box.books.charged)
    ```

    It runs in the event loop in which it was opened, keeps that loop's time, and listens on `127.0.0.1` at a free port
    unless the options say otherwise. Raises `OSError` if it cannot listen there. Leaving the block closes it and drops
    open requests, webhooks still to come, and the files that were made.
    """

    def __init__(self, options: Options | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.options: Options = options or Options()
        self._host = host
        self._port = port
        self._stack = AsyncExitStack()
        self._world: World | None = None

    @property
    def _opened(self) -> World:
        if self._world is None:
            raise RuntimeError("the sandbox is not open: use it in `async with Sandbox() as box`")
        return self._world

    @property
    def url(self) -> str:
        """Where it listens, as "http://127.0.0.1:41234"; the API is under /api/v1."""
        return self._opened.base

    @property
    def key(self) -> str:
        """An API key that it accepts: the first of `Options.keys`."""
        return self.options.keys[0]

    @property
    def books(self) -> Books:
        """What happened so far; also readable after the sandbox is closed."""
        return self._opened.books

    @property
    def faults(self) -> Faults | None:
        """What goes wrong on purpose from now on; None: nothing. May be set at any time while it is open."""
        return self._opened.faults

    @faults.setter
    def faults(self, faults: Faults | None) -> None:
        self._opened.faults = faults

    async def __aenter__(self) -> Self:
        if self._world is not None:
            raise RuntimeError("a sandbox can be opened once")
        async with AsyncExitStack() as stack:
            # A kept connection may end just when it is used again: then a webhook would come late by nobody's switch.
            fresh = aiohttp.TCPConnector(force_close=True)
            http = await stack.enter_async_context(aiohttp.ClientSession(connector=fresh, auto_decompress=False))

            async def fetch_(address: str) -> Audio:
                return await fetch(http, address, self.options)

            calendar = self.options.start or datetime.now(UTC)
            world = World(self.options, asyncio.get_running_loop(), calendar.astimezone(UTC), fetch_)
            files = Files(world)
            stack.push_async_callback(files.close)
            listener = socket.create_server(
                (self._host, self._port), family=socket.AF_INET6 if ":" in self._host else socket.AF_INET
            )
            stack.callback(listener.close)
            runner = web.AppRunner(application(world, files), access_log=None, shutdown_timeout=0.1)
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            postman = Postman(world, http, {one.family: one.view for one in PLATFORMS if one.family and one.view})
            world.announce = postman.announce
            # A task of its own: so the sandbox may be entered and left in different tasks, as test fixtures are.
            stack.push_async_callback(_stop, asyncio.create_task(postman.run(), name="sandbox webhooks"))
            await web.SockSite(runner, listener).start()
            world.base = _url(listener)
            self._world = world
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        world = self._opened
        await self._stack.aclose()
        world.closed_at = world.loop.time()


async def _stop(host: asyncio.Task[None]) -> None:
    """Cancel a task and see it end; what broke it is raised."""
    host.cancel()
    with anyio.CancelScope(shield=True):
        await asyncio.wait([host])  # unlike `await host` it distinguishes our own cancellation from the host's
    if not host.cancelled() and (error := host.exception()) is not None:
        raise error


def _url(listener: socket.socket) -> str:
    bound, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bound, str(bound))  # noqa: S104  # one cannot connect to "any"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
