"""Shows a batch as it runs: its progress and the time left on a terminal, one line per row elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .batch_texts import counted, lasting
from .plain import plain_error, plain_job
from .screen import describe_error
from .show import safe

if TYPE_CHECKING:
    from ..batch import Batch, Ended, Plan
    from .screen import Screen

_SHARE = 0.02
"""Share of the time that may be spent on predicting the rest: with very many rows it is predicted less often."""


class BatchView:
    """Shows a batch on a screen."""

    def __init__(self, screen: Screen, batch: Batch, plan: Plan) -> None:
        self._screen = screen
        self._batch = batch
        self._plan = plan
        self._reported: set[str] = set()  # an error that many rows share is reported once
        self._left = ""
        self._next_prediction = 0.0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the progress for as long as the block lasts, on a terminal."""
        screen = self._screen
        if screen.quiet or screen.as_json or not screen.err.is_terminal or screen.err.is_dumb_terminal:
            yield
            return
        with Live(
            get_renderable=self.state,
            console=screen.err,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ):
            yield

    def report(self, ended: Ended) -> None:
        """Report a row that has ended."""
        screen = self._screen
        if screen.as_json:
            screen.row(plain_ended(ended))
        else:
            place = f"{len(self._batch.ended)}/{len(self._batch.rows)}"
            state = "failed" if ended.error is not None else "done"
            files = f"  {counted(len(ended.files), 'file')}" if ended.files else ""
            left = f"  {self.left()}" if not screen.err.is_terminal else ""
            screen.say(f"{place:>9}  {safe(ended.row.key):<24} {state}{files}{left}")
        if ended.error is not None and (message := describe_error(ended.error)) not in self._reported:
            self._reported.add(message)
            screen.fault(ended.error)

    def state(self) -> RenderableType:
        """Return the progress, for a terminal."""
        batch, total = self._batch, len(self._batch.rows)
        counts = " · ".join(f"{count} {state}" for state, count in batch.states().items())
        line = f"{len(batch.ended)} of {total} · {counts} · {batch.spent} credits · {batch.requests} requests"
        bar = ProgressBar(total=total, completed=len(batch.ended), width=40)
        shown = Table.grid()
        shown.add_row(bar)
        shown.add_row(Text(f"{line} · {self.left()}"))
        return shown

    def left(self) -> str:
        """Return how long it still takes; predicted again only now and then."""
        now = time.monotonic()
        if now >= self._next_prediction:
            seconds = self._batch.left().seconds
            self._left = f"about {lasting(seconds, self._screen.speed)} left" if seconds else "saving"
            self._next_prediction = now + max(1.0, (time.monotonic() - now) / _SHARE)
        return self._left


def plain_ended(ended: Ended) -> Mapping[str, Any]:
    """Return how a row ended, under the names of `plain_job`, and its place in the manifest."""
    row, error, files = ended.row, ended.error, [str(Path(path)) for path in ended.files]
    if ended.job is not None:
        plain = plain_job(ended.job, result=ended.result, error=error, files=ended.files)
    else:
        plain = {
            "job": row.key,
            "operation": row.operation.operation,
            "state": "not sent",
            "task_id": None,
            "credits": 0,
            "result": None,
            "error": None if error is None else plain_error(error),
            "files": files,
        }
    return {**plain, "file": row.place.file, "line": row.place.line}
