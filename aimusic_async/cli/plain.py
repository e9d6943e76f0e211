"""The outcome of a job as plain data for `--json`, under stable names: fields are added, never renamed or dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from ..jobs.job import Job
    from ..journal.record import JobRecord


def plain(value: Any) -> Any:
    """Return a result as JSON can hold it: every field but `raw`, by its name; times in ISO 8601."""
    if attrs.has(type(value)):
        return {name: plain(getattr(value, name)) for name in attrs.fields_dict(type(value)) if name != "raw"}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(one) for one in value]
    return value


def plain_error(error: BaseException) -> dict[str, str]:
    """Return an error by its class and its message."""
    return {"type": type(error).__name__, "message": str(error)}


def plain_job(
    job: Job[Any], *, result: Any = None, error: BaseException | None = None, files: Sequence[Path] = ()
) -> dict[str, Any]:
    """Return the state of a job."""
    return {
        "job": job.key,
        "operation": job.operation.operation,
        "state": str(job.state),
        "task_id": job.task_id,
        "credits": job.credits,
        "result": plain(result),
        "error": None if error is None else plain_error(error),
        "files": [str(path) for path in files],
    }


def plain_record(record: JobRecord) -> dict[str, Any]:
    """Return what a journal says about a job; the names of `plain_job`, with more about its history."""
    return {
        "job": record.key,
        "group": record.group,
        "operation": record.operation,
        "state": str(record.state),
        "task_id": record.task_id,
        "credits": record.credits,
        "cost": record.cost,
        "attempts": record.attempts,
        "refunded": record.refunded,
        "error": record.error,
        "created": moment(record.created),
        "updated": moment(record.updated),
    }


def moment(seconds: float) -> str:
    """Return Unix seconds as ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
