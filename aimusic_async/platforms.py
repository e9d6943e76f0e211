"""The operations as methods of a session, by platform: `music.sonic.create_music(…)`; loaded when they are used."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from .api.request import Request

if TYPE_CHECKING:
    from .methods import Lyrics, Nuro, Producer, Riffusion, Sonic

R = TypeVar("R")


class Platforms:
    """Base of a session: its platforms, which all send through `run`."""

    async def run(self, request: Request[R]) -> R:
        """Send a request, and return its result."""
        raise NotImplementedError

    @cached_property
    def sonic(self) -> Sonic:
        """Songs, edits, stems, analysis."""
        from .methods import Sonic  # noqa: PLC0415 - heavy: the classes of every operation

        return Sonic(self.run)

    @cached_property
    def lyrics(self) -> Lyrics:
        """Words without music."""
        from .methods import Lyrics  # noqa: PLC0415 - heavy: the classes of every operation

        return Lyrics(self.run)

    @cached_property
    def producer(self) -> Producer:
        """One song a request, quickly."""
        from .methods import Producer  # noqa: PLC0415 - heavy: the classes of every operation

        return Producer(self.run)

    @cached_property
    def nuro(self) -> Nuro:
        """Switched off by the service since mid 2026."""
        from .methods import Nuro  # noqa: PLC0415 - heavy: the classes of every operation

        return Nuro(self.run)

    @cached_property
    def riffusion(self) -> Riffusion:
        """Deprecated by the service."""
        from .methods import Riffusion  # noqa: PLC0415 - heavy: the classes of every operation

        return Riffusion(self.run)
