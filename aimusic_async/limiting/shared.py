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
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

import anyio
import attrs

from ..errors import ConfigurationError, MusicError
from ..events import logger
from .bucket import _SHORTEST_WAIT, STANDARD_RATE, Token, TokenBucket, _Grant, _Level, _Taken

T = TypeVar("T")
P = ParamSpec("P")

_BUSY = 5.0
"""Seconds that a transaction waits for those of other processes, which take some 0.1 ms each."""


class _Locked(ConfigurationError):
    """Another process holds the file's lock for long; that passes."""


class SharedTokenBucket:
    """At most `rate` requests per second for all processes of this machine that name the same file and `account`.

    The file `path` is made when it is missing, for this user only (mode 600), in a folder that exists, on a local disk.
    It is no record of anything: losing it costs one interval, and a damaged one is made anew (a copy is kept beside
    it, as `….damaged`). `account` keeps several accounts in one file apart; give a hash, not the key.

    Margin and order are those of `TokenBucket`, with `capacity=1`: tokens go to the waiters of a process first come,
    first served, and to the processes in turn. A token that is held, unspent, for longer than a period does not keep
    the next from being granted.

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
        `clock` tells seconds, and must be the same for all processes. When it is set back, nobody waits longer than
        was left to wait before; when it is set forward, one interval is lost.
        """
        alone = TokenBucket(rate, margin=margin)  # checks and completes the numbers
        self.rate: float = alone.rate
        self.margin: float = alone.margin
        self.period: float = alone.period
        self._clock = clock
        self._line = _LineFile(Path(path).absolute(), account, self.period, clock)
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
        """Close it after the last user: a place in the line is left, who still waits gets a `MusicError`.

        Cancelling this does not keep the file open.
        """
        await self._leave()

    async def acquire(self) -> Token:
        """Wait for the next token, behind those who came before. Cancelling the wait takes none.

        Raises `ConfigurationError` when the file cannot be written any more, `MusicError` when this is closed.
        """
        self._wanting += 1
        try:
            async with self._turn_of_this_process():
                while not isinstance(answer := await self._ask_until_unlocked(), _Taken):
                    with anyio.move_on_after(max(answer, _SHORTEST_WAIT)):
                        await self._sooner.wait()
                return _Grant(self, answer)
        except BaseException:
            if self._wanting == 1:  # else the next waiter takes over the place
                self._tell(self._line.leave)
            raise
        finally:
            self._wanting -= 1

    def pause_until(self, moment: float) -> None:
        """Grant nothing to any process before `moment` on this event loop's clock; tokens that are out stay valid.

        Raises `MusicError` when this is closed.
        """
        self._open()
        self._tell(self._line.pause, moment - self._loop.time())

    def _spent(self, taken: _Taken) -> None:
        self._tell(self._line.spent, taken, self._clock())

    def _returned(self, taken: _Taken) -> None:
        self._tell(self._line.put_back, taken)
        if self._worker is not None:
            self._sooner.set()

    def _turn_of_this_process(self) -> asyncio.Lock:
        self._open()
        return self._turn

    async def _ask_until_unlocked(self) -> _Taken | float:
        told = False
        while True:
            try:
                return await self._ask()
            except _Locked as error:
                if not told:
                    logger.warning("%s; it is asked again", error)
                told = True
                await anyio.sleep(_SHORTEST_WAIT)  # waiting for the lock took long enough

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

    def _tell(self, work: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Have something done to the line, in order; nobody waits for it, and after the end it does not matter."""
        if self._worker is not None:
            self._worker.submit(self._line.quietly, partial(work, *args, **kwargs))

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
    """A line in its file, and the place in it that this process has. All but making it is for one thread."""

    def __init__(self, path: Path, account: str, period: float, clock: Callable[[], float]) -> None:
        self._path = path
        self._account = account
        self._period = period
        self._clock = clock
        self._place: int | None = None
        self._connection: sqlite3.Connection | None = None
        self._trouble = False

    def open(self) -> None:
        """Make the file, if it is missing, and see whether it can be written."""
        self._change(lambda _: None)

    def close(self) -> None:
        """Leave the line and close the file."""
        self.quietly(self.leave)
        self._disconnect()

    def ask(self) -> _Taken | float:
        """Return the token if it is this process's turn; else the seconds until it will be."""
        self._place, answer = self._change(lambda line: line.ask(self._place))
        return answer

    def leave(self) -> None:
        """Give up the place."""
        if (place := self._place) is not None:
            self._place = None
            self._change(lambda line: line.leave(place))

    def put_back(self, taken: _Taken) -> None:
        """See `Line.put_back`."""
        self._change(lambda line: line.put_back(taken, self._place))

    def spent(self, taken: _Taken, at: float) -> None:
        """See `Line.spent`."""
        self._change(lambda line: line.spent(taken, at))

    def pause(self, seconds: float) -> None:
        """See `Line.pause`."""
        self._change(lambda line: line.pause(seconds))

    def quietly(self, work: Callable[[], object]) -> None:
        """Do what nobody waits for. Trouble is logged once, until something goes well again."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - there is nobody to raise it to
            if not self._trouble:
                logger.warning("the shared rate limit may be kept less well: %s", error)
            self._trouble = True
        else:
            self._trouble = False

    def _change(self, change: Callable[[Line], T]) -> T:
        """Do something to the line in one transaction; if the file was damaged or removed, to a new one."""
        try:
            try:
                return self._transact(change)
            except sqlite3.DatabaseError as error:
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                if code == sqlite3.SQLITE_BUSY:
                    raise
                self._disconnect()
                if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                    self._empty()
                return self._transact(change)
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                raise _Locked(f"the shared rate limit in {self._path} is locked by another process") from error
            raise ConfigurationError(f"the shared rate limit cannot be kept in {self._path}: {error}") from error

    def _transact(self, change: Callable[[Line], T]) -> T:
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            found = connection.execute("SELECT * FROM line_1 WHERE account = ?", (self._account,)).fetchone()
            line = Line.from_row(self._period, found[1:]) if found else Line(self._period)
            line.look(self._clock())  # only now: waiting for the lock takes time
            result = change(line)
            connection.execute("REPLACE INTO line_1 VALUES (?, ?, ?, ?, ?, ?, ?)", (self._account, *line.to_row()))
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
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _empty(self) -> None:
        """Begin anew, in the same file and not in another of its name: other processes have this one open."""
        kept = self._path.with_name(self._path.name + ".damaged")
        if not kept.exists():  # it might be somebody's file, named here by mistake
            shutil.copy(self._path, kept)
        logger.warning("%s was damaged and is made anew; what it was is in %s", self._path, kept.name)
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
        """Return the line that `to_row` told of."""
        served, last, seen, full_at, paused_until, latest = row
        level = _Level(period, 1, full_at=full_at, paused_until=paused_until, latest=latest)
        return cls(period, level, served, last, seen)

    def to_row(self) -> tuple[int, int, float, float, float, float]:
        """Return all that it is, but the period."""
        level = self.level
        return self.served, self.last, self.seen, level.full_at, level.paused_until, level.latest

    def look(self, now: float) -> None:
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
