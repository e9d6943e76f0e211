"""Long work in slices: the event loop is free for others between two of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

AT_ONCE = 250
"""Items of one slice: some milliseconds, where each takes some 10 µs."""


def in_slices(
    items: Sequence[T], act: Callable[[T], object], then: Callable[[], object] | None = None
) -> asyncio.Future[None]:
    """Act on each item in order, on the first ones now and on the rest in the next turns of the loop; `then` goes on.

    Neither may raise. Return a future that is done with all that; cancelling it changes nothing.
    """
    loop = asyncio.get_running_loop()
    finished = loop.create_future()

    def go_on(start: int) -> None:
        end = start + AT_ONCE
        for item in items[start:end]:
            act(item)
        if end < len(items):
            loop.call_soon(go_on, end)
            return
        if then is not None:
            then()
        if not finished.done():
            finished.set_result(None)

    go_on(0)
    return finished


async def see_through(finished: asyncio.Future[None]) -> None:
    """Wait for the end of `in_slices`; when this is cancelled, that is raised at the end."""
    cancelled: asyncio.CancelledError | None = None
    while not finished.done():
        try:
            await asyncio.wait([finished])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
