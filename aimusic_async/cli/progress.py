"""Shows jobs as they change: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..events import Event, Events, JobChanged, JobState
from ..jobs.job import Job
from .show import safe

_STYLES = {
    JobState.QUEUED: "dim",
    JobState.SENDING: "yellow",
    JobState.SUBMITTED: "cyan",
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.UNKNOWN: "bold red",
    JobState.CANCELLED: "magenta",
    JobState.DETACHED: "magenta",
}


@attrs.define
class _Row:
    job: Job[Any]
    since: float
    until: float | None = None


@attrs.define
class Progress:
    """Tracks the jobs of a session through its events; `clock` returns the service's seconds."""

    console: Console
    clock: Callable[[], float]
    keep: bool = True
    """Whether the table stays when the block ends; not needed when results are printed after it."""
    saving: int = 0
    """Files being saved; shown below the jobs."""
    _rows: dict[str, _Row] = attrs.field(factory=dict)

    @contextmanager
    def shown(self, events: Events) -> Iterator[None]:
        """Show the jobs for as long as the block lasts."""
        stop = events.listen(self._heard)
        try:
            if self._is_live:
                # If redirected, output to a pipe would appear above the table.
                with Live(
                    get_renderable=self.table,
                    console=self.console,
                    refresh_per_second=8,
                    transient=not self.keep,
                    redirect_stdout=False,
                    redirect_stderr=False,
                ):
                    yield
            else:
                yield
        finally:
            stop()

    @property
    def _is_live(self) -> bool:
        return self.console.is_terminal and not self.console.is_dumb_terminal

    def _heard(self, event: Event) -> None:
        if not isinstance(event, JobChanged) or not isinstance(event.job, Job):
            return
        row = self._rows.setdefault(event.job.key, _Row(event.job, since=self.clock()))
        if event.job.done() and row.until is None:
            row.until = self.clock()
        if not self._is_live and event.state is not JobState.SENDING:
            self.console.print(
                f"{self.clock():6.0f} s  {safe(event.job.key):<20} {event.state}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )

    def table(self) -> Table:
        """Return the table as of now."""
        table = Table(box=None, pad_edge=False)
        table.add_column("job")
        table.add_column("state", min_width=10)
        table.add_column("elapsed", justify="right")
        table.add_column("credits", justify="right")
        table.add_column("clips")
        for row in tuple(self._rows.values()):
            job, end = row.job, row.until if row.until is not None else self.clock()
            clips = " ".join(safe(clip.state) for clip in job.clips)
            state = Text(job.state, style=_STYLES[job.state])
            table.add_row(Text(safe(job.key)), state, f"{end - row.since:.0f} s", str(job.credits), Text(clips))
        if self.saving:
            table.caption = f"saving {self.saving} files"
            table.caption_justify = "left"
        return table
