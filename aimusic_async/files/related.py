"""What the files of one clip know of each other: the title of its song, and when its words are sung. Pure."""

from __future__ import annotations

import itertools
from typing import Any, Protocol, TypeVar

import attrs

from ..api.results import Clip, LyricsTimeline

_TITLES_KEPT = 10_000


class Thing(Protocol):
    """A clip or a file of one; in practice one of `download`'s, an attrs class with `song` and `timeline`, too."""

    @property
    def what(self) -> object: ...  # noqa: D102 - as there
    @property
    def clip_id(self) -> str: ...  # noqa: D102 - as there


T = TypeVar("T", bound=Thing)


def join(things: list[T], titles: dict[str, str]) -> list[T]:
    """Give each thing what others know of its clip; `titles` are those of earlier calls, and are added to.

    A timeline that does not say whose it is belongs to the clip that is saved with it, if that is the only one.
    """
    clips = [thing for thing in things if isinstance(thing.what, Clip)]
    for clip in clips:
        assert isinstance(clip.what, Clip)
        if clip.what.title:
            titles.pop(clip.clip_id, None)
            titles[clip.clip_id] = clip.what.title
    for oldest in tuple(itertools.islice(titles, max(len(titles) - _TITLES_KEPT, 0))):
        del titles[oldest]
    timelines: dict[str, Any] = {one.clip_id: one.what for one in things if isinstance(one.what, LyricsTimeline)}
    lone = clips[0].clip_id if len(clips) == 1 else ""
    joined: list[T] = []
    for thing in things:
        changed: Any = thing
        if isinstance(thing.what, Clip):
            spare = next(iter(timelines.values()), None) if len(timelines) == 1 and lone else None
            changed = attrs.evolve(changed, timeline=timelines.get(thing.clip_id, spare))
        else:
            whose = lone if isinstance(thing.what, LyricsTimeline) and thing.clip_id not in titles else thing.clip_id
            changed = attrs.evolve(changed, song=titles.get(whose, ""))
        joined.append(changed)
    return joined
