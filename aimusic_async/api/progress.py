"""What one answer shows of a task: running, succeeded with a result, or failed with a reason. Values."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Any, Generic, TypeVar

import attrs

from .results import Clip

R = TypeVar("R")


class TaskState(Enum):
    """The state of a task."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class SongEvent(StrEnum):
    """What a webhook reports about a task: the word under `event` in its body, which otherwise is a poll's answer."""

    COMPLETED = "song.completed"
    """The task has succeeded."""
    FAILED = "song.failed"
    """The task has failed."""
    STREAMING = "song.streaming"
    """The task still runs, and its clips can be listened to (sonic only)."""


@attrs.frozen(kw_only=True)
class Progress(Generic[R]):
    """What one poll of a task showed."""

    state: TaskState
    result: R | None = None
    """Set when succeeded."""
    clips: tuple[Clip, ...] = ()
    """Clips seen so far, running ones included."""
    reason: str = ""
    """Why it failed."""
    refunded: bool | None = None
    """Whether the failure was refunded; None when the service did not say."""
    raw: Any = None
