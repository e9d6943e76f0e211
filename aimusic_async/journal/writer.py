"""The write queue of a journal: steps in order, together, and again until they are stored; one harms no other."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

import anyio
import attrs

from ..errors import JournalError, one_line
from ..events import logger
from .protocol import JobJournal, Outcome
from .steps import Accepted, Step

AT_ONCE = 500
"""Steps that are handed over together: enough to share a sync, few enough to leave the loop to others."""
_TRY_AGAIN = 1.0
_PATIENCE = 3
"""Failures of one step after which the others get their turn first."""
_HANGS = 5.0
"""Seconds without an answer of the journal after which a warning says so."""

Then: TypeAlias = Callable[[Outcome], None]


@attrs.define(eq=False)
class _Entry:
    """A step on its way."""

    step: Step
    then: Then | None
    number: int
    failures: int = 0
    said: bool = False


@attrs.define(eq=False)
class _Waiter:
    """Who waits until the steps up to a number are settled, of one record or of all."""

    record_id: str | None
    number: int
    left: int
    all_settled: asyncio.Future[None]

    def settled(self, entry: _Entry) -> None:
        """Note that one is."""
        if entry.number <= self.number and self.record_id in (None, entry.step.id):
            self.left -= 1
            if not self.left and not self.all_settled.done():
                self.all_settled.set_result(None)


class WriteQueue:
    """Steps on their way into a journal; `write` does the writing. Steps of one record are stored in their order.

    Trouble that passes holds what waits, and is logged once. A step that cannot be stored fails alone.
    """

    def __init__(self, journal: JobJournal) -> None:
        self._journal = journal
        self._queue: deque[_Entry] = deque()
        self._in_hand: list[_Entry] = []  # what the journal is storing
        self._pending: Counter[str] = Counter()  # by record, both
        self._news = asyncio.Event()
        self._appended = 0  # so many, ever
        self._waiters: list[_Waiter] = []
        self._singly = 0  # so many steps are to be handed over each alone
        self._trouble = False
        self._ended = False

    def steps(self) -> list[Step]:
        """Return the steps that are not stored yet, those in the journal's hand first."""
        return [entry.step for entry in (*self._in_hand, *self._queue)]

    def append(self, step: Step, then: Then | None = None) -> None:
        """Append a step; `then` is called, from the event loop, with what it came to."""
        self._appended += 1
        entry = _Entry(step, then, self._appended)
        self._pending[step.id] += 1
        if self._ended:
            self._settle(entry, _ended())
        else:
            self._queue.append(entry)
            self._news.set()

    async def stored(self, record_id: str | None = None) -> None:
        """Wait until all that was appended so far, of one record or of all, is stored or has failed for good."""
        left = len(self._in_hand) + len(self._queue) if record_id is None else self._pending[record_id]
        if left:
            waiter = _Waiter(record_id, self._appended, left, asyncio.get_running_loop().create_future())
            self._waiters.append(waiter)
            await waiter.all_settled

    async def write(self) -> None:
        """Store what comes, until cancelled; what is not stored then has failed."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._queue:
                    await self._write_some()
        finally:
            self._ended = True
            for entry in (*self._in_hand, *self._queue):
                self._settle(entry, _ended())
            self._in_hand = []
            self._queue.clear()

    async def _write_some(self) -> None:
        most = 1 if self._singly else AT_ONCE
        self._singly = max(self._singly - 1, 0)
        self._in_hand = [self._queue.popleft() for _ in range(min(len(self._queue), most))]
        hangs = asyncio.get_running_loop().call_later(_HANGS, self._say_that_it_hangs)
        try:
            outcomes = await self._journal.apply([entry.step for entry in self._in_hand])
        except Exception as error:  # noqa: BLE001 - a journal of the user's own may raise anything
            await self._failed(as_journal_error(error))
        else:
            await self._sort(outcomes)
        finally:
            hangs.cancel()

    async def _sort(self, outcomes: Sequence[Outcome]) -> None:
        """Settle what was stored, or can't be; what may be stored later goes back, with what follows it."""
        batch, self._in_hand = self._in_hand, []
        held: dict[str, None] = {}
        again: list[_Entry] = []
        error: JournalError | None = None
        for entry, outcome in zip(batch, outcomes, strict=True):
            if entry.step.id in held or (outcome.error is not None and outcome.error.passing):
                held[entry.step.id] = None
                error = error or outcome.error
                again.append(entry)
            else:
                self._settle(entry, outcome)
        if error is not None:
            self._in_hand = again
            await self._failed(error)
        elif self._trouble and not self._queue:
            logger.warning("the journal works again")
            self._trouble = False

    async def _failed(self, error: JournalError) -> None:
        batch = self._in_hand
        if error.passing:
            self._say(str(error))
        elif len(batch) == 1:  # whatever is wrong with it, the others are not to suffer
            self._settle(batch[0], Outcome(None, changed=False, error=error))
            self._in_hand = []
            return
        self._singly = len(batch)
        for entry in batch:
            entry.failures += len(batch) == 1
        self._in_hand = []
        self._queue.extendleft(reversed(batch))
        if self._queue[0].failures == _PATIENCE:
            self._let_others_pass()
        if error.passing:
            await anyio.sleep(_TRY_AGAIN)

    def _let_others_pass(self) -> None:
        """Move the first step to the end, with all later ones of its record behind it."""
        first = self._queue[0].step.id
        same = [entry for entry in self._queue if entry.step.id == first]
        same[0].failures = 0
        self._queue = deque([*(entry for entry in self._queue if entry.step.id != first), *same])
        self._singly = len(self._queue)

    def _say_that_it_hangs(self) -> None:
        self._say("the journal does not answer")

    def _say(self, what: str) -> None:
        """Log trouble once, until the journal works again; each task id that it keeps from being stored, too."""
        if not self._trouble:
            logger.warning("%s; it is tried again, and nothing is sent meanwhile", what)
        self._trouble = True
        for entry in self._in_hand:
            if isinstance(entry.step, Accepted) and not entry.said:
                entry.said = True
                logger.error("the task id %s could not be written down yet: %s", one_line(entry.step.task_id), what)

    def _settle(self, entry: _Entry, outcome: Outcome) -> None:
        self._pending[entry.step.id] -= 1
        if not self._pending[entry.step.id]:
            del self._pending[entry.step.id]
        for waiter in self._waiters:
            waiter.settled(entry)
        self._waiters = [waiter for waiter in self._waiters if not waiter.all_settled.done()]
        if entry.then is not None:
            # Not from here: whatever it meets must not reach those whose steps come next.
            asyncio.get_running_loop().call_soon(entry.then, outcome)
        elif outcome.error is not None and not self._ended:
            logger.error("%r cannot be written down: %s", entry.step, outcome.error)


def _ended() -> Outcome:
    return Outcome(None, changed=False, error=JournalError("the session has ended; nothing more is written down"))


def as_journal_error(error: Exception) -> JournalError:
    """Return what a journal raised as a `JournalError`. Trouble of the system passes; a mistake does not."""
    if isinstance(error, JournalError):
        return error
    failure = JournalError(f"the journal failed: {error!r}", passing=isinstance(error, OSError))
    failure.__cause__ = error
    return failure
