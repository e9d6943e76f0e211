"""The operations of the producer platform: one song a request, in about half a minute."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import attrs

from ..errors import InvalidRequest
from . import prices
from .fields import ClipId, SourceUrl, TaskRequest, Title, Weight, check_range
from .limits import Between, Doc, NotEmpty, WebUrl
from .request import Endpoint
from .results import Song

__all__ = ["CreateMusic", "Download", "Upload"]

Strength = Annotated[float, Between(0.2, 1), Doc("0.2 (free) to 1 (close)")]
Second = Annotated[float, Between(0), Doc("seconds from the start of the parent clip")]


@attrs.frozen(kw_only=True)
class CreateMusic(TaskRequest[Song]):
    """Write a song from a style, from lyrics, or from both. Page: producer create music.

    The `task_type`s that edit a clip (`clip_id`) were described in 2025; the service answers them with
    `EndpointRetired` now.
    """

    endpoint: ClassVar[Endpoint] = Endpoint(path="/producer/create", fixed={"task_type": "create_music"}, typical=30.0)
    cost: ClassVar[int] = prices.PRODUCER_SONG

    sound: Annotated[str, NotEmpty(), Doc("style in words")] | None = None
    lyrics: Annotated[str, NotEmpty(), Doc("lyrics with [Verse], [Chorus], …")] | None = None
    mv: Annotated[str, NotEmpty(), Doc("model, such as FUZZ-2.0 (the default) or FUZZ-2.0 Pro")] | None = None
    title: Title | None = None
    make_instrumental: bool | None = None
    seed: Annotated[str, NotEmpty(), Doc("digits; the same seed repeats a song")] | None = None
    cover_url: Annotated[str, WebUrl(), Doc("cover picture of your own")] | None = None
    lyrics_strength: Weight | None = None
    sound_strength: Strength | None = None
    weirdness: Weight | None = None
    task_type: (
        Literal[
            "create_music",
            "extend_music",
            "cover_music",
            "replace_music",
            "swap_music_vocals",
            "swap_music_sound",
            "music_variation",
        ]
        | None
    ) = None
    clip_id: ClipId | None = None
    starts_at: Second | None = None
    ends_at: Second | None = None
    cover_strength: Strength | None = None

    def check_together(self) -> None:
        """Check that there is something to sing or play, and that edits have a parent."""
        if self.sound is None and self.lyrics is None:
            raise InvalidRequest("sound", "or lyrics is required", None, operation=self.operation)
        if self.seed is not None and not (self.seed.isascii() and self.seed.isdigit()):
            raise InvalidRequest("seed", "must be a string of digits", self.seed, operation=self.operation)
        if self.task_type not in (None, "create_music") and self.clip_id is None:
            raise InvalidRequest("clip_id", f"is required for {self.task_type}", None, operation=self.operation)
        check_range(self, "starts_at", "ends_at")


@attrs.frozen(kw_only=True)
class Upload(TaskRequest[Song]):
    """Bring in a file of your own. Page: producer upload (marked unavailable: it may refuse)."""

    endpoint: ClassVar[Endpoint] = Endpoint(path="/producer/upload", typical=15.0)
    cost: ClassVar[int] = prices.PRODUCER_FILE

    audio_url: SourceUrl


@attrs.frozen(kw_only=True)
class Download(TaskRequest[Song]):
    """Get a clip as MP3 or WAV. Page: producer download (marked unavailable: it may refuse)."""

    endpoint: ClassVar[Endpoint] = Endpoint(path="/producer/download", typical=10.0)
    cost: ClassVar[int] = prices.PRODUCER_FILE

    clip_id: ClipId
    format: Literal["mp3", "wav"]
