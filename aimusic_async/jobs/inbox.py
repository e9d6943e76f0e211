"""The webhook inbox: which job a delivery belongs to, and the address at which the service reports it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from ..api.results import settled
from ..api.wire import SongEvent, read_failure
from ..callbacks import WebhookConfig
from ..events import logger
from ..journal.protocol import Outcome
from ..journal.record import storable
from ..journal.steps import Accepted, Finished, Step
from .happenings import Delivery
from .work import Where, Work


class Inbox:
    """The jobs of one session of which the service reports by itself."""

    def __init__(self, callback: WebhookConfig) -> None:
        self._callback = callback
        self._by_id: dict[str, Work] = {}
        self._ids: dict[Work, str] = {}
        self._by_task: dict[str, Work] = {}

    def expect(self, work: Work) -> bool:
        """Expect deliveries for a job, if there are any for its kind and the caller did not name another address."""
        if work not in self._ids:
            ours = getattr(work.request, "callback_url", None) == self._callback.url
            if not ours and getattr(work.request, "webhook_url", "none of its fields") is not None:
                return False
            # With a journal the address names the record, so that every process knows whose delivery it is.
            self._ids[work] = work.id or secrets.token_hex(16)
            self._by_id[self._ids[work]] = work
        return True

    def fields(self, work: Work) -> Mapping[str, str]:
        """Return what has to be sent along, so that the service reports here."""
        if not self.expect(work):
            return {}
        job_id = self._ids[work]
        # An upload makes a task, of which something can be reported, only when it is asked to.
        name = "webhook_url" if hasattr(work.request, "webhook_url") else "callback_url"
        return {name: self._callback.url_for(job_id), "webhook_secret": self._callback.secret_for(job_id)}

    def know(self, work: Work) -> None:
        """Note the task of a job."""
        if work.task_id is not None:
            self._by_task[work.task_id] = work

    def forget(self, work: Work) -> None:
        """Forget a job that has ended."""
        if (job_id := self._ids.pop(work, None)) is not None and self._by_id.get(job_id) is work:
            del self._by_id[job_id]
        if work.task_id is not None and self._by_task.get(work.task_id) is work:
            del self._by_task[work.task_id]

    def find(self, delivery: Delivery, job_id: str | None) -> Work | None:
        """Return whose delivery it is; `job_id` is the job whose secret signed it, None for the account's own."""
        work = self._by_id.get(job_id) if job_id is not None else None
        if work is None and delivery.task_id is not None:
            work = self._by_task.get(delivery.task_id)
            if work is not None and job_id is not None and work.id != job_id:
                return None  # signed for another job
        return work if work is not None and work.where is Where.HERE else None


def steps_of(delivery: Delivery, job_id: str) -> Iterator[Step]:
    """Return what is to be written down of a delivery for a job that nobody here works on."""
    task_id, body = storable(delivery.task_id or ""), delivery.reply.fields
    if not task_id:
        return
    yield Accepted(job_id, task_id)
    try:
        answer = storable(json.dumps(body))
    except (RecursionError, ValueError):  # it nests too deeply: a poll will show
        return
    if delivery.event == SongEvent.COMPLETED and _all_ended(body):
        yield Finished(job_id, answer, task_id=task_id)
    elif delivery.event == SongEvent.FAILED:
        failure = read_failure(body)
        yield Finished(job_id, answer, storable(failure.reason), failure.refunded, task_id)


def log_other(task_id: str, outcome: Outcome) -> None:
    """Say that a webhook reports another attempt's task."""
    record = outcome.record
    if record is not None and outcome.changed and record.task_id != task_id:
        logger.warning(
            "%s is task %s; a webhook reports task %s of another attempt", record.key, record.task_id, task_id
        )


def _all_ended(body: Mapping[str, Any]) -> bool:
    """Whether no clip in a delivery still runs, whatever its headline says."""
    data = body.get("data")
    items = data if isinstance(data, list) else [data]
    states = (item.get("state") for item in items if isinstance(item, dict))
    return all(state is None or settled(state) is not None for state in states)
