"""What the plan of an account allows, as a limiter of this machine has to know it."""

from __future__ import annotations

from typing import TypedDict

from ..settings import Settings
from .bucket import STANDARD_RATE
from .level import standard_margin


class Limit(TypedDict):
    """How a limiter is made."""

    rate: float
    capacity: int
    margin: float


def limit(settings: Settings) -> Limit:
    """Return the limit of the plan; a sandbox's seconds are shorter, and so is its margin."""
    rate = settings.rate or STANDARD_RATE
    return {
        "rate": rate * settings.speed,
        "capacity": settings.capacity or 1,
        "margin": standard_margin(rate) / settings.speed,
    }


def period(settings: Settings, limiter: object | None) -> float:
    """Return the service's seconds from one request to the next: of the plan, or of another limiter if it says."""
    its = limit(settings)
    own = 1 / its["rate"] + its["margin"]
    return float(getattr(limiter, "period", own)) * settings.speed
