"""One rate limit for all processes of a machine: they stand in one line, which is kept in a small SQLite file.

A process takes a place in the line and waits for its turn, instead of trying again and again: so nobody is overtaken,
and each token costs a few short transactions, however many wait. `line.Line` is the arithmetic, without clock or file;
`_LineFile` keeps it in the file; `SharedTokenBucket` is the waiting, with one thread for the file.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeAlias, TypeVar

from ..errors import ConfigurationError, MusicError
from ..events import logger
from ..journal.leases import owner_name, surely_dead
from .bucket import STANDARD_RATE, Grant, Token, checked, wait_for_event
from .level import fresh_for
from .line import Line, Plan

T = TypeVar("T")
P = ParamSpec("P")

_BUSY = 5.0
"""Seconds that a transaction waits for those of other processes, which take some 0.1 ms each."""

_AGAIN = 1.0
"""Seconds until a file that could not be used is tried again."""

_Answer: TypeAlias = tuple[int | None, float, float]
"""The number of a token; or None and the seconds until it is worth asking again. And when that was, in loop time."""

_TROUBLE = (sqlite3.Error, OSError)
"""What a file raises that cannot be used: it is locked, its disk is full, its folder is away. All of that passes."""


class SharedTokenBucket:
    """At most `rate` requests per second for all processes of this machine that name the same file and `account`.

    Up to `capacity` of them depart at once after a quiet time, in all processes together.

    The file `path` is made when it is missing, for this user only (mode 600), in a folder that exists, on a local disk.
    It is no record of anything: losing it costs one interval, and a damaged one starts empty again (a copy is kept
    beside it, as `….damaged`). `account` keeps several accounts in one file apart; give a hash, not the key.

    Margin and order are those of `TokenBucket`: tokens go to the waiters of a process first come, first served, and to
    the processes in turn; a process that was killed is waited for no more. Where processes name different limits, the
    slower rate and the smaller capacity count for all, and a warning says so. A token that is held, unspent, for longer
    than a period (at least 0.25 seconds) does not keep the next from being granted.

    While the file cannot be used (it is locked, the disk is full, its folder is away), nobody gets a token; a warning
    says so once, the file is tried again every second, and another says that it goes on.

    Use it as a context manager, once or several times over; the last one out closes it. It serves one event loop at a
    time, and needs a real one: not one with virtual time.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        account: str = "",
        rate: float = STANDARD_RATE,
        capacity: int = 1,
        *,
        margin: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raise `ConfigurationError` unless rate > 0, capacity ≥ 1 and margin ≥ 0.

        `margin`: seconds by which each period is longer than 1/`rate`; by default as for `TokenBucket`.
        `clock` returns seconds, and must be the same for all processes. When it is set back, nobody waits longer than
        remained before; when it is set forward, one interval is lost.
        """
        self.rate: float
        self.capacity: int
        self.margin: float
        self.rate, self.capacity, self.margin = checked(rate, capacity, margin)
        self.period: float = 1 / rate + self.margin
        self._clock = clock
        plan = Plan(self.rate, self.period, self.capacity)
        self._line = _LineFile(Path(os.path.realpath(path)), account, plan, clock)
        self._handles: dict[int, weakref.ref[Grant]] = {}
        self._users = 0
        self._wanting = 0
        self._worker: ThreadPoolExecutor | None = None

    async def __aenter__(self) -> Self:
        """Open the file. Raises `ConfigurationError` when it cannot be written. Cancelling leaves it closed."""
        loop = asyncio.get_running_loop()
        if self._users == 0:
            self._loop = loop
            self._turn = asyncio.Lock()  # its queue is the order of service in this process
            self._sooner = asyncio.Event()
            # One thread: what is done to the line is done in the order in which it was said here.
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="aimusic limiter")
        elif self._loop is not loop:
            raise ConfigurationError("a SharedTokenBucket serves one event loop at a time; this one serves another")
        self._users += 1
        try:
            await asyncio.shield(self._in_thread(self._line.open))
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it after the last user: its place in the line is given up, who still waits gets a `MusicError`.

        Cancelling this does not keep the file open.
        """
        await self._leave()

    async def acquire(self) -> Token:
        """Wait for the next token, behind those who came before. Cancelling the wait takes none.

        Raises `MusicError` when this is closed. A file that cannot be used makes it wait.
        """
        self._open()
        self._wanting += 1
        try:
            async with self._turn:
                while True:
                    number, wait, asked_at = await self._ask()
                    if number is not None:
                        return self._grant(number, asked_at + fresh_for(self.period))
                    await wait_for_event(self._sooner, wait)
        except BaseException:
            if self._wanting == 1:  # else the next waiter takes over the place
                self._note(self._line.leave)
            raise
        finally:
            self._wanting -= 1

    def pause_until(self, moment: float) -> None:
        """Grant nothing to any process before `moment` on this event loop's clock; tokens that are out stay valid.

        Raises `MusicError` when this is closed.
        """
        self._open()
        self._note(self._line.pause, moment, self._loop.time)

    def _grant(self, number: int, fresh_until: float) -> Grant:
        grant = Grant(self, number, fresh_until)
        self._handles[number] = weakref.ref(grant, partial(self._dropped, self._loop, number))
        return grant

    def _dropped(self, loop: asyncio.AbstractEventLoop, number: int, _: object) -> None:
        """Note that nobody holds a token any more. Any thread may collect garbage, at any moment: so no lock here."""
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self._drop, number)

    def _drop(self, number: int) -> None:
        if self._handles.pop(number, None) is not None:
            self._note(self._line.drop, number)
            self._sooner.set()

    def _spent(self, number: int) -> None:
        self._handles.pop(number, None)
        self._note(self._line.spent, number, self._clock())
        self._sooner.set()

    def _returned(self, number: int) -> None:
        self._handles.pop(number, None)
        self._note(self._line.put_back, number)
        self._sooner.set()

    async def _ask(self) -> _Answer:
        self._sooner.clear()
        asked = self._in_thread(partial(self._line.ask, self._loop.time))
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            asked.add_done_callback(self._unwanted)
            raise

    def _unwanted(self, asked: asyncio.Future[_Answer]) -> None:
        """Give back what came after its waiter was cancelled."""
        if not asked.cancelled() and asked.exception() is None and (number := asked.result()[0]) is not None:
            self._returned(number)

    def _open(self) -> ThreadPoolExecutor:
        if self._worker is None:
            raise MusicError("the limiter is not open: use `async with SharedTokenBucket(…) as limiter:`")
        return self._worker

    def _in_thread(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return self._loop.run_in_executor(self._open(), work)

    def _note(self, work: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Have something done to the line, in order; nobody waits for it, and after the end it does not matter."""
        if self._worker is not None:
            self._worker.submit(work, *args, **kwargs)

    async def _leave(self) -> None:
        self._users -= 1
        if self._users or self._worker is None:
            return
        worker, self._worker = self._worker, None
        self._sooner.set()
        closed = worker.submit(self._line.close)
        worker.shutdown(wait=False)
        await asyncio.shield(asyncio.wrap_future(closed))
        worker.shutdown()  # the thread has nothing left to do: it ends at once


class _LineFile:
    """A line in its file, and the place in it that this process has. All but making it is for one thread.

    Only `open` raises when the file cannot be used. Later, `ask` says when to ask again, and other changes are kept.
    """

    def __init__(self, path: Path, account: str, plan: Plan, clock: Callable[[], float]) -> None:
        self._path = path
        self._account = account
        self._plan = plan
        self._clock = clock
        self._name = ""
        self._connection: sqlite3.Connection | None = None
        self._unstored: list[Callable[[Line], object]] = []
        self._holds = False  # since the file could not be used
        self._mixed = False  # since others were found that have another plan

    def open(self) -> None:
        """Make the file, if it is missing. Raises `ConfigurationError` when it cannot be written."""
        self._name = self._name or owner_name()  # here: the process may have been forked since
        try:
            self._change(lambda _: None)
        except _TROUBLE as error:
            raise ConfigurationError(f"the shared rate limit cannot be kept in {self._path}: {error}") from error

    def close(self) -> None:
        """Leave the line and close the file."""
        self._soon(lambda line: line.part(self._name))
        self._unstored.clear()
        self._holds = self._mixed = False
        self._name = ""
        self._disconnect()

    def ask(self, time: Callable[[], float]) -> _Answer:
        """See `Line.ask`."""
        try:
            answer = self._change(lambda line: (*line.ask(self._name, surely_dead), time()))
        except _TROUBLE as error:
            self._hold(error)
            return None, _AGAIN, time()
        if self._holds:
            logger.warning("the shared rate limit in %s can be used again, and requests go on", self._path)
        self._holds = False
        return answer

    def leave(self) -> None:
        """See `Line.leave`."""
        self._soon(lambda line: line.leave(self._name))

    def put_back(self, number: int) -> None:
        """See `Line.put_back`."""
        self._soon(lambda line: line.put_back(number, self._name))

    def spent(self, number: int, at: float) -> None:
        """See `Line.spent`."""
        self._soon(lambda line: line.spent(number, at))

    def drop(self, number: int) -> None:
        """See `Line.drop`; others know it anyhow, a period after it was granted."""
        self._unstored.append(lambda line: line.drop(number))

    def pause(self, until: float, time: Callable[[], float]) -> None:
        """See `Line.pause`; `until` is a moment on the clock `time`."""
        self._soon(lambda line: line.pause(until - time()))

    def _soon(self, change: Callable[[Line], object]) -> None:
        """Do what nobody waits for: now, or with the next token."""
        self._unstored.append(change)
        if not self._holds:
            try:
                self._change(lambda _: None)
            except _TROUBLE as error:
                self._hold(error)

    def _hold(self, error: Exception) -> None:
        if not self._holds:
            what = "free space on its disk, bring its folder back, or end the program that locks it"
            logger.warning(
                "the shared rate limit in %s cannot be used (%s): requests wait; %s", self._path, error, what
            )
        self._holds = True

    def _change(self, change: Callable[[Line], T]) -> T:
        """Do something to the line in one transaction; if the file was damaged or removed, to a new one."""
        try:
            return self._transact(change)
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            self._disconnect()
            if code == sqlite3.SQLITE_BUSY:
                raise
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                self._empty()
            return self._transact(change)

    def _transact(self, change: Callable[[Line], T]) -> T:
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            found = connection.execute("SELECT state FROM line_2 WHERE account = ?", (self._account,)).fetchone()
            line = Line.from_text(found[0]) if found else Line.new()
            line.observe(self._clock())  # only now: waiting for the lock takes time
            other = line.join(self._name, self._plan, surely_dead)
            for earlier in self._unstored:
                earlier(line)
            result = change(line)
            connection.execute("REPLACE INTO line_2 VALUES (?, ?)", (self._account, line.to_text()))
        self._unstored.clear()
        self._compare(other)
        return result

    def _compare(self, other: Plan | None) -> None:
        """Say once that others have another plan."""
        if other is not None and not self._mixed:
            what = "%s holds one rate limit with two sizes: %s here, %s elsewhere; the slower rate and the smaller"
            logger.warning(f"{what} capacity count, until all name the same", self._path, self._plan, other)
        self._mixed = other is not None

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            with suppress(FileExistsError):  # SQLite would make it readable for all
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(self._path, timeout=_BUSY, isolation_level=None)
            self._connection.execute("PRAGMA synchronous = OFF")  # nothing here need outlive a power cut
            self._connection.execute("PRAGMA journal_mode = PERSIST")  # but it must outlive a kill
            # Another layout gets a table of another name: versions side by side do not harm each other.
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS line_2 (account TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID"
            )
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _empty(self) -> None:
        """Begin again, in the same file and not in another of its name: other processes have this one open."""
        kept = self._path.with_name(self._path.name + ".damaged")
        if not kept.exists():  # it might be somebody's file, named here by mistake
            part = kept.with_name(f"{kept.name}.part")
            shutil.copy(self._path, part)
            part.replace(kept)  # whole, or not at all
        logger.warning("%s was damaged and starts empty; its old content is in %s", self._path, kept.name)
        os.truncate(self._path, 0)
        self._path.with_name(self._path.name + "-journal").unlink(missing_ok=True)
