"""The sandbox's books: what was asked, refused, charged and refunded. The truth, for tests to compare with."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from attrs import asdict, define, evolve, field, frozen

from aimusic_async.sandbox.faults import Fate, Fault


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
    """HTTP status of the answer; 0 as long as there is none, and when a fault keeps it from ever coming."""
    task_id: str | None = None
    """The task that it asked for or started."""
    fault: Fault | None = None
    """What went wrong with it on purpose. A 429 without a fault came too soon."""


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
    fault: Fault | None = None
    """What went wrong with the answer: whoever asked may not know that it was accepted."""
    fate: Fate | None = None
    """What was decided for its task on purpose; None when chance decided."""


@define(kw_only=True)
class Delivery:
    """One attempt to deliver a webhook, or the note that there was none."""

    event: str
    """As "song.completed"."""
    event_id: str
    """The same for all attempts of one event."""
    task_id: str
    url: str
    """Where to, without what may be secret in it: user, query and fragment."""
    at: float
    """Loop time at which it went out."""
    attempt: int
    """1, 2, …; 0 when it was never sent, because it was lost or leads to another machine."""
    status: int | None = None
    """HTTP status of the receiver's answer."""
    error: str | None = None
    """Why there was no answer: the error's class, as "TimeoutError", or "not on this machine". Neither a status nor an
    error has what is still under way, or was when the sandbox closed."""
    doubled: bool = False
    """Whether it belongs to the second copy of an event that is delivered twice."""
    lost: bool = False
    """Whether it was lost on purpose (`Options.webhook_lost`)."""

    @property
    def taken(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300


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
        self._by_task: dict[str, Taken] = {}
        self.requests: list[Request] = []
        self.deliveries: list[Delivery] = []

    def enter(self, entry: Taken) -> None:
        """Write down an accepted operation."""
        self._entries.append(entry)
        if entry.task_id is not None:
            self._by_task[entry.task_id] = entry

    @property
    def accepted(self) -> int:
        """How many operations were accepted."""
        return len(self._entries)

    def taken(self, operation: str | None = None, **fields: Any) -> list[Taken]:
        """The accepted operations, or those called `operation` ("sonic.create_music"), with refunds as of now.

        `fields` picks those whose body had these values: `taken(title="Lanterns")`.
        """
        now = self._now()
        return [
            _as_of(now, entry)
            for entry in self._entries
            if operation in (None, entry.operation)
            and all(name in entry.body and entry.body[name] == value for name, value in fields.items())
        ]

    def task(self, task_id: str) -> Taken:
        """What was accepted as this task, with its refund as of now. Raises `KeyError` when there never was one."""
        return _as_of(self._now(), self._by_task[task_id])

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
        """The requests that were answered with 429; those that did not come too soon have a `fault`."""
        return [request for request in self.requests if request.status == 429]

    def count(self, operation: str | None = None, *, method: str | None = None, status: int | None = None) -> int:
        """How many requests were made, of this operation, method and answered status."""
        return sum(
            operation in (None, request.operation)
            and method in (None, request.method)
            and status in (None, request.status)
            for request in self.requests
        )

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values, for a reader in another process; times are loop times, in (real) seconds.

        `requests` counts them: all, by status, by fault, and those that came too soon.
        """
        return {
            "now": self._now(),
            "charged": self.charged,
            "refunded": self.refunded,
            "balance": self.balance,
            "taken": [_plain(entry) for entry in self.taken()],
            "requests": {
                "total": len(self.requests),
                "by_status": dict(Counter(str(request.status) for request in self.requests)),
                "by_fault": dict(Counter(str(request.fault) for request in self.requests if request.fault)),
                "too_soon": sum(request.fault is None for request in self.refusals),
            },
            "deliveries": [asdict(entry) for entry in self.deliveries],
        }


def _as_of(now: float, entry: Taken) -> Taken:
    if entry.refund_at is None or entry.refund_at > now:
        return entry
    return evolve(entry, refunded=entry.credits)


def _plain(entry: Taken) -> dict[str, Any]:
    return {
        "operation": entry.operation,
        "key": entry.key,
        "task_id": entry.task_id,
        "title": entry.body.get("title"),
        "prompt": entry.body.get("prompt"),
        "body": entry.body,
        "credits": entry.credits,
        "refunded": entry.refunded,
        "at": entry.at,
        "fault": None if entry.fault is None else str(entry.fault),
        "fate": None if entry.fate is None else str(entry.fate),
    }
