"""What a request costs at a session's prices: the one function that says it, for budgets, plans, records and help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from ..errors import ConfigurationError
from .models import canonical
from .request import Request


def cost_of(what: Request[Any] | type[Request[Any]], prices: Mapping[str, int], model: object = None) -> int:
    """Return the credits that a request costs, or any of its class with this `model`.

    `prices`: see `Settings.prices`; one for the model goes before one for the operation, and what none of them names
    costs what its class says.
    """
    if not prices:
        return what.cost
    mv = getattr(what, "mv", None) if model is None else model
    named = (prices[name] for name in _names(what.operation, mv) if name in prices)
    return next(named, what.cost)


def _names(operation: str, mv: object) -> Iterator[str]:
    if isinstance(mv, str):
        name = canonical(mv)
        yield from (f"{operation} {one}" for one in (mv, name, f"chirp-{name.removeprefix('sonic-')}"))
    yield operation


def check_prices(prices: Mapping[str, int]) -> None:
    """Raise `ConfigurationError` for a price of an operation that does not exist: it would never count."""
    if not prices:
        return
    from .operations import operations  # noqa: PLC0415 - loads the operations, which few sessions need for this

    known = operations()
    for name in prices:
        operation = name.partition(" ")[0]
        if operation not in known:
            close = get_close_matches(operation, known, n=1)
            meant = f"; did you mean {close[0]}?" if close else ""
            raise ConfigurationError(f"prices name {operation!r}, which is no operation{meant}")
