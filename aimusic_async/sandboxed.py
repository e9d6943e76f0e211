"""A session on a sandbox of its own: what `MusicSession.sandbox` returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from .errors import MusicError
from .events import logger
from .limiting.bucket import STANDARD_RATE
from .settings import Settings, check_capacity, check_rate

if TYPE_CHECKING:
    from .sandbox import Options, Sandbox


class _Session(Protocol):
    """In practice a `MusicSession`."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def close_with(self, stack: AsyncExitStack, *, cannot_download: str = "") -> None: ...


S = TypeVar("S", bound=_Session)


class SandboxSession(Generic[S]):
    """An async context manager that opens a sandbox and a session on it, and closes both.

    The session closes its sandbox when it is left: so what `__aenter__` gives may also be kept, and left by itself.
    """

    def __init__(
        self,
        make: Callable[..., S],
        box: Sandbox | None,
        *,
        speed: float,
        seed: int,
        rate: float | None,
        capacity: int | None,
        poll_interval: float | None,
        prices: Mapping[str, int] | None,
        **options: Any,
    ) -> None:
        self._make = make
        self._box = box
        self._speed = speed
        self._seed = seed
        self._rate = rate
        self._capacity = capacity
        self._poll_interval = poll_interval
        self._prices = prices or {}
        self._options = options
        self._session: S | None = None
        self._opening = False

    async def __aenter__(self) -> S:
        """Open both."""
        from .sandbox import Sandbox, formats  # noqa: PLC0415 - only who asks for a sandbox loads it

        if self._opening or self._session is not None:
            raise MusicError("this sandbox session is open already: call MusicSession.sandbox() for another")
        self._opening = True
        try:
            async with AsyncExitStack() as stack:
                box = self._box
                if box is None:
                    box = await stack.enter_async_context(Sandbox(self._plan()))
                settings = Settings(
                    api_key=box.key,
                    base_url=box.url,
                    poll_interval=self._poll_interval,
                    prices=self._prices,
                    speed=box.options.speed,
                    rate=1 / box.options.period if self._rate is None else self._rate,
                    capacity=box.options.capacity if self._capacity is None else self._capacity,
                )
                session = self._make(settings=settings, **self._options)
                await session.__aenter__()
                if said := formats.note():
                    logger.info("in the sandbox, %s", said)
                session.close_with(stack.pop_all(), cannot_download=formats.missing())
        finally:
            self._opening = False
        self._session = session
        return session

    def _plan(self) -> Options:
        from .sandbox import Options  # noqa: PLC0415 - as above

        if self._rate is not None:
            check_rate(self._rate)
        if self._capacity is not None:
            check_capacity(self._capacity)
        period = 1 / (self._rate or STANDARD_RATE)
        return Options(speed=self._speed, seed=self._seed, period=period, capacity=self._capacity or 1)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close both, as leaving the session does."""
        session, self._session = self._session, None
        if session is None:
            raise MusicError("this sandbox session is not open")
        await session.__aexit__(kind, error, trace)
