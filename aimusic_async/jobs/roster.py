"""Who works on which key: of several jobs of one key, here or in other sessions, one works and the rest follow."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from .work import Where, Work

_AT_ONCE = 500


class Roster:
    """The jobs of one session that the journal knows, by group and key."""

    def __init__(self) -> None:
        self._here: dict[tuple[str, str], Work] = {}
        self._elsewhere: dict[tuple[str, str], list[Work]] = {}

    def claim(self, work: Work) -> Work | None:
        """Let a job work on its key, or follow the one that does; return that one, None when it is free."""
        self.leave(work)
        other = self._here.setdefault(work.identity, work)
        if other is work:
            return None
        self._elsewhere.setdefault(work.identity, []).append(work)
        return other

    def leave(self, work: Work) -> None:
        """Forget a job."""
        if self._here.get(work.identity) is work:
            del self._here[work.identity]
        if work in (waiting := self._elsewhere.get(work.identity, [])):
            waiting.remove(work)
            if not waiting:
                del self._elsewhere[work.identity]

    def placed(self, work: Work) -> None:
        """Note where a job is worked on, once the journal said so."""
        if work.where is Where.ELSEWHERE and not work.done and self._here.get(work.identity) is work:
            del self._here[work.identity]
            self._elsewhere.setdefault(work.identity, []).append(work)

    def __bool__(self) -> bool:
        """Whether any job follows another."""
        return bool(self._elsewhere)

    def followers(self) -> Iterator[Work]:
        """Return jobs that follow others, some hundreds at once; the next time it is the turn of others."""
        for identity in tuple(islice(self._elsewhere, _AT_ONCE)):
            self._elsewhere[identity] = self._elsewhere.pop(identity)
            yield from tuple(self._elsewhere[identity])

    def concerned(self, identity: tuple[str, str]) -> Iterator[Work]:
        """Return the jobs of a key."""
        if (here := self._here.get(identity)) is not None:
            yield here
        yield from tuple(self._elsewhere.get(identity, ()))
