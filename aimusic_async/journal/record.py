"""`JobRecord`: what a journal knows of one job. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import attrs

from ..events import JobState

ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
"""States in which a record may be pruned: nothing is open, and nobody has to check."""

OPEN = frozenset({JobState.QUEUED, JobState.SENDING, JobState.SUBMITTED})
"""States in which there is something left to do."""


@attrs.frozen(kw_only=True, slots=False)  # without slots they are made twice as fast, and a journal makes many
class JobRecord:
    """What a journal knows of one job. It holds no API key and no secret.

    Times are Unix seconds of the journal's clock. `state` is never `detached`: a job that nobody watches any more is
    `submitted`, without an `owner`.
    """

    id: str
    """Follows from account, group and key: see `record_id`."""
    account: str
    """The account's name and the service's host: see `account_id`."""
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
    sender: str | None = None
    """The session that began the latest attempt: with `attempts` it names that attempt, whoever owns the job by now."""
    task_id: str | None = None
    """The service's id, once it took the job."""
    former: str = ""
    """Ids of tasks of other attempts, each with a space before it: what concerns those does not concern this one."""
    credits: int = 0
    """Credits charged for all attempts, as priced here, refunds taken off; an attempt whose outcome stayed unknown
    counts as charged once it is followed by another."""
    presumed: int = 0
    """How many attempts of unknown outcome are in `credits`: the id of such a task is not charged again."""
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
    sequence: int = 0
    """Number of its latest change, in the order in which changes became durable; given by the journal. Times order
    nothing: a clock may be set back."""

    def but(self, **changes: Any) -> JobRecord:
        """Return it with some fields changed. Every step does this, and `attrs.evolve` takes five times as long."""
        record = object.__new__(JobRecord)
        vars(record).update(vars(self), **changes)
        return record

    @property
    def scopes(self) -> tuple[str, ...]:
        """The budgets that every process shares and out of which it is paid: its named group's."""
        return (group_scope(self.group),) if self.group else ()

    @property
    def at_risk(self) -> int:
        """Credits that may have been charged beside `credits`: its POST is in flight, or its outcome unknown.

        What has to be asked again until it is ready is charged with the first answer, and waits for the next.
        """
        asked = self.repeatable and self.state is JobState.QUEUED and self.attempts > 0
        return self.cost if asked or self.state in (JobState.SENDING, JobState.UNKNOWN) else 0

    @property
    def committed(self) -> int:
        """Credits that count against a budget."""
        return self.credits + self.at_risk

    @property
    def former_ids(self) -> frozenset[str]:
        """The ids in `former`."""
        return frozenset(self.former.split())

    def fields(self) -> dict[str, Any]:
        """Return the request's fields, `op` among them; empty when the job was attached."""
        known: dict[str, Any] = json.loads(self.request) if self.request else {}
        return known


def record_id(account: str, group: str, key: str) -> str:
    """Return the id of a job's record: 32 characters that give nothing of the names away and fit into an address."""
    return hashlib.sha256(json.dumps([account, group, key]).encode()).hexdigest()[:32]


def account_id(name: str, host: str) -> str:
    """Return under which account jobs are kept: the name that the user gave it, and the service's host."""
    return f"{name}@{host}"


def key_hash(api_key: str) -> str:
    """Return 16 characters that differ from key to key, and from which no key can be had."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:16]


def group_scope(group: str) -> str:
    """Return the name of a named group's budget."""
    return f"group:{group}"


def storable(text: str) -> str:
    """Return a text without half characters, which an answer may hold and no file takes."""
    return text.encode(errors="replace").decode()


def as_text(plain: Mapping[str, Any]) -> str:
    """Write a request down so that equal requests are equal texts."""
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    readable = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return readable if storable(readable) == readable else text  # half characters stay escaped
