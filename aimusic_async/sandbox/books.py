"""The sandbox's own books: what was asked, refused, charged and given back. The truth, for tests to compare with."""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, evolve, field, frozen


@define(kw_only=True)
class Request:
    """One request to the API, in the order of arrival."""

    method: str
    path: str
    operation: str
    """As "sonic.create_music", "sonic.task", "account.get_credits"; just "sonic.create" when it was refused
    before its body was read; "unknown" for an address that does not exist."""
    at: float
    """Loop time of its arrival."""
    key: str | None = None
    """The account's key; None when it was not let in."""
    status: int = 0
    """HTTP status of the answer; 0 as long as there is none."""
    task_id: str | None = None
    """The task that it asked for or started."""


@frozen(kw_only=True)
class Taken:
    """One operation that the sandbox accepted (what it refused is not here, and cost nothing)."""

    operation: str
    key: str
    task_id: str | None = None
    body: Mapping[str, Any] = field(repr=False)
    credits: int
    """Credits charged, at once."""
    at: float
    """Loop time of its acceptance."""
    refund_at: float | None = None
    """Loop time from which its credits are back; None when it does not fail."""
    refunded: int = 0
    """Credits that had come back when the books were opened."""


class Books:
    """Everything that happened so far, from the sandbox's side.

    Credits that come back count from the moment at which the task failed, asked for or not.
    """

    def __init__(
        self, now: Callable[[], float], pots: Callable[[str, float], tuple[int, int]], keys: tuple[str, ...]
    ) -> None:
        self._now = now
        self._pots = pots
        self._keys = keys
        self._entries: list[Taken] = []
        self.requests: list[Request] = []

    def enter(self, entry: Taken) -> None:
        """Write down an accepted operation."""
        self._entries.append(entry)

    @property
    def accepted(self) -> int:
        """How many operations were accepted."""
        return len(self._entries)

    def taken(self, operation: str | None = None) -> list[Taken]:
        """The accepted operations, or those called `operation` ("sonic.create_music"), with refunds as of now."""
        now = self._now()
        return [
            evolve(entry, refunded=entry.credits) if entry.refund_at is not None and entry.refund_at <= now else entry
            for entry in self._entries
            if operation in (None, entry.operation)
        ]

    @property
    def charged(self) -> int:
        """Credits charged so far, those included that came back."""
        return sum(entry.credits for entry in self._entries)

    @property
    def refunded(self) -> int:
        """Credits that came back so far."""
        return sum(entry.refunded for entry in self.taken())

    @property
    def balance(self) -> int:
        """Credits of all accounts together, both pots."""
        return sum(sum(self.pots(key)) for key in self._keys)

    def pots(self, key: str | None = None) -> tuple[int, int]:
        """Subscription credits and extra credits of one account (default: of the first key)."""
        return self._pots(key or self._keys[0], self._now())

    @property
    def refusals(self) -> list[Request]:
        """The requests that were answered with 429."""
        return [request for request in self.requests if request.status == 429]

    def count(self, operation: str | None = None, *, method: str | None = None, status: int | None = None) -> int:
        """How many requests were made, of this operation, method and answered status."""
        return sum(
            operation in (None, request.operation)
            and method in (None, request.method)
            and status in (None, request.status)
            for request in self.requests
        )
