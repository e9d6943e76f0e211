"""What the next token is worth most for: a direct call, a submit, or a poll. Pure: no I/O, `now` is an argument.

Every candidate has a worth, and the greatest gets the token:

- a submit is worth 1, less when its group's time is over before it is likely done;
- a poll is worth the chance that it hits, divided by the chance that is `SURE` enough: a poll that misses delays
  everybody behind it, one that waits delays only its own song. So with a backlog, polls wait until they are nearly sure
  to hit. One that went before a submit and missed owes that a token: guesses that are wrong starve nobody;
- a poll of a task whose time is nearly over is worth `URGENT`: otherwise it might end unseen;
- a direct call, for which somebody waits, is worth `CALL`; batch work that got no token for long gains on it.

With nothing to submit, tokens are free, and the likeliest poll goes as soon as its interval lets it.
Every step costs O(log n) in the number of jobs; nothing ticks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable
from typing import Generic, TypeVar

import attrs

from .durations import Durations, TaskKind
from .waiting import USUAL, Kind, Terms, Waiting
from .watching import CURIOUS, LAST_POLL, SURE, URGENT, Task, Watching

__all__ = ["CALL", "CURIOUS", "EVERYTHING", "LAST_POLL", "SURE", "URGENT", "Choice", "Kind", "Schedule", "Terms"]

J = TypeVar("J", bound=Hashable)

CALL = 2.0
PATIENCE = 20.0
"""Seconds without a token after which batch work is worth as much more as a submit."""
_MOST_OWED = 3
"""Tokens that may be owed to submits."""
_IN_A_ROW = 10
"""Polls in a row that go before a submit, even if they all hit."""
_HABIT = 0.1
"""How fast what is known of the pace follows what is seen."""
_PAUSE = 4.0
"""Times the usual from which a time without a token says nothing of the pace: it was a pause."""

EVERYTHING = frozenset(Kind)


@attrs.frozen
class Choice(Generic[J]):
    """What to do with a token."""

    kind: Kind
    job: J


class Schedule(Generic[J]):
    """Holds what waits for a token. Times are seconds on one clock, which the caller reads."""

    def __init__(self, durations: Durations | None = None) -> None:
        self.durations: Durations = durations or Durations()
        places = itertools.count()
        self._waiting = Waiting[J](self.durations, places)
        self._watching = Watching[J](self.durations, places)
        self._owed = 0
        self._in_a_row = 0
        self._batch_served = -math.inf
        self._served = -math.inf
        self.holds: set[str] = set()
        """While it holds a reason, no submit is due: too few credits, say, or a journal that does not answer."""

    @property
    def watching(self) -> int:
        """How many tasks are being watched."""
        return len(self._watching)

    @property
    def waiting(self) -> int:
        """How many calls and submits wait for a token."""
        return len(self._waiting)

    # --- calls and submits -----------------------------------------------------------------------------------------

    def add(self, job: J, kind: Kind, *, now: float, priority: int = 0, terms: Terms = USUAL) -> None:
        """Queue a direct call or a submit: before those of a lower `priority`, behind the others."""
        self._waiting.add(job, kind, terms, now=now, priority=priority)

    def again(self, job: J, kind: Kind, *, not_before: float, terms: Terms = USUAL) -> None:
        """Queue a refused or unsent request once more: before all others of its kind, from `not_before` on."""
        self._waiting.again(job, kind, terms, not_before=not_before)

    def pause(self, platform: str, *, until: float, polls: bool = False) -> None:
        """Send nothing to a platform before `until`, and with `polls` poll none of its tasks. Others go on."""
        self._waiting.pause(platform, until)
        if polls:
            self._watching.pause(platform, until)

    def is_paused(self, platform: str, now: float) -> bool:
        """Return whether nothing is sent to a platform."""
        return self._waiting.paused_until(platform) > now

    # --- tasks that run --------------------------------------------------------------------------------------------

    def watch(
        self,
        job: J,
        kind: TaskKind,
        *,
        now: float,
        interval: float,
        age: float = 0.0,
        first: float | None = None,
        timeout: float | None = None,
        learn: bool = True,
        platform: str = "",
    ) -> None:
        """Poll a task that was accepted `age` seconds ago.

        `first`: seconds after that at which the first poll is due (default: `interval`); then each `interval`.
        `timeout`: seconds from now after which its owner gives it up; it is polled once more shortly before. `learn`:
        whether its age is exact.
        """
        accepted = now - age
        due = accepted + (interval if first is None else first)
        task = Task[J](kind, platform, accepted, interval, age_known=True, learn=learn, due=due)
        self._watching.add(job, task, timeout=timeout, now=now)

    def attach(
        self, job: J, kind: TaskKind, *, now: float, interval: float, timeout: float | None = None, platform: str = ""
    ) -> None:
        """Poll a task of which nobody knows how long it has been running; the first poll is due at once."""
        task = Task[J](kind, platform, now, interval, age_known=False, learn=False, due=now)
        self._watching.add(job, task, timeout=timeout, now=now)

    def polled(self, job: J, now: float) -> None:
        """Note that a poll found the task running; the next one is due after its interval."""
        self._owe(self._watching.polled(job, now))

    def not_polled(self, job: J, *, not_before: float) -> None:
        """Note that a poll failed and showed nothing; the next one is due from `not_before` on.

        When its time is nearly over it is due earlier, while there is some left.
        """
        self._owe(self._watching.not_polled(job, not_before))

    def finished(self, job: J, now: float, *, just_now: bool = False) -> None:
        """Note that a task has finished since the last poll, or `just_now`, and forget it."""
        self._watching.finished(job, now, just_now=just_now)

    def drop(self, job: J) -> None:
        """Forget a job wherever it stands, and let go of it."""
        self._waiting.drop(job)
        self._watching.drop(job)

    def is_queued(self, job: J) -> bool:
        """Whether a job waits for a token to be sent with."""
        return job in self._waiting

    def __bool__(self) -> bool:
        """Whether any job waits or runs."""
        return bool(self._waiting or self._watching)

    # --- what next -------------------------------------------------------------------------------------------------

    def take(self, now: float, kinds: frozenset[Kind] = EVERYTHING) -> Choice[J] | None:
        """Return what is worth most at `now` of these `kinds`, and take it out; None when nothing is due.

        A polled job stays watched, but is not due again before `polled`, `not_polled` or `finished` is called.
        """
        self._bring_forward(now)
        call = self._first(Kind.CALL, now, kinds)
        submit = self._first(Kind.SUBMIT, now, kinds)
        poll, worth = self._watching.best(now) if Kind.POLL in kinds else (None, 0.0)
        if submit is not None and (poll is None or self._goes_before(submit, worth, now)):
            batch, worth, since = Choice(Kind.SUBMIT, submit), max(worth, 1.0), self._waiting.since(submit)
        elif poll is not None:
            batch, since = Choice(Kind.POLL, poll), self._watching.due_since(poll)
        elif call is None:
            return None
        else:
            return self._taken(Choice(Kind.CALL, call), now, self._waiting.since(call))
        waited = now - max(since, self._batch_served)
        if call is not None and worth + waited / PATIENCE < CALL:
            return self._taken(Choice(Kind.CALL, call), now, self._waiting.since(call))
        self._batch_served = now
        if batch.kind is Kind.SUBMIT:
            self._owed, self._in_a_row = max(self._owed - 1, 0), 0
        else:
            over = submit is not None and worth < URGENT
            self._owed, self._in_a_row = (self._owed, self._in_a_row + over) if submit is not None else (0, 0)
            self._watching.take(batch.job, now, over_submit=over)
        return self._taken(batch, now, since)

    def due_at(self, now: float, kinds: frozenset[Kind] = EVERYTHING) -> float | None:
        """Return from when on `take` will find something, None when it will not until something is added."""
        self._bring_forward(now)
        sent = [kind for kind in (Kind.CALL, Kind.SUBMIT) if kind in kinds]
        times = [self._waiting.due_at(kind, now) for kind in sent if kind is Kind.CALL or not self.holds]
        times += [self._waiting.later_at()] if sent else []
        times += [self._watching.due_at(now)] if Kind.POLL in kinds else []
        due = min(times, default=math.inf)
        return None if due == math.inf else max(due, now)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _bring_forward(self, now: float) -> None:
        self._waiting.bring_forward(now)
        self._watching.bring_forward(now)

    def _first(self, kind: Kind, now: float, kinds: frozenset[Kind]) -> J | None:
        if kind not in kinds or (kind is Kind.SUBMIT and self.holds):
            return None
        return self._waiting.first(kind, now)

    def _goes_before(self, submit: J, worth: float, now: float) -> bool:
        """Return whether a submit goes before a poll of so much worth."""
        mine = self._waiting.worth(submit, now)
        return worth < mine or (mine > 0 and worth < URGENT and (self._owed > 0 or self._in_a_row >= _IN_A_ROW))

    def _owe(self, over_submit: bool) -> None:  # noqa: FBT001 - what a poll has just returned
        self._owed = min(self._owed + over_submit, _MOST_OWED)

    def _taken(self, choice: Choice[J], now: float, since: float) -> Choice[J]:
        if choice.kind is not Kind.POLL:
            self._waiting.drop(choice.job)
        if since <= self._served:  # it waited for this token alone
            known = self._watching.pace
            self._watching.pace += _HABIT * (min(now - self._served, _PAUSE * known) - known)
        self._served = now
        return choice
