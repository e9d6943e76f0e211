"""Virtual time, and processes in it that can be killed or paused between any two awaits.

No socket, no thread, no real second. What a process does is marked by a context variable, so that the loop can stop it
for good at any step, as `kill -9` does, or for a while, as a closed lid does. What a process handed to the journal, the
service or the rate limiter is carried out outside of it, whatever becomes of it meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import selectors
import sys
import warnings
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar
from typing import Any

import attrs

from aimusic_async import TokenBucket

_SPINNING = 100_000
"""Turns of the loop without any time passing after which it is taken to spin."""

_process: ContextVar[Process | None] = ContextVar("process", default=None)


class Hang(RuntimeError):
    """Nothing will ever happen again, or only the same for ever."""


class _Selector(selectors.DefaultSelector):
    """Lets the time of its loop jump to the next timer instead of waiting."""

    loop: VirtualLoop
    turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See `selectors.BaseSelector.select`."""
        loop = self.loop
        if loop.threads:
            return super().select(0.001 if timeout is None or timeout > 0 else 0)
        if timeout is None:
            if not (found := super().select(0)):
                raise Hang("nothing will ever happen again")
            return found
        if timeout > 0:
            loop.now += timeout
            self.turns = 0
        self.turns += 1
        if self.turns > _SPINNING:
            raise Hang("it spins without any time passing")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time. It knows which process each of its steps belongs to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.threads = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)
        self.set_task_factory(_new_task)

    def time(self) -> float:
        """See `asyncio.loop.time`."""
        return self.now

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """See `asyncio.loop.run_in_executor`; while threads work, time is real."""
        self.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _future: asyncio.Future[Any]) -> None:
        self.threads -= 1

    def _call_soon(self, callback: Any, args: Any, context: Context | None) -> asyncio.Handle:
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> asyncio.TimerHandle:
        """See `asyncio.loop.call_at`."""
        self._check_closed()
        timer = _TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer


class _Handle(asyncio.Handle):
    __slots__ = ()

    def _run(self) -> None:
        process = self._context.get(_process)
        if process is None or process.steps(self):
            super()._run()


class _TimerHandle(asyncio.TimerHandle):
    __slots__ = ()

    def _run(self) -> None:
        process = self._context.get(_process)
        if process is None or process.steps(self):
            super()._run()


def _new_task(loop: Any, work: Any, context: Context | None = None, **more: Any) -> asyncio.Task[Any]:
    task = asyncio.Task(work, loop=loop, context=context, **more)
    process = _process.get() if context is None else context.get(_process)
    if process is not None:
        process.tasks.append(task)
    return task


def this_process() -> Process:
    """Return the process that is running."""
    found = _process.get()
    assert found is not None
    return found


def now() -> float:
    """Return the virtual time, in seconds."""
    return asyncio.get_running_loop().time()


def outside(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Start something that belongs to no process, so it goes on whoever is killed."""
    return asyncio.get_running_loop().create_task(work, context=Context())


class Process:
    """One process: its tasks and callbacks run until it is killed, and not while it is paused."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.troubled = False
        """Whether anything happened by which it may have lost the answer to a POST."""
        self.tasks: list[asyncio.Task[Any]] = []
        self.ambushes: list[Ambush] = []
        self.paused_for = 0.0
        """Seconds, altogether."""
        self.over = asyncio.Event()
        """Set when its main task has ended, or when it is dead."""
        self._steps_left: int | None = None
        self._paused = False
        self._backlog: list[asyncio.Handle] = []
        self._context = Context()
        self._context.run(_process.set, self)

    def __repr__(self) -> str:
        return self.name

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task of this process."""
        return asyncio.get_running_loop().create_task(work, context=self._context.copy())

    def main(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start its main task; when that ends, the process has ended."""
        task = self.start(work)
        task.add_done_callback(lambda _: self.over.set(), context=Context())
        return task

    def call(self, function: Callable[[], Any]) -> None:
        """Let it call something soon."""
        asyncio.get_running_loop().call_soon(function, context=self._context)

    def steps(self, handle: asyncio.Handle) -> bool:
        """Say whether one of its steps may run now."""
        if self.dead:
            return False
        if self._paused:
            self._backlog.append(handle)
            return False
        if self._steps_left is not None:
            self._steps_left -= 1
            if self._steps_left < 0:
                self.kill()
                return False
        return True

    def kill(self, *, after_steps: int | None = None) -> None:
        """Stop it for good: now, or when it has run so many more steps."""
        self.troubled = True
        if after_steps is not None:
            self._steps_left = after_steps
        else:
            self.dead = True
            self.over.set()

    def pause(self, seconds: float) -> None:
        """Stop it for a while; the time that its loop shows goes on."""
        if not self._paused and not self.dead:
            self.troubled = self._paused = True
            self.paused_for += seconds
            asyncio.get_running_loop().call_later(seconds, self._go_on, context=Context())

    def _go_on(self) -> None:
        self._paused = False
        backlog, self._backlog = self._backlog, []
        asyncio.get_running_loop()._ready.extend(handle for handle in backlog if not handle.cancelled())

    def passes(self, place: str) -> None:
        """Say that it comes by a place at which somebody may lie in wait."""
        for ambush in tuple(self.ambushes):
            if ambush.place == place:
                ambush.after -= 1
                if ambush.after < 0:
                    self.ambushes.remove(ambush)
                    ambush.strike()

    def let_go(self) -> None:
        """Let go of what it left behind; nothing of that may matter any more."""
        self.dead = True
        for task in self.tasks:  # grows while coroutines are closed: what they start then never runs
            if not task.done():
                task._log_destroy_pending = False
                _close(task.get_coro())
        self.tasks.clear()
        self._backlog.clear()


def bury(processes: Sequence[Process]) -> None:
    """Let go of what processes left behind, without a word."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        with warnings.catch_warnings(action="ignore"):  # of coroutines that nobody awaits
            for process in processes:
                process.let_go()
    finally:
        sys.unraisablehook = hook


def _close(coroutine: Any) -> None:
    for _ in range(20):  # a `finally` with an await in it takes one more each
        try:
            coroutine.close()
        except BaseException:  # noqa: BLE001 - the process is dead: nobody is there to care
            continue
        return


@attrs.define
class Ambush:
    """Something that happens to a process when it comes by a place for the n-th time."""

    place: str
    after: int
    """How often it may pass before."""
    strike: Callable[[], None]


def run_virtual(main: Coroutine[Any, Any, Any], *, complain: Callable[[str], None]) -> Any:
    """Run a coroutine in a loop of virtual time; `complain` is called with what the loop's exception handler gets."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)

    def handler(_loop: Any, context: Mapping[str, Any]) -> None:
        complain(f"{context.get('message')}: {context.get('exception')!r}")

    loop.set_exception_handler(handler)
    try:
        return loop.run_until_complete(main)
    finally:
        loop.set_exception_handler(lambda *_: None)
        with suppress(Exception):
            for task in asyncio.all_tasks(loop):
                task._log_destroy_pending = False
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
        asyncio.set_event_loop(None)
        loop.close()


@contextmanager
def no_collecting() -> Iterator[None]:
    """Collect garbage at the end only: what a dead process left must not be finalized in the middle of a world."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class SharedLimit:
    """One process's way to the bucket that all share: a process that dies in the queue blocks nobody."""

    def __init__(self, bucket: TokenBucket, process: Process) -> None:
        self._bucket = bucket
        self._process = process
        self.rate = bucket.rate
        self.capacity = bucket.capacity
        self.margin = bucket.margin

    @property
    def period(self) -> float:
        """See `TokenBucket.period`."""
        return self._bucket.period

    async def acquire(self) -> Any:
        """See `RateLimiter.acquire`."""
        grant: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waiting = outside(self._wait(grant))
        try:
            return await grant
        except asyncio.CancelledError:
            if grant.done() and not grant.cancelled():
                grant.result().give_back()
            else:
                waiting.cancel()
            raise

    async def _wait(self, grant: asyncio.Future[Any]) -> None:
        token = await self._bucket.acquire()
        if self._process.dead or grant.done():
            token.give_back()
        else:
            grant.set_result(token)
            self._process.passes("token")

    def acquire_now(self) -> Any:
        """See `TokenBucket.acquire_now`."""
        return self._bucket.acquire_now()

    def pause_until(self, moment: float) -> None:
        """See `RateLimiter.pause_until`."""
        self._bucket.pause_until(moment)
