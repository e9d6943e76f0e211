"""Deliveries of webhooks: which job each belongs to, and what it makes of it."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from ..api.results import FAILED, SUCCEEDED
from ..api.wire import Progress, Reply, SongEvent, TaskState, read_failure, read_task
from ..callbacks import WebhookConfig
from ..clock import Clock
from ..errors import ApiError, SubmissionUnknown
from ..events import JobState, logger
from .job import Job

if TYPE_CHECKING:
    from .keeper import Keeper

_PATIENCE = 600.0
"""Seconds for which a delivery is awaited when the answer to the POST was lost."""


class Delivery(Protocol):
    """What the service said of a task; in practice a `webhooks.WebhookEvent`."""

    @property
    def event(self) -> SongEvent | str | None:
        """What happened."""
        ...

    @property
    def task_id(self) -> str | None:
        """To which task."""
        ...

    @property
    def reply(self) -> Reply:
        """The same as an answer to a poll."""
        ...


class Progressing(Protocol):
    """What goes on with jobs; in practice `Requests`."""

    def taken(self, job: Job[Any], task_id: str) -> None:
        """Note that the service has a job whose answer was lost."""

    def told(self, job: Job[Any], progress: Progress[Any]) -> None:
        """Note what the service said of a job by itself."""

    def look_now(self, job: Job[Any]) -> None:
        """Look at a job as soon as there is a token."""


@attrs.frozen
class _Doubt:
    """The answer to a POST was lost, and a delivery may still tell."""

    error: SubmissionUnknown
    timer: asyncio.TimerHandle


@attrs.define
class _Expected:
    """A job of which the service will tell by itself."""

    id: str
    early: list[Delivery] = attrs.field(factory=list)
    """What came before the answer to the POST."""
    doubt: _Doubt | None = None


class Mailbox:
    """Adds the callback to what is sent, and hands deliveries to their jobs. Everything in it happens at once."""

    def __init__(self, callback: WebhookConfig, progressing: Progressing, clock: Clock) -> None:
        self._callback = callback
        self._progressing = progressing
        self._clock = clock
        self.keeper: Keeper | None = None
        """What knows the jobs of the journal; None without one."""
        self._expected: dict[Job[Any], _Expected] = {}
        self._by_id: dict[str, Job[Any]] = {}
        self._by_task: dict[str, Job[Any]] = {}

    # --- sending -----------------------------------------------------------------------------------------------------

    def expects(self, job: Job[Any]) -> bool:
        """Whether the service will tell of the job by itself, at our address."""
        return job in self._expected

    def fields(self, job: Job[Any]) -> Mapping[str, str]:
        """Return what has to be sent along, so that the service tells of the job here."""
        if (expected := self.expect(job)) is None:
            return {}
        # An upload makes a task, of which something can be told, only when it is asked to.
        name = "webhook_url" if hasattr(job.request, "webhook_url") else "callback_url"
        return {name: self._callback.url_for(expected.id), "webhook_secret": self._callback.secret_for(expected.id)}

    def expect(self, job: Job[Any]) -> _Expected | None:
        """Expect deliveries for a job, if there are any for its kind and the caller did not name another address."""
        ours = getattr(job.request, "callback_url", None) == self._callback.url
        if not ours and getattr(job.request, "webhook_url", "none of its fields") is not None:
            return None
        if job not in self._expected:
            job_id = self.keeper.id_of(job) if self.keeper is not None else secrets.token_hex(16)
            self._expected[job] = _Expected(job_id)
            self._by_id[job_id] = job
        return self._expected[job]

    def doubted(self, job: Job[Any], error: SubmissionUnknown) -> bool:
        """The answer to the POST was lost: let the job wait for a delivery, if one may come; say whether it does."""
        expected = self._expected.get(job)
        if expected is None or job._ending is not None:
            return False
        expected.doubt = _Doubt(error, self._clock.call_later(_PATIENCE, partial(self.give_up, job)))
        logger.warning("%s: the answer was lost; a webhook may still tell what became of it", job.key)
        self.answered(job)
        return True

    def give_up(self, job: Job[Any]) -> bool:
        """End a job that waits, in doubt, for a delivery; say whether it did."""
        expected = self._expected.get(job)
        if expected is None or (doubt := expected.doubt) is None:
            return False
        expected.doubt = None
        doubt.timer.cancel()
        job._fail(doubt.error, JobState.UNKNOWN)
        return True

    def in_doubt(self, job: Job[Any]) -> bool:
        """Whether a job waits for a delivery because the answer to its POST was lost."""
        expected = self._expected.get(job)
        return expected is not None and expected.doubt is not None

    def know(self, job: Job[Any]) -> None:
        """Note the task id of a job."""
        if job.task_id is not None:
            self._by_task[job.task_id] = job
        expected = self._expected.get(job)
        if expected is not None and expected.doubt is not None:
            expected.doubt.timer.cancel()
            expected.doubt = None

    def answered(self, job: Job[Any]) -> None:
        """Hand on what came before the answer to the POST."""
        if expected := self._expected.get(job):
            early, expected.early = expected.early, []
            for delivery in early:
                self._hand_on(job, expected, delivery)

    def forget(self, job: Job[Any]) -> None:
        """Forget a job that has ended."""
        expected = self._expected.pop(job, None)
        if expected is not None and self._by_id.get(expected.id) is job:
            del self._by_id[expected.id]
        if job.task_id is not None and self._by_task.get(job.task_id) is job:
            del self._by_task[job.task_id]

    # --- receiving ---------------------------------------------------------------------------------------------------

    def put(self, delivery: Delivery, job_id: str | None) -> None:
        """Take a genuine delivery; `job_id` is the job whose secret signed it, None when it was the account's own."""
        job = self._by_id.get(job_id) if job_id is not None else None
        if job is None and delivery.task_id is not None:
            job = self._by_task.get(delivery.task_id)
            if job is not None and job_id is not None and not self._is(job, job_id):
                job = None  # signed for another job
        if job is None or (self.keeper is not None and not self.keeper.owns(job)):
            self._keep(delivery, job_id)
        elif (expected := self._expected.get(job)) and job.task_id is None and expected.doubt is None:
            expected.early.append(delivery)  # its POST is still under way
        else:
            self._hand_on(job, expected, delivery)

    def _is(self, job: Job[Any], job_id: str) -> bool:
        return self.keeper is not None and self.keeper.owns(job) and self.keeper.id_of(job) == job_id

    def _hand_on(self, job: Job[Any], expected: _Expected | None, delivery: Delivery) -> None:
        if job.done() or delivery.task_id is None or job.task_id not in (None, delivery.task_id):
            return
        if job.task_id is None:
            if expected is None or expected.doubt is None:
                return
            if self.keeper is not None and self.keeper.is_former(job, delivery.task_id):
                return
            self._progressing.taken(job, delivery.task_id)
            if job.done():  # a listener has cancelled it
                return
        try:
            progress = read_task(job.operation, delivery.task_id, delivery.reply)
        except ApiError as error:
            logger.warning("%s: a webhook makes no sense, so its task is looked at: %s", job.key, error)
            self._progressing.look_now(job)
            return
        self._progressing.told(job, progress)
        if delivery.event == SongEvent.COMPLETED and progress.state is TaskState.RUNNING:
            self._progressing.look_now(job)  # it says more than it shows

    def _keep(self, delivery: Delivery, job_id: str | None) -> None:
        """Write down what was told of a job that nobody here waits for."""
        if self.keeper is None or job_id is None or delivery.task_id is None:
            logger.warning("a webhook tells of task %.80r, for which no job waits here", delivery.task_id)
            return
        self.keeper.told(job_id, delivery.task_id)
        body = delivery.reply.fields
        if delivery.event == SongEvent.COMPLETED and _all_ended(body):
            self.keeper.told(job_id, delivery.task_id, answer=json.dumps(body))
        elif delivery.event == SongEvent.FAILED:
            failure = read_failure(body)
            self.keeper.told(job_id, delivery.task_id, answer=json.dumps(body), failure=failure)


def _all_ended(body: Mapping[str, Any]) -> bool:
    """Whether no clip in a delivery still runs, whatever its headline says."""
    data = body.get("data")
    items = data if isinstance(data, list) else [data]
    states = (item.get("state") for item in items if isinstance(item, dict))
    return all(state is None or str(state).lower() in SUCCEEDED | FAILED for state in states)
