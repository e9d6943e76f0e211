"""The journal in a SQLite file: for all processes of one machine, each step synced to the disk before it counts.

One thread does all the work. Whatever waits for it goes into one transaction, so that a hundred jobs at once cost
little more than one. `sqlite_file` opens the file, `sqlite_tables` reads and writes what is in it.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Self, TypeVar, Unpack

import attrs

from ..errors import JournalError
from . import leases
from .budget import Ledger
from .protocol import VERSION, Outcome, Wanted
from .record import JobRecord
from .sqlite_file import connect, describe_error, is_busy, not_passing
from .sqlite_tables import Tables
from .steps import Step

T = TypeVar("T")


class SqliteJournal:
    """A `JobJournal` in a file: `async with SqliteJournal("jobs.sqlite") as journal`.

    The file is made when there is none, readable only by you; its folder must be there. It must be on a disk of this
    machine: over a network (NFS, SMB) the locks that keep processes apart do not hold. Opening raises `JournalError`
    when the file cannot be written durably, is damaged, or is not a journal that this version knows.

    The tables of an older version are brought to this one, after a copy of the file was made beside it; while a process
    of that version has the file open, opening raises `JournalError`.

    Several processes may have the same file open. Leaving the block waits until all is written that was asked for. An
    object may be opened again when it was closed.

    Whatever is asked for is carried out, also when the call is cancelled. A call that raises `JournalError` has changed
    nothing, and the journal stays usable: when the disk has room again, it writes again. A step that cannot be stored
    by itself harms no other: see `Outcome.error`.

    Args:
        path: Where the file is.
        clock: Gives the times of records, in Unix seconds.
        steady: Gives the time of leases: the boot of the machine, and seconds of a clock that is never set.
        patience: How many seconds to wait for other processes.

    """

    version = VERSION

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], tuple[str, float]] = leases.steady,
        patience: float = 10.0,
    ) -> None:
        self._path = os.fspath(path)
        self._clock = clock
        self._steady = steady
        self._patience = patience
        self._thread: ThreadPoolExecutor | None = None
        self._its = threading.local()  # `.db` belongs to the thread; each opening has its own, and `.tables`
        self._warned: set[object] = set()  # ids of records that cannot be read
        self._waiting: deque[_Call] = deque()
        self._called = False

    async def __aenter__(self) -> Self:
        """Open the file. Cancelling leaves it closed."""
        if self._thread is not None:
            raise not_passing(self._path, "is open already; share it, or make another object")
        self._thread = thread = ThreadPoolExecutor(1, thread_name_prefix="aimusic-journal")
        try:
            await asyncio.get_running_loop().run_in_executor(thread, self._open)
        except BaseException:
            self._thread = None
            thread.submit(self._close)  # the opening may have gone on
            thread.shutdown(wait=False)
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Write what was asked for, close the file, end the thread. Cancelling ends only the waiting for that."""
        thread, self._thread = self._thread, None
        assert thread is not None
        closing = asyncio.get_running_loop().run_in_executor(thread, self._close)
        thread.shutdown(wait=False)
        await asyncio.shield(closing)
        thread.shutdown()  # waits for a thread that has nothing left to do

    async def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        """See `JobJournal.apply`."""
        return await self._ask(lambda tables: tables.apply(steps))

    async def find(self, account: str, **wanted: Unpack[Wanted]) -> Sequence[JobRecord]:
        """See `JobJournal.find`."""
        return await self._ask(lambda tables: tables.find(account, **wanted), writes=False)

    async def ledgers(self, account: str) -> Mapping[str, Ledger]:
        """See `JobJournal.ledgers`."""
        return await self._ask(lambda tables: tables.ledgers(account), writes=False)

    async def latest(self) -> int:
        """See `JobJournal.latest`."""
        return await self._ask(lambda tables: tables.latest(), writes=False)

    async def prune(self, account: str, *, older_than: float) -> int:
        """See `JobJournal.prune`. The file keeps its size; the room in it is used again."""
        return await self._ask(lambda tables: tables.prune(account, older_than))

    async def beat(self, owner: str, account: str, *, alive: bool = True) -> None:
        """See `JobJournal.beat`."""
        await self._ask(lambda tables: tables.beat(owner, account, alive=alive))

    async def owners(self, account: str) -> Mapping[str, float]:
        """See `JobJournal.owners`. An owner whose process on this machine has ended is left out."""
        return await self._ask(lambda tables: tables.owners(account), writes=False)

    async def save(self, account: str, name: str, text: str) -> None:
        """See `JobJournal.save`."""
        await self._ask(lambda tables: tables.save(account, name, text))

    async def load(self, account: str, name: str) -> str | None:
        """See `JobJournal.load`."""
        return await self._ask(lambda tables: tables.load(account, name), writes=False)

    async def migrate_accounts(self, account: str, key_hash: str) -> Sequence[str]:
        """Give the jobs of a version 1 journal, which named an account by the hash of its API key, to named accounts.

        The jobs of `key_hash` become those of `account`. So do those of one other hash, when no more are there and
        `account` has no jobs yet. All others, and those whose keys `account` uses already, go to accounts named
        `legacy-` and their hash, at the same host. Ids stay as they are. Doing it again changes nothing.

        Returns sentences for the user, which say what became of jobs of other keys. Raises `JournalError`.
        """
        return await self._ask(lambda tables: tables.migrate_accounts(account, key_hash))

    async def _ask(self, work: Callable[[Tables], T], *, writes: bool = True) -> T:
        if self._thread is None:
            raise not_passing(self._path, "is not open; enter it with `async with`")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(work, answer, writes))
        if not self._called:
            self._called = True
            self._thread.submit(self._work)
        return await answer

    # --- from here on in the thread --------------------------------------------------------------------------------

    def _open(self) -> None:
        self._its.db = db = connect(self._path, patience=self._patience, now=self._clock())
        self._its.tables = Tables(
            db, self._path, patience=self._patience, clock=self._clock, steady=self._steady, warned=self._warned
        )

    def _close(self) -> None:
        if hasattr(self._its, "db"):
            self._its.db.close()

    def _work(self) -> None:
        self._called = False  # before the queue is read: who comes after that calls again
        calls: list[_Call] = []
        while self._waiting:
            calls.append(self._waiting.popleft())
        answers: defaultdict[asyncio.AbstractEventLoop, list[_Answer]] = defaultdict(list)
        for call, result in self._carry_out(calls) if calls else ():
            answers[call.answer.get_loop()].append((call, result))
        for loop, its in answers.items():
            with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
                loop.call_soon_threadsafe(_hand_over, its)

    def _carry_out(self, calls: Sequence[_Call]) -> list[_Answer]:
        """Do all in one transaction; if that fails, each in its own, so that only what cannot be done fails."""
        try:
            tables: Tables = self._its.tables
            with tables.transaction(writes=any(call.writes for call in calls)):
                return [(call, call.work(tables)) for call in calls]
        except Exception as error:  # noqa: BLE001 - goes to whoever asked
            if len(calls) == 1 or is_busy(error):
                return [(call, describe_error(self._path, error)) for call in calls]
        return [answer for call in calls for answer in self._carry_out([call])]


@attrs.frozen(eq=False)
class _Call:
    """Something asked of the thread."""

    work: Callable[[Tables], Any]
    answer: asyncio.Future[Any]
    writes: bool


_Answer = tuple[_Call, Any]
"""A call, and its result or the error that it raises."""


def _hand_over(answers: Sequence[_Answer]) -> None:
    for call, result in answers:
        if call.answer.done():  # cancelled
            continue
        if isinstance(result, JournalError):
            call.answer.set_exception(result)
        else:
            call.answer.set_result(result)
