"""A few lines of aiohttp in a process of their own, so that only the client's CPU counts."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextmanager
def serving(path: str, answer: Answer) -> Iterator[str]:
    """Answer POSTs of one path, by a function of a module; give the server's address."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, path, answer), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()


def _serve(there: Connection, path: str, answer: Answer) -> None:
    async def main() -> None:
        app = web.Application()
        app.router.add_post(path, answer)
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=600)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        there.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())
