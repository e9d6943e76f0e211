"""`run`: the main coroutine of a program, ended in good order by Ctrl-C, SIGTERM and a terminal that closes."""

from __future__ import annotations

import asyncio
import inspect
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from .errors import ConfigurationError, WrongLoop

T = TypeVar("T")

_ENDING = ("SIGTERM", "SIGHUP", "SIGBREAK")
"""Signals that ask a program to end: of service managers, of a terminal that closes, and of Windows' consoles."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as `asyncio.run` does, and cancel it on SIGTERM and SIGHUP too, as Ctrl-C does.

    By default SIGTERM, with which containers and service managers stop a program, and SIGHUP, with which a closed
    terminal does, end Python on the spot: the outcome of a POST under way is then unknown. Here sessions and groups are
    exited first: what was not sent is cancelled, a POST under way is finished and its task id kept. Then
    `SystemExit(143)` is raised, on SIGHUP `SystemExit(129)`. The same signal again breaks that off, as a second Ctrl-C
    does; another one changes nothing. A signal that is ignored, as under `nohup`, stays ignored. Handlers of your own
    are back when it returns.

    Call it in the main thread: in another one no signal is seen. Raises `WrongLoop` where an event loop runs already,
    as in a notebook: write `await main()` there. On Windows a program is ended so by Ctrl-C, Ctrl-Break and a console
    that closes only: what ends it from outside leaves it no time.
    """
    if not inspect.iscoroutine(main):
        raise ConfigurationError(f"run() takes a coroutine, such as run(main()); got {type(main).__name__}")
    if asyncio._get_running_loop() is not None:  # noqa: SLF001 - documented for this
        main.close()  # else Python warns that it was never awaited
        raise WrongLoop(
            "an event loop runs here already, as in a notebook: write `await main()` instead of run(main())"
        )
    came: list[int] = []

    async def until_ended() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def end(number: int, _frame: FrameType | None) -> None:
            if not came:
                came.append(number)
            if number == came[0]:  # a closing terminal's signal is often followed by a SIGTERM, which says the same
                loop.call_soon_threadsafe(task.cancel)  # wakes the loop, too

        with _handled(end):
            result: T = await main
        return result

    try:
        return asyncio.run(until_ended())
    except asyncio.CancelledError:
        if came:
            raise SystemExit(128 + came[0]) from None
        raise


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let a function handle the signals that end a program; afterwards their former handlers are back."""
    former: dict[int, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for name in _ENDING:
                number = getattr(signal, name, None)  # each system knows some of them
                # Ignored ones stay so; None is a handler that was not set in Python, and could not be put back.
                if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                    former[number] = signal.signal(number, handler)
        yield
    finally:
        for number, before in former.items():
            if signal.getsignal(number) is handler:  # and not one that the program has set since
                signal.signal(number, before)
