"""Which deliveries were here before: a bounded memory of what was accepted."""

from __future__ import annotations

from collections.abc import Hashable

from .signature import WebhookEvent

MOST = 10_000


class Seen:
    """Remembers the last `most` deliveries that were kept, the oldest forgotten first.

    A delivery is known by its signature, or by its id. The signature does not cover the id, so an id counts only for
    the same job and the same kind of event: with one job's secret nobody can hide a delivery for another job.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._signatures: dict[Hashable, None] = {}
        self._ids: dict[Hashable, None] = {}

    def __len__(self) -> int:
        return max(len(self._signatures), len(self._ids))

    def knows(self, event: WebhookEvent, job_id: str | None) -> bool:
        """Whether the delivery was kept before, or another one of the same event."""
        return event.signature in self._signatures or _said(event, job_id) in self._ids

    def keep(self, event: WebhookEvent, job_id: str | None) -> None:
        """Remember a delivery; only for what is genuine, else a forger could hide the real one."""
        for known, what in ((self._signatures, event.signature), (self._ids, _said(event, job_id))):
            known[what] = None
            if len(known) > self._most:
                del known[next(iter(known))]


def _said(event: WebhookEvent, job_id: str | None) -> Hashable:
    return job_id, event.id, event.event
