"""How a row of a batch ended: its job, its result and files, or why there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from ..errors import MusicError
from ..events import JobState
from ..jobs.job import Job
from ..manifest import Row


class SourceFailed(MusicError):
    """A row was not sent, since a row whose result it needs has none. `source` is the key of the latter."""

    def __init__(self, row: Row | str, source: str, why: str) -> None:
        """Name the `row`, its `source`, and `why` the row cannot be sent."""
        self.source = source
        key = row if isinstance(row, str) else row.key  # text is what some task queues leave of a row
        super().__init__(f"{key} was not sent: {why}")


@attrs.frozen(kw_only=True)
class Ended:
    """A row that has ended, with or without a result."""

    row: Row
    job: Job[Any] | None = None
    """None when it was never submitted."""
    result: Any = attrs.field(default=None, repr=False)
    files: tuple[Path, ...] = ()
    error: Exception | None = None
    """Why there is no result, or why not all of its files are there."""

    @property
    def unknown(self) -> bool:
        """Whether nobody knows if the service took it."""
        return self.job is not None and self.job.state is JobState.UNKNOWN
