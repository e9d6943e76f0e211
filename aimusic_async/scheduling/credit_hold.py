"""Too few credits: submits are held back, so that one refusal is enough, until credits come back. Pure."""

from __future__ import annotations

import attrs

from ..errors import InsufficientCredits

TRY_AGAIN = 300.0
"""Seconds after which a submit is tried again: somebody may have topped the account up."""


@attrs.define
class CreditHold:
    """Whether the submits of one session are held."""

    refusal: InsufficientCredits | None = None
    """With which the service refused; None while nothing is held."""
    missing: int = 0
    """Credits that the refused job needs."""

    def refused(self, refusal: InsufficientCredits, cost: int) -> bool:
        """Hold all submits, as one of that price was refused; return whether they were not held before."""
        new = self.refusal is None
        self.refusal, self.missing = refusal, cost
        return new

    def lifts(self, credits: int | None) -> bool:  # noqa: A002 - the service's own word
        """Return whether the hold ends, as so many were seen or paid; None: something was refunded."""
        return self.refusal is not None and (credits is None or credits >= self.missing)

    def over(self) -> InsufficientCredits | None:
        """End it; return what it was for."""
        refusal, self.refusal = self.refusal, None
        return refusal
