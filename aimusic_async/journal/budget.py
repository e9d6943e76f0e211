"""How much of a budget is committed: charged, in flight, or of unknown outcome. Pure."""

from __future__ import annotations

import attrs

from ..errors import ConfigurationError
from .record import JobRecord


@attrs.frozen
class Ledger:
    """What the jobs of one scope (a named group, say) have committed, in credits. A journal keeps one row a scope."""

    limit: int | None = None
    """The budget that was named last; None when nobody named any."""
    spent: int = 0
    """Charged, refunds taken off; what was pruned from the journal stays counted."""
    at_risk: int = 0
    """In flight, or of unknown outcome."""

    def left(self, limit: int) -> int:
        """Return what is left of a limit."""
        return max(limit - self.spent - self.at_risk, 0)

    def moved(self, before: JobRecord | None, after: JobRecord | None) -> Ledger:
        """Return it as it is after a change of one of its jobs."""
        spent = (after.credits if after else 0) - (before.credits if before else 0)
        at_risk = (after.at_risk if after else 0) - (before.at_risk if before else 0)
        return Ledger(self.limit, self.spent + spent, self.at_risk + at_risk)


OVER_BUDGET = "would exceed the budget"


def refusal(cost: int, left: int, limit: int) -> str:
    """Say why a job is not sent."""
    return f"{OVER_BUDGET}: it costs {cost} credits, {left} of {limit} are left"


def check_limit(limit: int) -> int:
    """Return a budget; raise `ConfigurationError` for one that is none."""
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
        raise ConfigurationError(f"budget must be a whole number of credits, 0 or more; got {limit!r}")
    return limit


@attrs.define(eq=False)
class Budget:
    """Credits that jobs of this session alone may commit together: the session's own budget, or an unnamed group's."""

    limit: int = attrs.field(validator=lambda _self, _field, limit: check_limit(limit) and None)
    committed: int = 0

    def refuses(self, cost: int) -> str | None:
        """Return why a job of that price is not sent, None when it may be."""
        left = max(self.limit - self.committed, 0)
        return refusal(cost, left, self.limit) if cost > left else None
