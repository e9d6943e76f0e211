"""`aimusic sandbox`: the stand-in for the service as a server of its own."""

from __future__ import annotations

import asyncio
import contextlib

from rich.console import Console

from ..errors import ConfigurationError
from ..sandbox import Options, RandomFaults, Sandbox
from ..settings import API_KEY, BASE_URL, SPEED


async def run_sandbox(
    host: str,
    port: int,
    *,
    speed: float,
    seed: int,
    credits: int,  # noqa: A002
    faults: float = 0.0,
    console: Console,
) -> int:
    """Serve until cancelled; returns the exit code. `faults`: the share of requests and of tasks that go wrong."""
    trouble = RandomFaults(faults, seed=seed) if faults else None
    box = Sandbox(Options(speed=speed, seed=seed, credits=credits, faults=trouble), host=host, port=port)
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(box)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigurationError(
                f"cannot listen on {host}:{port}: {reason}; choose another --port (0 takes a free one)"
            ) from error
        console.print(f"The sandbox listens on {box.url}; Ctrl-C ends it. In another terminal:\n", highlight=False)
        hurry = "" if speed == 1 else f" {SPEED}={speed:g}"
        console.print(f"  export {BASE_URL}={box.url} {API_KEY}={box.key}{hurry}", highlight=False)
        if trouble:
            console.print(
                f"\nOf requests and of tasks {faults:.0%} go wrong on purpose, by the seed {seed}.", highlight=False
            )
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        console.print("\nstopped", highlight=False)
    return 0
