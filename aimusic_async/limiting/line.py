"""The line that processes stand in for tokens: its arithmetic, without clock or file, and how it is written down."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Callable
from itertools import count
from typing import Self

import attrs

from .level import Level

_AGAIN = 0.25
"""Seconds, at least, after which who stands behind others asks whether they still live; else a period."""
_FORGOTTEN = 7200.0
"""Seconds after which a member that was not heard of is none: it may have died where nobody can see it."""
_HEARD = 0.1
"""Seconds after which the line hears of a departure at the latest."""


@attrs.frozen
class Plan:
    """What one member takes the limit to be; `rate` and `capacity` are what its user said."""

    rate: float
    period: float
    capacity: int = 1

    def __str__(self) -> str:
        at_once = "" if self.capacity == 1 else f", {self.capacity} at once"
        return f"{self.rate:.4g} requests per second{at_once}"


@attrs.define
class Line:
    """Who may send next. Members are named; each has one place in the line at a time, or none. Places are numbered.

    When a place's turn comes follows from how many stand before it, so whatever delays the first delays all. One whose
    member does not come when it is due is passed over by the next, a period later; one whose member has died is nobody
    any more. Where members name different limits, the slower rate and the smaller capacity count.
    """

    level: Level
    members: dict[str, Plan] = attrs.field(factory=dict)
    """What those who have it open take the limit to be."""
    heard: dict[str, float] = attrs.field(factory=dict)
    """When they were last heard of."""
    places: dict[str, int] = attrs.field(factory=dict)
    """Of those who wait."""
    served: int = 0
    """The highest place that had its turn."""
    last: int = 0
    """The highest place that was taken."""
    seen: float = -math.inf
    """The time."""

    @classmethod
    def new(cls) -> Self:
        """Return an empty line."""
        first = secrets.randbits(48)  # what is said of tokens of a file that was lost concerns none of this one
        return cls(Level(1.0, slack=_HEARD, numbers=count(first)))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the line that `to_text` described."""
        fields = json.loads(text)
        level = Level(
            1.0,
            full_at=float(fields["full_at"]),
            paused_until=float(fields["paused_until"]),
            out={int(number): float(granted) for number, granted in fields["out"].items()},
            numbers=count(int(fields["next"])),
            slack=_HEARD,
        )
        return cls(
            level,
            members={name: Plan(*plan) for name, (plan, _) in fields["members"].items()},
            heard={name: float(heard) for name, (_, heard) in fields["members"].items()},
            places={str(name): int(place) for name, place in fields["places"].items()},
            served=int(fields["served"]),
            last=int(fields["last"]),
            seen=float(fields["seen"]),
        )

    def to_text(self) -> str:
        """Return all that it is."""
        level = self.level
        return json.dumps(
            {
                "full_at": level.full_at,
                "paused_until": level.paused_until,
                "out": level.out,
                "next": next(level.numbers),
                "members": {name: (attrs.astuple(plan), self.heard[name]) for name, plan in self.members.items()},
                "places": self.places,
                "served": self.served,
                "last": self.last,
                "seen": self.seen,
            }
        )

    def observe(self, now: float) -> None:
        """Say what time it is, before anything else is done.

        A time that was later before means that the clock was set back; all that lies ahead moves along with it.
        """
        if self.seen > now:
            self.level.shift(now - self.seen)
            self.heard = {name: heard + now - self.seen for name, heard in self.heard.items()}
        self.seen = now

    def join(self, name: str, plan: Plan, dead: Callable[[str], bool]) -> Plan | None:
        """Be a member, from now on or as before; return another's plan, if it is not the same.

        `dead` says whether a member surely is no more. Who joins lets go of all those.
        """
        new = name not in self.members
        self.members[name], self.heard[name] = plan, self.seen
        for other, its in tuple(self.members.items()):
            if self.seen - self.heard[other] > _FORGOTTEN or ((new or its != plan) and other != name and dead(other)):
                self.part(other)
        self.level.period = max(its.period for its in self.members.values())
        self.level.capacity = min(its.capacity for its in self.members.values())
        return next((its for its in self.members.values() if its != plan), None)

    def part(self, name: str) -> None:
        """Be no member any more."""
        for its in (self.places, self.members, self.heard):
            its.pop(name, None)

    def ask(self, name: str, dead: Callable[[str], bool]) -> tuple[int | None, float]:
        """Return the number of a token; or None and the seconds until it is worth asking again, from a place kept."""
        if name not in self.places:
            self.places[name] = self.last = self.last + 1
        for other in self._before(name):
            if dead(other):
                self.part(other)
        before = len(self._before(name))
        wait = self.level.wait(self.seen, before)
        if wait > 0:
            return None, min(wait, max(self.level.period, _AGAIN)) if before else wait
        self.served = max(self.served, self.places.pop(name))
        return self.level.take(self.seen), 0.0

    def _before(self, name: str) -> list[str]:
        """Whose turn comes before that of one who waits: not those who were passed over."""
        own = self.places[name]
        return [other for other, place in self.places.items() if self.served < place < own]

    def leave(self, name: str) -> None:
        """Give up a place, if there is one."""
        self.places.pop(name, None)

    def put_back(self, number: int, name: str) -> None:
        """Take a token back from a member.

        Others who wait have set their timers, and would come as late as before: with them in the line, it is lost.
        """
        if any(other != name and place > self.served for other, place in self.places.items()):
            self.level.drop(number)
        else:
            self.level.put_back(number)

    def spent(self, number: int, at: float) -> None:
        """Count a token from when it was spent."""
        self.level.spent(number, min(at, self.seen))

    def drop(self, number: int) -> None:
        """Count a token of which nothing more will be heard from when it was granted."""
        self.level.drop(number)

    def pause(self, seconds: float) -> None:
        """Have nobody's turn come for so long."""
        self.level.paused_until = max(self.level.paused_until, self.seen + seconds)
