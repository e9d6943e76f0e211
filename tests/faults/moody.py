"""A process's link to the journal: slow, failing before or after the work is done, hanging, cut for a while."""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs

from aimusic_async import JournalError, MemoryJournal
from aimusic_async.journal.protocol import Outcome

from .virtual import Process, now, outside

LONGEST_HANG = 400.0
"""Seconds."""
_FLUSHED_WITHIN = 5.0
"""Seconds within which a session that is left surely stores what happened last, if the journal works."""


@attrs.frozen
class Mood:
    """How a link to the journal behaves: shares of the calls."""

    slow: float = 0.0
    before: float = 0.0
    """Fails and does nothing."""
    after: float = 0.0
    """Does it, and fails."""
    half: float = 0.0
    """Carries out some of the steps and fails."""
    hangs: float = 0.0
    """Is answered, or fails, after minutes."""
    odd: float = 0.0
    """One step of a call cannot be stored for now."""

    @property
    def calm(self) -> bool:
        """Whether nothing goes wrong."""
        return self == Mood()


def passing_trouble(chance: random.Random) -> Exception:
    """Return one of the errors of a journal that pass by themselves."""
    errors = (
        JournalError("the server is away"),
        JournalError("the file is locked"),
        OSError(errno.EMFILE, "Too many open files"),
        OSError(errno.ENOSPC, "No space left on device"),
        ConnectionResetError("Connection reset by peer"),
        TimeoutError("the server does not answer"),
    )
    return chance.choice(errors)


class Link:
    """One process's way to the journal. What was handed over is carried out, in order, whether anybody waits or not."""

    def __init__(
        self,
        journal: MemoryJournal,
        process: Process,
        mood: Mood,
        chance: random.Random,
        *,
        heard: Callable[[Process, Any, Outcome], None],
    ) -> None:
        self._journal = journal
        self._process = process
        self.mood = mood
        self._chance = chance
        self._heard = heard
        self._cut_until = -1.0
        self._cut_hangs = False
        self._before: asyncio.Event | None = None

    def cut(self, seconds: float, *, hangs: bool) -> None:
        """Cut it for a while: calls fail at once, or hang until the end of it and fail then."""
        self._process.troubled = True
        self._cut_until, self._cut_hangs = now() + seconds, hangs

    @property
    def answers_within(self) -> float:
        """Seconds within which every call that is under way is over."""
        return max(self._cut_until - now(), 0.0) + LONGEST_HANG * (not self.mood.calm)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._journal, name)
        return partial(self._call, name, found) if callable(found) else found

    async def _call(self, name: str, function: Callable[..., Any], *args: Any, **more: Any) -> Any:
        if name == "apply":
            for step in args[0]:
                self._process.passes(f"{type(step).__name__} handed over")
        await self._fail_when_cut()
        if self.mood.calm and name != "apply":
            outcome = await function(*args, **more)
        else:
            answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            outside(self._serve(answer, name, function, args, more))
            outcome = await answer
        await self._fail_when_cut()
        return outcome

    async def _fail_when_cut(self) -> None:
        if now() < self._cut_until:
            if self._cut_hangs:
                await asyncio.sleep(self._cut_until - now())
            raise passing_trouble(self._chance)

    async def _serve(
        self, answer: asyncio.Future[Any], name: str, function: Callable[..., Any], args: Any, more: Any
    ) -> None:
        """Carry out a call; the steps of one link are applied in the order in which they were handed over."""
        before, done = self._before, asyncio.Event()
        if name == "apply":
            self._before = done
        outcome: Any = None
        error: Exception | None = None
        try:
            if name == "apply" and before is not None:
                await before.wait()
            outcome, error = await self._carry_out(name, function, args, more)
        finally:
            done.set()
        if answer.done():  # cancelled
            return
        if error is not None:
            answer.set_exception(error)
            answer.exception()  # whoever waited may be dead by now
        else:
            answer.set_result(outcome)

    async def _carry_out(
        self, name: str, function: Callable[..., Any], args: Any, more: Any
    ) -> tuple[Any, Exception | None]:
        chance, mood = self._chance, self.mood
        if mood.calm:
            return await self._do(name, function, *args, **more), None
        trouble = passing_trouble(chance)
        if chance.random() < mood.slow:
            seconds = chance.choice([chance.uniform(0, 4), chance.uniform(0, 25)])
            self._process.troubled |= seconds > _FLUSHED_WITHIN
            await asyncio.sleep(seconds)
        if chance.random() < mood.hangs:
            self._process.troubled = True
            await asyncio.sleep(chance.uniform(20, LONGEST_HANG))
            if chance.random() < 0.5:
                return None, trouble
        if chance.random() < mood.before:
            self._process.troubled = True
            return None, trouble
        if name == "apply" and len(args[0]) > 1 and chance.random() < mood.half:
            self._process.troubled = True
            await self._do(name, function, args[0][: chance.randrange(1, len(args[0]))])
            return None, trouble
        if name == "apply" and hasattr(Outcome, "error") and chance.random() < mood.odd:
            self._process.troubled = True
            return await self._do_but_one(function, args[0], trouble), None
        outcome = await self._do(name, function, *args, **more)
        if chance.random() < mood.after:
            self._process.troubled = True
            return None, trouble
        return outcome, None

    async def _do_but_one(
        self, function: Callable[..., Any], steps: Sequence[Any], trouble: Exception
    ) -> list[Outcome]:
        odd = self._chance.randrange(len(steps))
        others = list(await self._do("apply", function, [*steps[:odd], *steps[odd + 1 :]])) if len(steps) > 1 else []
        error = trouble if isinstance(trouble, JournalError) else JournalError(f"not this one: {trouble}")
        return [*others[:odd], Outcome(None, changed=False, error=error), *others[odd:]]

    async def _do(self, name: str, function: Callable[..., Any], *args: Any, **more: Any) -> Any:
        outcome = await function(*args, **more)
        if name == "apply":
            for step, one in zip(args[0], outcome, strict=True):
                self._heard(self._process, step, one)
                self._process.passes(f"{type(step).__name__} stored")
        return outcome
