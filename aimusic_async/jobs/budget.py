"""How many credits may be spent: limits, and what is promised to jobs out of them."""

from __future__ import annotations

from typing import Any

import attrs

from ..errors import BudgetExceeded, ConfigurationError
from ..events import JobState
from .job import Job


@attrs.define
class Budget:
    """Credits that are promised to jobs, out of a limit. Raises `ConfigurationError` for a limit that is none."""

    limit: int
    promised: int = 0
    """Credits of jobs that are queued, running or paid for; what was refunded is not among them."""
    counted: set[str] = attrs.field(factory=set)
    """Ids of the journal's records of earlier runs whose credits are in `promised` already."""

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.limit, int) or isinstance(self.limit, bool) or self.limit < 0:
            raise ConfigurationError(f"budget must be a whole number of credits, 0 or more; got {self.limit!r}")

    def fits(self, cost: int) -> bool:
        """Whether so many credits are left."""
        return self.promised + cost <= self.limit


class Purse:
    """Promises the jobs of a session their price, out of its budget and their groups', and takes back what is left."""

    def __init__(self, budget: Budget | None = None) -> None:
        self._budget = budget
        self._promises: dict[Job[Any], list[tuple[Budget, int]]] = {}

    def promise(self, job: Job[Any], cost: int, group: Budget | None) -> BudgetExceeded | None:
        """Promise a job its price, once; return the error when a budget does not allow it."""
        if self._budget is None and group is None:
            return None
        promised = [budget for budget, _ in self._promises.get(job, ())]
        budgets = [one for one in (self._budget, group) if one is not None and not any(one is had for had in promised)]
        # A job that was followed is counted already, whoever was to pay for it.
        for budget, more in [*((one, cost) for one in budgets), *((one, 0) for one in promised)]:
            if not budget.fits(more):
                left = max(budget.limit - budget.promised, 0)
                reason = f"would exceed the budget: it costs {cost} credits, {left} of {budget.limit} are left"
                return BudgetExceeded(job, reason)
        for budget in budgets:
            budget.promised += cost
            self._promises.setdefault(job, []).append((budget, cost))
        return None

    def was_paid(self, job: Job[Any], record_id: str, cost: int, group: Budget) -> None:
        """Count in its group's budget what others pay for a job: an earlier run, or another process."""
        if any(budget is group for budget, _ in self._promises.get(job, ())):
            return
        if record_id not in group.counted:
            group.counted.add(record_id)
            group.promised += cost
        self._promises.setdefault(job, []).append((group, cost))

    def settle(self, job: Job[Any]) -> None:
        """Take back what a job that has ended did not cost. What may have been charged counts as charged."""
        for budget, cost in self._promises.pop(job, ()):
            if job.state is not JobState.UNKNOWN:
                budget.promised -= cost - job.credits
