"""`run`: the main coroutine of a program, ended in good order by Ctrl-C and by SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as `asyncio.run` does, and cancel it on SIGTERM too, as Ctrl-C does.

    By default SIGTERM, with which containers and service managers stop a program, ends Python on the spot: the outcome
    of a POST under way is then unknown. Here sessions and groups are exited first: what was not sent is cancelled, a
    POST under way is finished and its task id kept. Then `SystemExit(143)` is raised. Call it in the main thread.
    """
    stopped = False

    async def until_stopped() -> T:
        nonlocal stopped
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop() -> None:
            nonlocal stopped
            stopped = True
            task.cancel()

        with suppress(NotImplementedError):  # Windows knows no SIGTERM that one could wait for
            loop.add_signal_handler(signal.SIGTERM, stop)
        return await main

    try:
        return asyncio.run(until_stopped())
    except asyncio.CancelledError:
        if stopped:
            raise SystemExit(128 + signal.SIGTERM) from None
        raise
