"""Clips and tasks, and what has become of them at a given time. Pure: nothing here ticks or waits."""

from collections.abc import Mapping
from typing import Any, Literal

from attrs import field, frozen

from aimusic_async.sandbox.audio import Audio
from aimusic_async.sandbox.formats import song_suffix

State = Literal["pending", "running", "succeeded", "failed"]
Family = Literal["sonic", "producer", "riffusion", "nuro"]

FULL_IS_JOINED_FROM = 0.8
"""Where a part and the whole song are made, the share of the whole's time at which the part is ready."""


@frozen(kw_only=True)
class Score:
    """What a tune is composed from; equal scores are equal tunes."""

    seed: int
    title: str = ""
    tags: str = ""
    lyrics: str = ""
    seconds: float = 30.0
    instrumental: bool = False
    mix: tuple[int, float] | None = None
    """For another mix of the same tune: its seed, and by how many decibels a part may be louder or softer."""


@frozen(kw_only=True)
class Clip:
    """One song, stem or uploaded recording, and when it gets ready."""

    id: str
    key: str
    family: Family
    operation: str
    score: Score
    title: str
    tags: str
    lyrics: str
    mv: str
    seconds: float | None
    accepted_at: float
    shown_at: float
    settles_at: float
    fails: bool = False
    parts: tuple[str, ...] | None = None
    """The parts that sound in it; None: all."""
    stem_type: str | None = None
    extends: tuple[str, float] | None = None
    """For a song's continuation: the song's clip, and the second at which it goes on."""
    audio: Audio | None = field(default=None, repr=False)
    """For an uploaded clip: the recording."""
    fields: Mapping[str, Any] = {}
    """What else its answers show."""

    @property
    def files(self) -> tuple[str, ...]:
        """The kinds of file that it has without being asked for."""
        audio = self.audio.suffix if self.audio is not None else "wav" if self.family == "nuro" else song_suffix()
        return (audio, "jpeg")

    @property
    def uploaded(self) -> bool:
        """Whether it is a recording that was uploaded."""
        return self.audio is not None

    def state(self, now: float) -> State:
        """What has become of it at `now`."""
        if now < self.shown_at:
            return "pending"
        if now < self.settles_at:
            return "running"
        return "failed" if self.fails else "succeeded"


@frozen(kw_only=True)
class Pair:
    """A part of a song, and the whole song with that part in it."""

    part: Clip
    full: Clip


@frozen(kw_only=True)
class Task:
    """Accepted work. What it shows at a time follows from the clips' times."""

    id: str
    key: str
    family: Family
    operation: str
    accepted_at: float
    shown_at: float
    ends_at: float
    failed: bool = False
    """Whether all of it fails in the end, and the price is given back."""
    timed_out: bool = False
    clips: tuple[Clip, ...] = ()
    pairs: tuple[Pair, ...] = ()
    part_name: str = ""
    """What answers call the part in a pair."""
    result: Mapping[str, Any] | None = None
    """What the finished task shows where it makes no clips: a voice, a downloaded file."""

    def ready(self, now: float) -> bool:
        """Whether there is anything to show."""
        return now >= self.shown_at

    def ended(self, now: float) -> bool:
        """Whether all of it has settled."""
        return now >= self.ends_at
