"""What happens to a `Work` (events), and what is to be done about it (effects). Values."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Protocol, TypeAlias

import attrs

from ..api.wire import Reply, SongEvent
from ..errors import MusicError
from ..journal.protocol import Outcome
from ..journal.record import JobRecord
from ..journal.steps import Step


class Delivery(Protocol):
    """What the service said of a task by itself; in practice a `webhooks.WebhookEvent`."""

    @property
    def event(self) -> SongEvent | str | None: ...  # noqa: D102 - as there
    @property
    def task_id(self) -> str | None: ...  # noqa: D102 - as there
    @property
    def reply(self) -> Reply: ...  # noqa: D102 - as there


# --- events --------------------------------------------------------------------------------------------------------


class Sign(Enum):
    """An event that says nothing more."""

    GRANTED = "a token is there for its submit or call"
    STALE = "its token was given back: it waits for a new one"
    DEPARTED = "its request has left"


@attrs.frozen
class Submitted:
    """It is to be sent, or watched when the service has it already."""

    record: JobRecord | None = None
    """What the journal knows of it."""


@attrs.frozen
class Taken:
    """Another job of the same key is at work in this session; `conflict`: for something else."""

    conflict: str | None = None
    recorded: bool = False
    """Whether the journal has that one."""


@attrs.frozen
class Stored:
    """The journal stored a step of it, or could not."""

    step: Step
    outcome: Outcome


@attrs.frozen
class Answered:
    """The service answered its submit or call, or a `poll`."""

    reply: Reply
    poll: bool = False


@attrs.frozen
class Failed:
    """Its submit or call failed, or a `poll`."""

    error: MusicError
    poll: bool = False


@attrs.frozen
class Delivered:
    """A webhook reported."""

    delivery: Delivery


@attrs.frozen
class Heard:
    """Another process changed its record."""

    record: JobRecord


@attrs.frozen
class GivenUp:
    """It was cancelled, or its time is over; `released`: its group or session ends, and another run may go on."""

    error: MusicError
    released: bool = False


@attrs.frozen
class Excluded:
    """The account is refused: what waits ends with the same error."""

    error: MusicError


@attrs.frozen
class Broke:
    """A mistake of ours."""

    error: MusicError


Event: TypeAlias = (
    Sign | Submitted | Taken | Stored | Answered | Failed | Delivered | Heard | GivenUp | Excluded | Broke
)

# --- effects -------------------------------------------------------------------------------------------------------


class Do(StrEnum):
    """An effect that needs nothing more."""

    CHANGED = "emit the event that its state has changed"
    RECORDED = "wake who waits until it is in the journal"
    KNOWN = "wake who waits for its task id"
    START_TIMER = "start its time-out"
    SEND = "send its request with the token that it holds"
    RAN = "learn that a poll found its task running"
    FINISHED = "learn that its task has finished since the last poll"
    FINISHED_NOW = "learn that its task has just finished"
    STREAMS = "emit the event that says where it can be heard"
    WITHDRAW = "let it wait no more, neither for a token nor for a poll"
    AWAIT = "end it as unknown, unless a webhook reports in time"
    REENTER = "ask the journal again who works on it"
    WENT_WELL = "the service answers"
    END = "wake every waiter, forget it"


@attrs.frozen
class Put:
    """Append a step to the write queue; what `Enter` and `Begin` come to is an event."""

    step: Step


@attrs.frozen
class Queue:
    """Let it wait for a token; with a `delay` before all others of its kind, once so many seconds have passed."""

    delay: float | None = None


@attrs.frozen
class Watch:
    """Poll its task; `age`: seconds for which it has been running, None when nobody knows."""

    age: float | None
    exact: bool = True
    """Whether durations can be learned from that age."""


@attrs.frozen
class PollAt:
    """Poll its task from that moment on."""

    moment: float


@attrs.frozen
class Credited:
    """The account paid for a job of that price, or has so many credits; None: something was refunded."""

    credits: int | None


@attrs.frozen
class Report:
    """The service refuses for speed, for want of credits, or altogether; or it is out of reach. All jobs suffer."""

    error: MusicError


@attrs.frozen
class Say:
    """Log a warning."""

    text: str


OtherEffect: TypeAlias = Put | Queue | Watch | PollAt | Credited | Report | Say
Effect: TypeAlias = Do | OtherEffect
