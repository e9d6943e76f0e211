"""`aimusic sandbox`: the stand-in for the service as a server of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

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
    http_webhooks: bool = False,
    console: Console,
    row: Callable[[Mapping[str, Any]], None] | None = None,
) -> int:
    """Serve until cancelled; returns the exit code. `row` is called with the address and the key, as data.

    `faults`: the share of requests and of tasks that fail. `http_webhooks`: see `Options.http_webhooks`.
    """
    trouble = RandomFaults(faults, seed=seed) if faults else None
    options = Options(speed=speed, seed=seed, credits=credits, faults=trouble, http_webhooks=http_webhooks)
    box = Sandbox(options, host=host, port=port)
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
        export = f"export {BASE_URL}={box.url} {API_KEY}={box.key}{hurry}"
        console.print(f"  {export}", highlight=False)
        if row is not None:
            row({"url": box.url, "key": box.key, "speed": speed, "export": export})
        if trouble:
            console.print(
                f"\n{faults:.0%} of requests and of tasks fail on purpose, by the seed {seed}.", highlight=False
            )
        if http_webhooks:
            console.print(
                "\nWebhooks to plain http addresses of this machine are accepted and delivered.", highlight=False
            )
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        console.print("\nstopped", highlight=False)
    return 0
