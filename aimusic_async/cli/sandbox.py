"""`aimusic sandbox`: the stand-in for the service as a server of its own."""

from __future__ import annotations

import asyncio

from rich.console import Console

from ..sandbox import Options, Sandbox
from ..settings import API_KEY, BASE_URL
from ..transport.limiter import STANDARD_RATE


async def run_sandbox(host: str, port: int, *, speed: float, seed: int, credits: int, console: Console) -> int:  # noqa: A002
    """Serve until cancelled; returns the exit code."""
    async with Sandbox(Options(speed=speed, seed=seed, credits=credits), host=host, port=port) as box:
        console.print(f"The sandbox listens on {box.url}; Ctrl-C ends it. In another terminal:\n", highlight=False)
        console.print(f"  export {BASE_URL}={box.url} {API_KEY}={box.key}", highlight=False)
        if speed != 1:
            console.print(
                f"\nIt runs {speed:g} times as fast as the service, its rate limit too: "
                f"give the session limiter=TokenBucket(rate={STANDARD_RATE * speed:g})",
                highlight=False,
            )
        await asyncio.Event().wait()
    return 0
