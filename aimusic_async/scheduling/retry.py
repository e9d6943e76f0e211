"""May a request be sent again? Pure: the answer depends on what was sent and how it failed.

A paid request is sent again only when the service surely did not take it. A request that is free, or charged once
however often it is made, is sent again a few times.
"""

from __future__ import annotations

from enum import Enum

import attrs

from ..api.whose import NOT_TAKEN
from ..errors import (
    ApiError,
    GatewayError,
    MusicError,
    NotFound,
    NotSent,
    RateLimited,
    ServerError,
    TransportError,
)

_TRIES = 8
"""Tries of a free request that keeps failing while the service answers others; with the delays below, two minutes."""
_FEW = 3
"""Tries of what surely was not taken, or is not known, and may be so in a moment."""

_PASSING = frozenset({408, 425})
_TOO_LARGE = frozenset({413, 414, 431})
"""A gateway refuses the request for what it is: it would do so again."""
_TOO_MANY_REQUESTS = 429
_LONGEST_DELAY = 60.0
_FIRST_PAUSE = 3.0
_LONGEST_PAUSE = 60.0
_LONGEST_WORD = 3600.0


class Repeat(Enum):
    """What sending a request a second time could do."""

    NEVER = "never"
    """Pay twice: a submit, or a paid call."""
    FREE = "free"
    """Nothing: a call that is free, or charged once however often it is made."""
    POLL = "poll"
    """Nothing, and somebody's paid task depends on it: only the task's own time limits end it."""


@attrs.frozen
class Again:
    """Send it again, `delay` seconds from now."""

    delay: float


@attrs.frozen
class GiveUp:
    """It failed for good; nothing was taken, or it does not matter."""


@attrs.frozen
class OutcomeUnknown:
    """The service may have taken it: never send it again without a decision of the user."""


def after_failure(error: MusicError, repeat: Repeat, tries: int) -> Again | GiveUp | OutcomeUnknown:
    """Decide after the `tries`-th failure in a row (1 for the first) of a request."""
    match error:
        case RateLimited():
            return Again(0.0)  # it surely was not taken, and the limiter pauses for everybody
        case NotSent(passing=False) if repeat is not Repeat.POLL:
            most = 1
        case NotSent():
            return Again(delay(tries))  # nothing left: once the way is free, it does
        case GatewayError() if repeat is Repeat.NEVER and error.status in NOT_TAKEN:
            most = 1 if error.status in _TOO_LARGE else _FEW
        case TransportError() | ServerError() if repeat is Repeat.NEVER:
            return OutcomeUnknown()
        case TransportError() | ServerError() if repeat is Repeat.POLL:
            return Again(delay(tries))
        case TransportError() | ServerError():
            most = _TRIES
        case ApiError() if repeat is Repeat.POLL and error.status in _PASSING:
            return Again(delay(tries))
        case NotFound() if repeat is not Repeat.NEVER:
            most = _FEW  # what it asks about may need a moment to be known everywhere
        case _:
            most = 1
    return Again(delay(tries)) if tries < most else GiveUp()


def concerns_platform(error: RateLimited) -> bool:
    """Return whether a refusal concerns one platform alone, and not the account's speed.

    Nuro says with a 403 that its queue is full, or its own limit reached; the account's limit is a 429.
    """
    return error.status != _TOO_MANY_REQUESTS or "queue is full" in error.message.lower()


def delay(tries: int) -> float:
    """Return the seconds to wait after so many failures in a row: 1, 2, 4, … up to 60."""
    return min(2.0 ** min(tries - 1, 10), _LONGEST_DELAY)


def pause(retry_after: float | None, refusals: int) -> float:
    """Return for how many seconds to send nothing after the `refusals`-th 429 in a row.

    The service's `Retry-After` counts, up to an hour; without one the pause doubles from the standard plan's period on.
    """
    if retry_after is not None:
        return min(retry_after, _LONGEST_WORD)
    return min(_FIRST_PAUSE * 2.0 ** min(refusals - 1, 10), _LONGEST_PAUSE)
