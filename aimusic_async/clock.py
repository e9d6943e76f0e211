"""The service's clock: the event loop's, sped up for a sandbox that runs faster than real time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs


@attrs.frozen
class Clock:
    """Measures and waits in the service's seconds, of which `speed` make one real second."""

    loop: asyncio.AbstractEventLoop
    speed: float = 1.0

    def now(self) -> float:
        """Return the time now."""
        return self.loop.time() * self.speed

    def real(self, seconds: float) -> float:
        """Convert seconds of the service to seconds of the event loop."""
        return seconds / self.speed

    def call_later(self, seconds: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Call `callback` after this many seconds of the service."""
        return self.loop.call_later(self.real(seconds), callback)
