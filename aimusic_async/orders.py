"""What jobs are called that have no key of their own, and how they are to be sent; jobs of one kind share an order."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Collection
from typing import Any

from .api.request import Request
from .arguments import check_key, check_name
from .errors import ConfigurationError
from .events import JobState
from .jobs.work import Order
from .journal.budget import Budget


class Orders:
    """The keys and orders of one session's jobs."""

    def __init__(self, budget: Budget | None) -> None:
        self._budget = budget
        self._numbers = itertools.count(1)
        self._run = ""
        self._latest: tuple[tuple[Any, ...], Order] = ((), Order())

    def begin_run(self) -> None:
        """Name the session's run: when it is entered, so that a process that was forked before has another name."""
        self._run = secrets.token_hex(8)

    def key_for(self, request: Request[Any], key: str | None, *, named: bool, journalled: bool) -> str:
        """Return the key of a job; raise `InvalidRequest` for one that cannot be. `named`: it was not made up."""
        if key is None or (not named and journalled):
            made_up = f"{request.operation}#{next(self._numbers)}"
            return f"{made_up}@{self._run}" if journalled else made_up  # no two runs may give jobs one name
        return check_name("key", key) if journalled and key else check_key(key)

    def order_for(
        self,
        *,
        direct: bool,
        priority: int,
        budget: Budget | None,
        group: str,
        resend: Collection[JobState],
        deadline: float,
        journalled: bool,
    ) -> Order:
        """Return how a job is to be sent; raise `ConfigurationError` for a priority that is no whole number."""
        if not isinstance(priority, int) or isinstance(priority, bool):
            raise ConfigurationError(f"priority must be a whole number; got {priority!r}")
        how = (direct, priority, budget, group, tuple(resend), deadline)
        if how != self._latest[0]:
            shared = journalled and bool(group)  # then the journal keeps what is committed
            own = tuple(one for one in (None if shared else budget, self._budget) if one is not None)
            limit = budget.limit if budget is not None and shared else None
            self._latest = how, Order(direct, priority, own, limit, group, how[4], deadline)
        return self._latest[1]
