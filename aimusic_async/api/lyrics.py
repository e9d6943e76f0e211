"""Words without music."""

from __future__ import annotations

from typing import Annotated, ClassVar

import attrs

from . import prices
from .limits import Doc, MaxLength, NotEmpty
from .request import Answer, Endpoint, Request
from .results import Lyrics

__all__ = ["GenerateLyrics"]


@attrs.frozen(kw_only=True)
class GenerateLyrics(Request[Lyrics]):
    """Write lyrics, usually two to choose from. Page: lyrics generation.

    A pot of credits of its own paid for it in 2025; later notes call it free.
    """

    endpoint: ClassVar[Endpoint] = Endpoint(path="/sonic/lyrics", answer=Answer.NOW)
    cost: ClassVar[int] = prices.LYRICS

    description: Annotated[str, NotEmpty(), MaxLength(200), Doc("what they are about, at most 200 characters")]
