"""One rate limit for all processes of a machine: they stand in one line, which is kept in a small SQLite file.

A process takes a place in the line and waits for its turn, instead of trying again and again: so nobody is overtaken,
and each token costs a few short transactions, however many wait. `Line` is the arithmetic, without clock or file;
`_LineFile` keeps it in the file; `SharedTokenBucket` is the waiting, with one thread for the file.
"""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

import attrs

from ..errors import ConfigurationError, MusicError
from ..events import logger
from .bucket import STANDARD_RATE, Token, TokenBucket, _Grant, _Level, _Taken, _wait

T = TypeVar("T")
P = ParamSpec("P")

_BUSY = 5.0
"""Seconds that a transaction waits for those of other processes, which take some 0.1 ms each."""

_AGAIN = 1.0
"""Seconds until a file that could not be used is tried again."""

_TROUBLE = (sqlite3.Error, OSError)
"""What a file raises that cannot be used: it is locked, its disk is full, its folder is away. All of that passes."""


class SharedTokenBucket:
    """At most `rate` requests per second for all processes of this machine that name the same file and `account`.

    The file `path` is made when it is missing, for this user only (mode 600), in a folder that exists, on a local disk.
    It is no record of anything: losing it costs one interval, and a damaged one starts empty again (a copy is kept
    beside it, as `….damaged`). `account` keeps several accounts in one file apart; give a hash, not the key.

    Margin and order are those of `TokenBucket`, with `capacity=1`: tokens go to the waiters of a process first come,
    first served, and to the processes in turn. A token that is held, unspent, for longer than a period does not keep
    the next from being granted.

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
        *,
        margin: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raise `ConfigurationError` unless rate > 0 and margin ≥ 0.

        `margin`: seconds by which each period is longer than 1/`rate`; by default 2 % of it, and at least 0.05.
        `clock` returns seconds, and must be the same for all processes. When it is set back, nobody waits longer than
        remained before; when it is set forward, one interval is lost.
        """
        alone = TokenBucket(rate, margin=margin)  # checks and completes the numbers
        self.rate: float = alone.rate
        self.margin: float = alone.margin
        self.period: float = alone.period
        self._clock = clock
        self._line = _LineFile(Path(os.path.realpath(path)), account, self.period, clock)
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
                while not isinstance(answer := await self._ask(), _Taken):
                    await _wait(self._sooner, answer)
                return _Grant(self, answer)
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

    def _spent(self, taken: _Taken) -> None:
        self._note(self._line.spent, taken, self._clock())

    def _returned(self, taken: _Taken) -> None:
        self._note(self._line.put_back, taken)
        self._sooner.set()

    async def _ask(self) -> _Taken | float:
        """Return a token, or the seconds until it is worth asking again."""
        self._sooner.clear()
        asked = self._in_thread(self._line.ask)
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            asked.add_done_callback(self._unwanted)
            raise

    def _unwanted(self, asked: asyncio.Future[_Taken | float]) -> None:
        """Give back what came after its waiter was cancelled."""
        if not asked.cancelled() and asked.exception() is None and isinstance(taken := asked.result(), _Taken):
            self._returned(taken)

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

    def __init__(self, path: Path, account: str, period: float, clock: Callable[[], float]) -> None:
        self._path = path
        self._account = account
        self._period = period
        self._clock = clock
        self._place: int | None = None
        self._connection: sqlite3.Connection | None = None
        self._unstored: list[Callable[[Line], object]] = []
        self._holds = False  # since the file could not be used

    def open(self) -> None:
        """Make the file, if it is missing. Raises `ConfigurationError` when it cannot be written."""
        try:
            self._change(lambda _: None)
        except _TROUBLE as error:
            raise ConfigurationError(f"the shared rate limit cannot be kept in {self._path}: {error}") from error

    def close(self) -> None:
        """Leave the line and close the file."""
        self.leave()
        self._unstored.clear()
        self._holds = False
        self._disconnect()

    def ask(self) -> _Taken | float:
        """Return the token if it is this process's turn; else the seconds until it is worth asking again."""
        try:
            self._place, answer = self._change(lambda line: line.ask(self._place))
        except _TROUBLE as error:
            self._hold(error)
            return _AGAIN
        if self._holds:
            logger.warning("the shared rate limit in %s can be used again, and requests go on", self._path)
        self._holds = False
        return answer

    def leave(self) -> None:
        """Give up the place."""
        if (place := self._place) is not None:
            self._place = None
            self._soon(lambda line: line.leave(place))

    def put_back(self, taken: _Taken) -> None:
        """See `Line.put_back`."""
        self._soon(lambda line: line.put_back(taken, self._place))

    def spent(self, taken: _Taken, at: float) -> None:
        """See `Line.spent`."""
        self._soon(lambda line: line.spent(taken, at))

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
            found = connection.execute("SELECT * FROM line_1 WHERE account = ?", (self._account,)).fetchone()
            line = Line.from_row(self._period, found[1:]) if found else Line(self._period)
            line.observe(self._clock())  # only now: waiting for the lock takes time
            for earlier in self._unstored:
                earlier(line)
            result = change(line)
            connection.execute("REPLACE INTO line_1 VALUES (?, ?, ?, ?, ?, ?, ?)", (self._account, *line.to_row()))
        self._unstored.clear()
        return result

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            with suppress(FileExistsError):  # SQLite would make it readable for all
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(self._path, timeout=_BUSY, isolation_level=None)
            self._connection.execute("PRAGMA synchronous = OFF")  # nothing here need outlive a power cut
            self._connection.execute("PRAGMA journal_mode = PERSIST")  # but it must outlive a kill
            # Another layout gets a table of another name: versions side by side do not harm each other.
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS line_1 (account TEXT PRIMARY KEY, served INTEGER, last INTEGER,"
                " seen REAL, full_at REAL, paused_until REAL, latest REAL) WITHOUT ROWID"
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


@attrs.define
class Line:
    """Who may send next, without clock or file. Places are numbered; a process has one at a time, or none.

    When a place's turn comes follows from how many stand before it, so whatever delays the first delays all. One whose
    holder does not come when it is due (it was killed, say) is passed over by the next, a period later.
    """

    period: float
    level: _Level = attrs.field(default=attrs.Factory(lambda line: _Level(line.period, 1), takes_self=True))
    served: int = 0
    """The highest place that had its turn."""
    last: int = 0
    """The highest place that was taken."""
    seen: float = -math.inf
    """The time."""

    @classmethod
    def from_row(cls, period: float, row: tuple[int, int, float, float, float, float]) -> Line:
        """Return the line that `to_row` described."""
        served, last, seen, full_at, paused_until, latest = row
        level = _Level(period, 1, full_at=full_at, paused_until=paused_until, latest=latest)
        return cls(period, level, served, last, seen)

    def to_row(self) -> tuple[int, int, float, float, float, float]:
        """Return all that it is, but the period."""
        level = self.level
        return self.served, self.last, self.seen, level.full_at, level.paused_until, level.latest

    def observe(self, now: float) -> None:
        """Say what time it is, before anything else is done.

        A time that was later before means that the clock was set back; all that lies ahead moves along with it.
        """
        back = self.seen - now
        if back > 0:
            self.level.full_at -= back
            self.level.paused_until -= back
            self.level.latest -= back
        self.seen = now

    def ask(self, place: int | None) -> tuple[int | None, _Taken | float]:
        """Take a place, if there is none yet; return it and the seconds until its turn, or the token alone."""
        if place is None:
            place = self.last = self.last + 1
        wait = self.due(place) - self.seen
        if wait > 0:
            return place, wait
        self.served = max(self.served, min(place, self.last))
        return None, self.level.take(self.seen)

    def due(self, place: int) -> float:
        """Return the moment of a place's turn. One that was passed over is first, one that is unknown is last."""
        before = max(min(place, self.last) - self.served - 1, 0)
        return self.level.ready_at() + before * self.period

    def leave(self, place: int) -> None:
        """Give up a place. Its turn is for the next one who comes, or is lost if somebody stands behind it."""
        if place == self.last > self.served:
            self.last -= 1

    def put_back(self, taken: _Taken, place: int | None) -> None:
        """Take a token back from the process that has `place`.

        Others who wait have set their timers, and would come as late as before: with them behind it, it is lost.
        """
        mine = place is not None and self.served < place <= self.last
        if self.last - self.served <= mine:
            self.level.put_back(taken)

    def spent(self, taken: _Taken, at: float) -> None:
        """Count a token from when it was spent."""
        self.level.hold(taken, min(at, self.seen) - taken.at)

    def pause(self, seconds: float) -> None:
        """Have nobody's turn come for so long."""
        self.level.paused_until = max(self.level.paused_until, self.seen + seconds)
