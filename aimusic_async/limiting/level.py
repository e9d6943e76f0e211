"""How many tokens are there: counted from when requests depart, with those in flight. Pure: `now` is an argument."""

from __future__ import annotations

import math
from itertools import count

import attrs

_LEAST_FRESH = 0.25


def fresh_for(period: float) -> float:
    """Return for how many seconds a token may be held before its request departs: a period, and at least 0.25."""
    return max(period, _LEAST_FRESH)


def standard_margin(rate: float) -> float:
    """Return by how many seconds each period is longer: 2 % of it, at least 0.05, at most 5 % of it."""
    period = 1 / rate
    return min(max(0.02 * period, 0.05), 0.05 * period)


@attrs.define
class Level:
    """A bucket that is full at first. One number says how full it is: the moment at which it will be full again.

    A token in flight, granted and not yet departed, may depart at any moment: so it takes its place among `capacity`
    whole, and begins to drain only when it departs. Then no window of time sees more than `capacity` departures and
    one for each period in it, however late each of them was. A token that is held for longer than `fresh` seconds may
    not depart any more; from then on it counts as if it had departed when it was granted.
    """

    period: float
    capacity: int = 1
    full_at: float = -math.inf
    """When it will be full again, if nothing in flight departs."""
    paused_until: float = -math.inf
    out: dict[int, float] = attrs.field(factory=dict)
    """When each token in flight was granted, the earliest first."""
    numbers: count[int] = attrs.field(factory=count, repr=False)
    slack: float = 0.0
    """Seconds after which it is heard at the latest that a token has departed."""

    @property
    def fresh(self) -> float:
        """Seconds for which a token may be held before its request departs."""
        return fresh_for(self.period)

    def wait(self, now: float, before: int = 0) -> float:
        """Return the seconds for which no token is there, 0 when one is; then it is worth asking again.

        `before`: how many others have a better right to one each. They have it for as long as they would need to come,
        and not for ever.
        """
        self._expire(now)
        wait = max(self.full_at - now, 0.0) + (len(self.out) + 1 - self.capacity) * self.period
        if wait > 0 and self.out:
            wait = min(wait, next(iter(self.out.values())) + self.fresh + self.slack - now)
        wait = max(wait, self.paused_until - now, 0.0)
        return max(wait, self._turn(before) - now) if before else wait

    def take(self, now: float) -> int:
        """Take the token that is there; return its number."""
        number = next(self.numbers)
        self.out[number] = now
        return number

    def spent(self, number: int, at: float) -> None:
        """Note that a request has departed."""
        self.out.pop(number, None)
        self.full_at = max(self.full_at, at) + self.period

    def put_back(self, number: int) -> None:
        """Have a token again that nothing departed with; one that was held for too long is lost."""
        self.out.pop(number, None)

    def drop(self, number: int) -> None:
        """Count a token of which nobody will say whether it departed from when it was granted."""
        if (granted := self.out.pop(number, None)) is not None:
            self.full_at = max(self.full_at, granted) + self.period

    def shift(self, seconds: float) -> None:
        """Move all moments: the clock was set."""
        self.full_at += seconds
        self.paused_until += seconds
        self.out = {number: granted + seconds for number, granted in self.out.items()}

    def _expire(self, now: float) -> None:
        held = self.fresh + self.slack
        while self.out:
            number, granted = next(iter(self.out.items()))
            if granted + held > now:
                return
            self.drop(number)

    def _turn(self, before: int) -> float:
        """When so many others could have come for a token each, as if what is in flight had departed when granted."""
        full_at = self.full_at
        for granted in self.out.values():
            full_at = max(full_at, granted) + self.period
        return max(full_at - (self.capacity - 1) * self.period, self.paused_until) + before * self.period
