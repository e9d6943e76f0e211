"""`JobRecord`: what a journal knows of one job. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import attrs

from ..events import JobState

ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
"""States in which a record may be pruned: nothing is open, and nobody has to look."""

OPEN = frozenset({JobState.QUEUED, JobState.SENDING, JobState.SUBMITTED})
"""States in which there is something left to do."""


@attrs.frozen(kw_only=True)
class JobRecord:
    """What a journal knows of one job. It holds no API key and no secret.

    Times are Unix seconds of the journal's clock. `state` is never `detached`: a job that nobody watches any more is
    `submitted`, without an `owner`.
    """

    id: str
    """Follows from account, group and key: see `record_id`."""
    account: str
    """A hash of the API key."""
    group: str
    """The group's name; empty outside of a named group."""
    key: str
    """The job's own name, unique in its group."""
    operation: str
    """Such as `sonic.create_music`."""
    request: str | None = attrs.field(default=None, repr=False)
    """The request as JSON, secrets left out; None when the job was attached by its task id."""
    cost: int = 0
    """Credits that it costs when the service takes it, as priced here."""
    repeatable: bool = False
    """Whether sending it a second time costs nothing."""
    state: JobState = JobState.QUEUED
    owner: str | None = None
    """The session that works on it."""
    task_id: str | None = None
    """The service's id, once it took the job."""
    former: str = ""
    """Ids of tasks of earlier attempts, each with a space before it: what is told of those is not told of this one."""
    credits: int = 0
    """Credits charged for all attempts, as priced here, refunds taken off; an attempt in doubt that was followed by
    another counts as charged."""
    answer: str | None = attrs.field(default=None, repr=False)
    """The service's last answer as JSON, when the job has ended."""
    error: str | None = None
    """What went wrong last."""
    refunded: bool | None = None
    """Whether a failure was refunded; None when the service did not say."""
    attempts: int = 0
    """How often it was about to be sent."""
    created: float = 0.0
    updated: float = 0.0
    accepted: float | None = None
    """When the service took it."""

    def fields(self) -> dict[str, Any]:
        """Return the request's fields, `op` among them; empty when the job was attached."""
        known: dict[str, Any] = json.loads(self.request) if self.request else {}
        return known


def record_id(account: str, group: str, key: str) -> str:
    """Return the id of a job's record: 32 characters that tell nothing of the names and fit into an address."""
    return hashlib.sha256(json.dumps([account, group, key]).encode()).hexdigest()[:32]


def account_name(api_key: str) -> str:
    """Return the name under which an account's jobs are kept: 16 characters, from which no key can be had."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:16]


def as_text(plain: Mapping[str, Any]) -> str:
    """Write a request down so that equal requests are equal texts."""
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    readable = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return readable if readable.encode(errors="replace").decode() == readable else text  # half characters stay escaped
