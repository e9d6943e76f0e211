"""`Batch`: runs the rows of a manifest through a group, each after those that it waits for, and saves their files."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
from collections import deque
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import anyio
import attrs

from ..api.results import WITH_FILES, Clips, Stems
from ..errors import ConfigurationError, MusicError
from ..events import JobState
from ..files.download import Format, Wishes
from ..files.names import Template
from ..jobs.group import JobGroup, to_resend
from ..jobs.job import Job
from ..manifest import Manifest, Row
from ..manifest.loading import in_order
from ..page import History
from ..scheduling.durations import Durations
from ..session import MusicSession
from .ended import Ended, SourceFailed
from .pages import write_batch_page
from .plan import Forecast, Plan, forecast, learn, make_plan
from .tracker import Tracker

OWN_FOLDER = ".aimusic"
"""Below the folder of the files: where a batch keeps its own state."""
_NAMES = {
    (True, True): "{key} {title} [{clip_id}]",
    (True, False): "{title} [{clip_id}]",
    (False, True): "{key} [{clip_id}]",
    (False, False): "{operation} [{clip_id}]",
}
"""Templates, by whether they are for clips, and for a row with a key of its own: a derived key is a hash, which says
nothing to a reader."""
_AT_ONCE = 4
"""Rows whose files are saved at the same time; each may have several."""
_WITHOUT_A_BREAK = 500
"""Rows to submit before yielding to the event loop."""


class Batch:
    """Runs the rows of a manifest through a session, once; the batch of the next run goes on where it stopped.

    What it needs to go on is in the session's journal, under the batch's name and the rows' keys: without a journal
    each run starts from the beginning. Run one batch of a session at a time: it knows its rows by their keys.
    """

    def __init__(
        self,
        music: MusicSession,
        manifest: Manifest,
        out: str | os.PathLike[str] | None = None,
        *,
        name: str | None = None,
        formats: Collection[Format] = ("audio", "cover"),
        template: str | None = None,
        timeout: float | None = None,
        budget: int | None = None,
        resend_unknown: bool = False,
        resend_failed: bool = False,
        page: bool = True,
        period: float | None = None,
        speed: float = 1.0,
    ) -> None:
        """Prepare the batch; nothing is sent yet.

        Args:
            music: The session to run it through.
            manifest: The rows.
            out: Folder for the files, created when missing; None saves none.
            name: Name of the group in the journal; default: the manifest's.
            formats: Which files to save of each clip (of stems no covers), as for `MusicSession.download`.
            template: Their names, as for `MusicSession.download`; default: the row's key before title and id.
            timeout: As for `JobGroup.submit`, in seconds.
            budget: Credits that the group may spend at most.
            resend_unknown: As for `JobGroup.submit`.
            resend_failed: As for `JobGroup.submit`.
            page: Write an `index.html` to listen to, if the extra `page` is installed.
            period: Seconds from one request to the next, to predict how long it takes; default: the session's.
            speed: The service's speed, if it is a sandbox.

        Raises:
            ConfigurationError: A format or the template makes no sense.

        """
        _check_saving(formats, template)
        self._music = music
        self._out = None if out is None else Path(out)
        self.name: str = manifest.name if name is None else name
        """The group's name in the journal."""
        self._formats = formats
        self._template = template
        self._timeout = timeout
        self._budget = budget
        self._resend = {"resend_unknown": resend_unknown, "resend_failed": resend_failed}
        self._resent = to_resend(unknown=resend_unknown, failed=resend_failed)
        self._period = music.period if period is None else period
        self._speed = speed
        by_key = {row.key: row for row in manifest}
        self._ordered = [by_key[key] for key in in_order(by_key)]
        self.rows: tuple[Row, ...] = manifest.rows
        self._after: dict[str, list[Row]] = {}  # the rows that wait for a row
        for row in manifest:
            for source in row.sources:
                self._after.setdefault(source, []).append(row)
        self._missing = {row.key: len(row.sources) for row in manifest}  # results that a row still waits for
        self._heights = self._measure()
        loop = asyncio.get_running_loop()
        self._tracker = Tracker(by_key, lambda: loop.time() * speed)
        self._history = History(lambda: loop.time() * speed) if page else None
        self.ended: dict[str, Ended] = {}
        """The rows that have ended, with their files, by their keys."""
        self.page: Path | None = None
        """The page that was written."""
        self._begun = False
        self._jobs: dict[str, Job[Any]] = {}
        self._on_end: Callable[[Ended], None] = lambda _: None

    def _measure(self) -> dict[str, int]:
        """How many rows, one after the other, wait for each row: the longest chains start first."""
        heights: dict[str, int] = {}
        for row in reversed(self._ordered):
            heights[row.key] = max((heights[other.key] + 1 for other in self._after.get(row.key, ())), default=0)
        return heights

    # --- before ------------------------------------------------------------------------------------------------------

    async def plan(self, *, balance: bool = True) -> Plan:
        """Return what a run would send, cost and take. Sends only one free request, for the `balance`.

        Raises what `MusicSession.credits` and the journal raise. Cancelling it changes nothing.
        """
        music = self._music
        records = await music.journal.jobs(group=self.name) if music.has_journal else ()
        learn(self._tracker.durations, records, speed=self._speed)
        return make_plan(
            self._ordered,
            records,
            balance=await music.credits() if balance else None,
            durations=self._tracker.durations,
            period=self._period,
            resend=self._resent,
            prices=music.prices,
        )

    # --- while it runs -----------------------------------------------------------------------------------------------

    @property
    def spent(self) -> int:
        """Credits that the rows cost so far, as priced here, earlier runs included and refunds taken off."""
        return sum(job.credits for job in self._jobs.values())

    @property
    def requests(self) -> int:
        """Requests that its session sent so far."""
        return self._music.stats.requests

    def states(self) -> dict[str, int]:
        """How many rows are in which state, by the name of the state; `waiting` are those that wait for others."""
        counts = {str(state): count for state, count in self._tracker.counts().items()}
        never = sum(one.job is None for one in self.ended.values())
        waiting = len(self.rows) - sum(counts.values()) - never
        return {name: count for name, count in {**counts, "not sent": never, "waiting": waiting}.items() if count > 0}

    def left(self) -> Forecast:
        """Predict what is left to do, by what was learned so far. Takes some time with very many rows."""
        states, ages = self._tracker.states, self._tracker.ages()
        done = {key for key, state in states.items() if key not in ages and state in _SETTLED}
        rows = [row for row in self._ordered if row.key not in done and row.key not in self.ended]
        return forecast(rows, ages, self.durations, self._period)

    @property
    def durations(self) -> Durations:
        """What was learned about how long tasks take."""
        return self._tracker.durations

    # --- the run -----------------------------------------------------------------------------------------------------

    async def run(self, on_end: Callable[[Ended], None] | None = None) -> Sequence[Ended]:
        """Send the rows, save their files, write the page; return how each row ended, in the file's order.

        `on_end` is called with each row as it ends, once its files are there. The error of a single row is not raised:
        see `Ended.error`. Raises `OSError` when the disk does not take the files, `JournalError`, and what `on_end`
        raises. An error or a cancellation ends the batch as leaving a group does: what was not sent is cancelled, what
        runs is released to the service, and the next run polls it on.
        """
        if self._begun:
            raise MusicError("a batch runs once; create a new one to go on")
        self._begun = True
        self._on_end = on_end or self._on_end
        await self._make_folder()
        stops = [self._music.events.listen(one) for one in (self._tracker, self._history) if one is not None]
        try:
            await self._run()
        except ExceptionGroup as errors:  # from the tasks that save
            raise _first(errors) from None
        finally:
            for stop in stops:
                stop()
        ended = [self.ended[row.key] for row in self.rows]
        if self._out is not None and self._history is not None:
            self.page = await write_batch_page(self._out, ended, self._history, title=self.name)
        return ended

    async def _make_folder(self) -> None:
        if self._out is not None:
            try:
                await asyncio.to_thread(self._out.mkdir, parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigurationError(f"cannot write into {self._out}: {error.strerror}") from error

    async def _run(self) -> None:
        by_key = {row.key: row for row in self.rows}
        finished: asyncio.Queue[Job[Any] | None] = asyncio.Queue()  # whose files are to be saved; None ends a saver
        async with (
            self._music.group(self.name, on_failure="keep", budget=self._budget) as group,
            anyio.create_task_group() as saving,
        ):
            for _ in range(_AT_ONCE):
                saving.start_soon(self._save_each, finished, by_key)
            for number, row in enumerate(self.rows):
                if row.request is not None:
                    self._submit(group, row)
                if number % _WITHOUT_A_BREAK == _WITHOUT_A_BREAK - 1:
                    await asyncio.sleep(0)
            async for job in group.as_completed():
                row = by_key[job.key]
                if (error := job.exception()) is not None:
                    self._end(Ended(row=row, job=job, error=error))
                    self._block(row, error)
                    continue
                finished.put_nowait(job)
                for other in self._after.get(job.key, ()):
                    self._missing[other.key] -= 1
                    if not self._missing[other.key] and other.key not in self.ended:
                        await self._submit_filled(group, other)
            for _ in range(_AT_ONCE):
                finished.put_nowait(None)

    def _submit(self, group: JobGroup, row: Row) -> None:
        assert row.request is not None
        self._jobs[row.key] = group.submit(
            row.request, key=row.key, timeout=self._timeout, priority=self._heights[row.key], **self._resend
        )

    async def _submit_filled(self, group: JobGroup, row: Row) -> None:
        """Submit a row, all of whose sources have their results."""
        try:
            results = {source: await group[source] for source in row.sources}
            self._submit(group, attrs.evolve(row, request=row.filled(results)))
        except MusicError as error:
            self._end(Ended(row=row, error=SourceFailed(row, row.sources[0], str(error))))
            self._block(row)

    def _block(self, row: Row, error: Exception | None = None) -> None:
        """End the rows that wait for one that has no result, and those that wait for them."""
        line = deque([(row, f"which ended without a result: {error}" if error else "which was not sent")])
        while line:
            source, why = line.popleft()
            for other in self._after.get(source.key, ()):
                if other.key not in self.ended:
                    blocked = SourceFailed(other, source.key, f"it waits for {source.key}, {why}")
                    self._end(Ended(row=other, error=blocked))
                    line.append((other, "which was not sent"))

    def _end(self, ended: Ended) -> None:
        self.ended[ended.row.key] = ended
        self._on_end(ended)

    # --- files -------------------------------------------------------------------------------------------------------

    async def _save_each(self, finished: asyncio.Queue[Job[Any] | None], rows: dict[str, Row]) -> None:
        while (job := await finished.get()) is not None:
            row = rows[job.key]
            result, files, trouble = None, tuple[Path, ...](), None
            try:
                result = await job
                files = tuple(await self._save(row, job, result))
            except MusicError as error:
                trouble = error
                files = tuple(getattr(error, "saved", ()))
            self._end(Ended(row=row, job=job, result=result, files=files, error=trouble))

    async def _save(self, row: Row, job: Job[Any], result: Any) -> list[Path]:
        if self._out is None:
            return []
        if not isinstance(result, WITH_FILES):
            return [await asyncio.to_thread(_save_json, self._out, row.key, job.raw)]
        name = self._template or _NAMES[isinstance(result, Clips), row.named]
        # The parts of a song all have its cover.
        formats: Collection[Format] = self._formats
        if isinstance(result, Stems):
            formats = [one for one in formats if one != "cover"]
        return await self._music.download(job, self._out, formats=formats, name=name) if formats else []


_SETTLED = frozenset(JobState) - {JobState.QUEUED, JobState.SENDING, JobState.SUBMITTED}


def _check_saving(formats: Collection[str], template: str | None) -> None:
    """Raise `ConfigurationError` for what `download` would refuse, before anything is paid for."""
    name = _NAMES[True, True] if template is None else template
    Wishes.check(formats=formats, name=name, overwrite=False, tags=None, most_bytes=1, stall_timeout=1, progress=None)


def _first(errors: ExceptionGroup[Exception]) -> Exception:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first


def _save_json(folder: Path, key: str, answer: Any) -> Path:
    """Save the answer of an operation without files, under its row's key."""
    stem = Template.parse("{key}").stem({"key": key})
    if stem != key:  # two keys must not become one name
        stem += f" [{hashlib.sha256(key.encode()).hexdigest()[:8]}]"
    path = folder / f"{stem}.json"
    unfinished = folder / f".{secrets.token_hex(8)}.part"
    try:
        unfinished.write_text(json.dumps(answer, indent=2), encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
