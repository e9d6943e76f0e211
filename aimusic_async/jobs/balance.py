"""Compares the balance, whenever it is read, with what this session's requests may have cost since the last time."""

from __future__ import annotations

from collections import Counter

import attrs

from ..api.results import Credits
from ..api.whose import NOT_TAKEN, is_of_the_service
from ..api.wire import read_now
from ..errors import MusicError, NotSent
from ..events import BalanceDiffers, Events, logger
from .happenings import Answered, Failed
from .work import Work


@attrs.frozen
class _Reading:
    total: int
    settled: int
    """What the requests had cost that were surely over when it was asked for."""


class BalanceWatch:
    """Logs a warning when the balance fell by more than the prices explain: they have changed, or others spend, too.

    What may have been charged counts as charged, so that a request whose answer was lost is no reason to warn. What is
    refunded only makes the balance higher.
    """

    def __init__(self, events: Events) -> None:
        self._events = events
        self._sent = 0  # credits of all requests that have left, but for those that surely cost nothing
        self._settled = 0  # of those, what is over
        self._under_way: dict[Work, int] = {}
        self._asking: dict[Work, int] = {}  # what was over when the balance was asked for
        self._last: _Reading | None = None
        self._since: Counter[str] = Counter()  # requests since then, by operation

    def departed(self, work: Work) -> None:
        """Note that its request leaves."""
        if _asks_for_balance(work):
            self._asking[work] = self._settled
        elif work.cost and work.asked_since is None:  # what is asked again until it is ready is charged once
            self._under_way[work] = work.cost
            self._sent += work.cost
            self._since[work.operation.operation] += 1

    def over(self, work: Work, outcome: Answered | Failed | None) -> None:
        """Note what came of its request; None: it was broken off."""
        settled = self._asking.pop(work, None)
        if settled is not None and isinstance(outcome, Answered):
            self._read(work, outcome, settled)
        elif (cost := self._under_way.pop(work, None)) is not None:
            if _costs_nothing(outcome):
                self._sent -= cost
                self._since[work.operation.operation] -= 1
            else:
                self._settled += cost

    def _read(self, work: Work, outcome: Answered, settled: int) -> None:
        assert work.request is not None
        try:
            balance = read_now(work.request, outcome.reply)
        except MusicError:  # which the job itself ends with
            return
        if not isinstance(balance, Credits):
            return
        last, self._last = self._last, _Reading(balance.total, settled)
        since, self._since = +self._since, Counter(one.operation.operation for one in self._under_way)
        if last is None:
            return
        fell, explained = last.total - balance.total, self._sent - last.settled
        if fell > explained:
            logger.warning(
                "the balance fell by %d credits since it was last read, of which the requests of this session explain "
                "%d at most: prices have changed%s, or something else spends from the account",
                fell,
                explained,
                _advice(since, fell),
            )
            self._events.emit(BalanceDiffers(fell, explained))


def _asks_for_balance(work: Work) -> bool:
    return work.operation.result_type() is Credits


def _costs_nothing(outcome: Answered | Failed | None) -> bool:
    """Whether a request was surely not charged: it was not sent, or was refused."""
    if isinstance(outcome, Answered):
        reply = outcome.reply
        return reply.status in NOT_TAKEN or (400 <= reply.status < 500 and is_of_the_service(reply.status, reply.body))
    return outcome is not None and isinstance(outcome.error, NotSent)


def _advice(since: Counter[str], fell: int) -> str:
    """Return the price that would explain it, when only one operation was used."""
    if len(since) == 1:
        ((operation, times),) = since.items()
        if fell % times == 0:
            return f' (Settings(prices={{"{operation}": {fell // times}}}) would explain it)'
    return " (Settings(prices=…) corrects them)"
