"""The line of what is to be written into a journal: in order, together, and again until it is done."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeAlias

import anyio

from ..errors import JournalError
from ..events import logger
from .protocol import JobJournal, Outcome
from .steps import Step

AT_ONCE = 500
"""Steps that are handed over together: enough to share a sync, few enough to leave the loop to others."""
_TRY_AGAIN = 1.0

Then: TypeAlias = Callable[[Outcome | JournalError], None]


class Line:
    """Steps on their way into a journal. `write` does the writing."""

    def __init__(self, journal: JobJournal) -> None:
        self._journal = journal
        self._line: deque[tuple[Step, Then | None]] = deque()
        self._news = asyncio.Event()
        self._quiet = asyncio.Event()  # set while nothing is to be written
        self._quiet.set()
        self._ended: JournalError | None = None
        self._outage = False
        self._one_by_one = 0  # so many steps are to be handed over each alone

    def steps(self) -> list[Step]:
        """Return the steps that are not written down yet."""
        return [step for step, _ in self._line]

    async def written(self) -> None:
        """Wait until everything that was put in is written down, or could not be."""
        await self._quiet.wait()

    def put(self, step: Step, then: Then | None = None) -> None:
        """Put a step at the end; `then` is told what it came to. Without it, it is tried until it is written down."""
        if self._ended is not None:
            _answer([(step, then)], self._ended)
            return
        self._line.append((step, then))
        self._quiet.clear()
        self._news.set()

    async def put_and_wait(self, step: Step) -> Outcome:
        """Put a step at the end and wait for what it came to; cancelling leaves it there. Raises `JournalError`."""
        done: asyncio.Future[Outcome | JournalError] = asyncio.get_running_loop().create_future()
        self.put(step, lambda outcome: None if done.done() else done.set_result(outcome))
        outcome = await done
        if isinstance(outcome, JournalError):
            raise outcome
        return outcome

    async def write(self) -> None:
        """Write down what comes, until cancelled; who still waits then is told that it will not be."""
        try:
            await self._write()
        finally:
            self._ended = JournalError("the session has ended; nothing more is written down")
            _answer(self._line, self._ended)
            self._line.clear()
            self._quiet.set()

    async def _write(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._line:
                most = 1 if self._one_by_one else AT_ONCE
                self._one_by_one = max(self._one_by_one - 1, 0)
                await self._write_together([self._line.popleft() for _ in range(min(len(self._line), most))])
            self._quiet.set()

    async def _write_together(self, batch: list[tuple[Step, Then | None]]) -> None:
        """Hand steps to the journal. Who waits for one that failed is told; what merely happened is tried again."""
        try:
            outcomes = await self._journal.apply([step for step, _ in batch])
        except JournalError as error:
            if not self._outage:
                logger.warning("%s", error)
            self._outage = True  # told once, until it works again
            self._line.extendleft((step, None) for step, then in reversed(batch) if then is None)
            _answer(batch, error)
            await anyio.sleep(_TRY_AGAIN)
        except Exception as error:  # noqa: BLE001 - a journal of the user's own may raise anything
            if len(batch) > 1:
                self._line.extendleft(reversed(batch))
                self._one_by_one = len(batch)  # one of them is at fault; the others are not to suffer for it
                return
            logger.error("%r cannot be written down: %r", batch[0][0], error)
            _answer(batch, as_journal_error(error))
        except BaseException:
            _answer(batch, JournalError("the session ended meanwhile"))
            raise
        else:
            self._outage = False
            for (_, then), outcome in zip(batch, outcomes, strict=True):
                if then is not None:
                    then(outcome)


def _answer(batch: Iterable[tuple[Step, Then | None]], failure: JournalError) -> None:
    for _, then in batch:
        if then is not None:
            then(failure)


def as_journal_error(error: Exception) -> JournalError:
    """Return what a journal raised as a `JournalError`."""
    if isinstance(error, JournalError):
        return error
    failure = JournalError(f"the journal failed: {error!r}")
    failure.__cause__ = error
    return failure
