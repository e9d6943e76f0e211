"""A time limit that reads before it ends: what had arrived in time counts, though the event loop was not there."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

_GRACE = 0.1
"""Seconds of a running event loop in which it reads what lies in its sockets, once the time is over."""
_ROUNDS = 50
"""Times that this is granted again while bytes keep coming."""


class Deadline:
    """`async with Deadline(seconds) as deadline: …` raises `TimeoutError` when the time is over.

    A process may be stopped, or its event loop blocked, until long after the deadline; and the timer is then due in the
    same turn of the loop as the answer in the socket. So it ends nothing before the loop has looked at its sockets
    again and found nothing. Call `heard` whenever something came.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._scope = asyncio.timeout(None)
        self._timer: asyncio.Handle | None = None
        self._heard = 0
        self._rounds = 0

    def heard(self) -> None:
        """Note that something came."""
        self._heard += 1

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        self._timer = self._loop.call_later(self._seconds, self._due)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._timer is not None
        self._timer.cancel()
        await self._scope.__aexit__(kind, error, trace)

    def _due(self) -> None:
        self._timer = self._loop.call_later(_GRACE, self._read, self._heard)

    def _read(self, heard: int) -> None:
        # What was read in this very turn of the loop wakes its reader in the next one.
        self._timer = self._loop.call_soon(self._judge, heard)

    def _judge(self, heard: int) -> None:
        self._rounds += 1
        if self._heard != heard and self._rounds < _ROUNDS:
            self._due()
        else:
            self._scope.reschedule(self._loop.time())
