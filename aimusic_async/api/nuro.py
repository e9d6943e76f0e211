"""The operations of the nuro platform: one song a request. Since mid 2026 the service answers `EndpointRetired`.

Genres, moods, timbres, instruments and themes are sent as they are written; the service's pages list them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import attrs

from ..errors import InvalidRequest
from . import prices
from .fields import TaskRequest
from .limits import Between, Doc, Items, MaxLength, NotEmpty, check, field_specs, listed
from .request import Endpoint
from .results import Song

__all__ = ["CreateInstrumental", "CreateVocal", "Segment"]

Word = Annotated[str, NotEmpty(), Doc("predicted when omitted")]
Words = Annotated[Sequence[str], Items(1, 5), Doc("up to 5; for v1.0")]


def _create(kind: str) -> Endpoint:
    return Endpoint(path="/nuro/create", fixed={"type": kind}, typical=30.0)


@attrs.frozen(kw_only=True)
class CreateVocal(TaskRequest[Song]):
    """Write a song for a singer, in English or Chinese. Page: create vocal music (switched off)."""

    endpoint: ClassVar[Endpoint] = _create("vocal")
    cost: ClassVar[int] = prices.NURO_SONG

    lyrics: Annotated[str, NotEmpty(), MaxLength(2000), Doc("lyrics, at most 2000 characters")]
    gender: Literal["Female", "Male"] | None = None
    genre: Word | None = None
    mood: Word | None = None
    timbre: Word | None = None
    duration: Annotated[int, Between(30, 240), Doc("seconds, 30 to 240")] | None = None


@attrs.frozen(kw_only=True)
class Segment:
    """One section of an instrumental: what it is, and how many seconds it lasts (5 to 120)."""

    name: Literal["intro", "verse", "chorus", "inst", "bridge", "outro"]
    duration: Annotated[int, Between(5, 120), Doc("seconds, 5 to 120")]

    def __attrs_post_init__(self) -> None:
        check("nuro.segment", field_specs(Segment), self)


def _words(words: Sequence[str] | None) -> Sequence[str] | None:
    return words if words is None else listed(words)


def _segments(segments: Sequence[Segment] | None) -> Sequence[Segment] | None:
    return tuple(segments) if isinstance(segments, list) else segments


@attrs.frozen(kw_only=True)
class CreateInstrumental(TaskRequest[Song]):
    """Write background music. Page: create instrumental music (switched off).

    `version` v1.0 (the default) takes lists of words and up to 60 seconds; v2.0 takes `segments`, or 30 to 120 seconds.
    """

    endpoint: ClassVar[Endpoint] = _create("bgm")
    cost: ClassVar[int] = prices.NURO_SONG

    description: Annotated[str, NotEmpty(), Doc("what it is for; below 200 characters for v2.0")]
    version: Literal["v1.0", "v2.0"] | None = None
    genre: Words | None = attrs.field(default=None, converter=_words)
    mood: Words | None = attrs.field(default=None, converter=_words)
    instrument: Words | None = attrs.field(default=None, converter=_words)
    theme: Words | None = attrs.field(default=None, converter=_words)
    duration: Annotated[int, Doc("seconds: 1 to 60 for v1.0, 30 to 120 for v2.0")] | None = None
    segments: Annotated[Sequence[Segment], Items(1, 24), Doc("sections, 30 to 120 seconds in all; for v2.0")] | None = (
        attrs.field(default=None, converter=_segments)
    )

    def check_together(self) -> None:
        """Apply the rules of the version."""
        if self.version != "v2.0":
            self._check_duration(1, 60)
            self._refuse_given("v1.0", "segments")
            return
        if rule := MaxLength(199).broken(self.description):
            raise InvalidRequest("description", f"{rule} (limit of v2.0)", self.description, operation=self.operation)
        self._refuse_given("v2.0", "genre", "mood", "instrument", "theme")
        self._check_duration(30, 120)
        if self.segments is None:
            return
        total = sum(segment.duration for segment in self.segments)
        if not 30 <= total <= 120:
            limit = f"must last 30 to 120 seconds together, not {total}"
            raise InvalidRequest("segments", limit, self.segments, operation=self.operation)
        if self.duration is not None and self.duration != total:
            limit = f"must be omitted, or be the segments' sum ({total})"
            raise InvalidRequest("duration", limit, self.duration, operation=self.operation)

    def _refuse_given(self, version: str, *names: str) -> None:
        for name in names:
            if (value := getattr(self, name)) is not None:
                raise InvalidRequest(name, f"is not used by version {version}", value, operation=self.operation)

    def _check_duration(self, least: int, most: int) -> None:
        if self.duration is not None and (rule := Between(least, most).broken(self.duration)):
            raise InvalidRequest("duration", rule, self.duration, operation=self.operation)
