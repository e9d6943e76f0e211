"""A heap from which anything can be taken out: what has gone is let go of at once. Pure.

Removing a job leaves an entry of two numbers behind, which is skipped when it comes up. When such entries outnumber the
jobs, the others move to a second heap, a few with each removal: every step costs O(log n), and none of them more.
"""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

J = TypeVar("J")
Entry = tuple[float, int]

_FEW = 64
"""Entries without a job that are not worth clearing away."""
_AT_ONCE = 8
"""Entries that move with each removal."""


class Heap(Generic[J]):
    """Jobs by rank, the least first; those of one rank by their places, which are unique numbers."""

    def __init__(self) -> None:
        self._jobs: dict[int, J] = {}
        self._entries: list[Entry] = []
        self._old: list[Entry] = []
        """A heap, too: it shrinks from its end."""

    def __len__(self) -> int:
        """Return how many jobs there are."""
        return len(self._jobs)

    def push(self, rank: float, place: int, job: J) -> None:
        """Put a job in at a place that is not in use."""
        self._jobs[place] = job
        heapq.heappush(self._entries, (rank, place))

    def discard(self, place: int) -> None:
        """Take out what is at a place, if anything is."""
        if self._jobs.pop(place, None) is None:
            return
        if not self._old and len(self._entries) > 2 * len(self._jobs) + _FEW:
            self._old, self._entries = self._entries, self._old
        for entry in self._old[: -_AT_ONCE - 1 : -1]:
            if entry[1] in self._jobs:
                heapq.heappush(self._entries, entry)
        del self._old[-_AT_ONCE:]

    def first(self) -> Entry | None:
        """Return the least rank and its place, None when nothing is there."""
        heap = self._heap()
        return heap[0] if heap else None

    def at(self, place: int) -> J:
        """Return the job at a place."""
        return self._jobs[place]

    def top(self) -> J | None:
        """Return the job of the least rank."""
        heap = self._heap()
        return self._jobs[heap[0][1]] if heap else None

    def pop(self, until: float) -> J | None:
        """Take out the job of the least rank and return it, unless that is greater than `until`."""
        heap = self._heap()
        return self._jobs.pop(heapq.heappop(heap)[1]) if heap and heap[0][0] <= until else None

    def _heap(self) -> list[Entry]:
        """Return that of the two heaps that has the least entry on top; it is empty when both are."""
        for heap in (self._old, self._entries):
            while heap and heap[0][1] not in self._jobs:
                heapq.heappop(heap)
        old, entries = self._old, self._entries
        return old if old and (not entries or old[0] < entries[0]) else entries
