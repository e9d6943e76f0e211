"""A tune and how it is composed: everything follows from the seed, the tags, the lyrics and the length."""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

import attrs

from . import band, beats
from .form import Plan, draw
from .lyrics import only_tags, parse
from .score import PARTS, Note, Word, stream
from .singing import Song, back, sing
from .style import Style, choose

__all__ = ["PARTS", "Note", "Tune", "Word", "compose"]

_WRITERS: Mapping[str, Callable[[Plan], tuple[Note, ...]]] = {
    "Drums": beats.drums,
    "Bass": band.bass,
    "Guitar": band.guitar,
    "Keyboard": band.keyboard,
    "Percussion": beats.percussion,
    "Strings": band.strings,
    "Synth": band.synth,
    "FX": beats.effects,
    "Brass": band.brass,
    "Woodwinds": band.woodwinds,
}


@attrs.frozen
class Tune:
    """A composed song. Two tunes are equal if they were asked for in the same way; the notes follow from that.

    The notes are written when they are first needed, so that a tune nobody hears costs next to nothing.
    """

    seed: int
    title: str
    tags: str
    lyrics: str
    seconds: float
    instrumental: bool
    """Whether nobody sings: asked for, or the lyrics hold section tags only."""
    style: Style = attrs.field(eq=False, repr=False)

    @property
    def bpm(self) -> float:
        """The tempo that the tune is made with, in beats a minute."""
        return self.style.bpm

    @property
    def bpm_min(self) -> float:
        """The least tempo that an ear might report."""
        return round(self.style.bpm * 0.985, 1)

    @property
    def bpm_max(self) -> float:
        """The greatest tempo that an ear might report."""
        return round(self.style.bpm * 1.02, 1)

    @property
    def key(self) -> int:
        """The tonic's pitch class: 0 is C, 11 is B."""
        return self.style.key

    @property
    def scale(self) -> str:
        """The name of the scale: major, mixolydian, minor or dorian."""
        return self.style.scale

    @cached_property
    def plan(self) -> Plan:
        """The bars, sections and chords."""
        blocks = () if self.instrumental else parse(self.lyrics)
        return draw(self.seed, self.seconds, self.style, blocks, vocal=not self.instrumental)

    @cached_property
    def song(self) -> Song:
        """What the singer sings, with the syllable of each note."""
        return sing(self.plan)

    @property
    def words(self) -> tuple[Word, ...]:
        """The lyrics timeline. Joined, the texts are the lyrics; empty if nobody sings or there is nothing to sing."""
        return self.song.words

    @cached_property
    def parts(self) -> Mapping[str, tuple[Note, ...]]:
        """The notes of each of the twelve parts, in the order in which they sound; voices without a song are empty."""
        return _Parts(self)


class _Parts(Mapping[str, tuple[Note, ...]]):
    """Writes a part when it is first needed."""

    def __init__(self, tune: Tune) -> None:
        self._tune = tune
        self._written: dict[str, tuple[Note, ...]] = {}

    def __getitem__(self, part: str) -> tuple[Note, ...]:
        if part not in self._written:
            self._written[part] = self._write(part)
        return self._written[part]

    def _write(self, part: str) -> tuple[Note, ...]:
        if part == "Vocals":
            return self._tune.song.notes
        if part == "Backing Vocals":
            return back(self._tune.plan, self._tune.song)
        return _WRITERS[part](self._tune.plan)

    def __iter__(self) -> Iterator[str]:
        return iter(PARTS)

    def __len__(self) -> int:
        return len(PARTS)


def compose(
    seed: int,
    *,
    title: str = "",
    tags: str = "",
    lyrics: str = "",
    seconds: float = 30.0,
    instrumental: bool = False,
) -> Tune:
    """Compose a tune. The same arguments always give the same tune, another seed gives another.

    `tags` steer it: genres, moods, tempo ("slow", "120 bpm"), keys ("in A minor"), instruments, "female" or "male".
    Without lyrics the singer hums, unless `instrumental`. `seconds` is the exact length; ValueError if it is not
    between 0 and 3600.
    """
    if not (math.isfinite(seconds) and 0 < seconds <= 3600):
        raise ValueError(f"a tune lasts more than 0 and at most 3600 seconds, not {seconds}")
    return Tune(
        seed=seed,
        title=title,
        tags=tags,
        lyrics=lyrics,
        seconds=float(seconds),
        instrumental=instrumental or only_tags(lyrics),
        style=choose(tags, stream(seed, "style")),
    )
