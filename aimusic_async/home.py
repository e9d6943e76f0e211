"""Where a session lives: one event loop, in one thread of one process. Whoever comes from elsewhere is refused."""

from __future__ import annotations

import asyncio
import os

from .errors import WrongLoop

_running = asyncio._get_running_loop  # noqa: SLF001 - documented for this; None, where `get_running_loop` raises


class Home:
    """The event loop in which a session was entered. `check` costs some tenths of a microsecond."""

    __slots__ = ("_pid", "loop")

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._pid = os.getpid()

    def check(self) -> None:
        """Raise `WrongLoop` for whoever does not come from this loop; call it before anything changes."""
        # A child that was forked may go on with the loop that it inherited: only its process is another.
        if _running() is not self.loop or os.getpid() != self._pid:
            raise WrongLoop(self._what_to_do())

    @property
    def forked(self) -> bool:
        """Whether this process is a forked child of the one in which the session was entered."""
        return os.getpid() != self._pid

    def _what_to_do(self) -> str:
        if self.forked:
            return (
                f"the session was entered in the process {self._pid}, of which this one ({os.getpid()}) is a forked "
                "copy: make and enter a MusicSession of its own in every worker process, after the fork"
            )
        if self.loop.is_closed():
            return (
                "the session was entered in an event loop that is closed by now: make a MusicSession in each "
                "asyncio.run(), and leave it there"
            )
        here = "in another event loop" if _running() is not None else "where no event loop runs"
        return (
            f"the session belongs to the event loop in which it was entered, and was used {here}. From another thread: "
            "asyncio.run_coroutine_threadsafe(coroutine, loop).result(), with that loop; from another loop: a "
            "MusicSession of its own"
        )
