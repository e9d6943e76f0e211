"""The account itself: its credits."""

from __future__ import annotations

from typing import ClassVar

import attrs

from . import prices
from .request import Answer, Endpoint, Request
from .results import Credits

__all__ = ["GetCredits"]


@attrs.frozen(kw_only=True)
class GetCredits(Request[Credits]):
    """Ask what both pots hold. Free, but it takes a token like every request. Page: get credits."""

    endpoint: ClassVar[Endpoint] = Endpoint(path="/get-credits", method="GET", answer=Answer.NOW, reply_within=30.0)
    cost: ClassVar[int] = prices.FREE
