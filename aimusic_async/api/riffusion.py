"""The operations of the riffusion platform, two songs a request. Deprecated by the service; they may refuse.

An edit of a clip that you uploaded needs the `task_type` with `upload` in its name.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import attrs

from . import prices
from .fields import ClipId, SourceUrl, check_range
from .limits import Above, Between, Doc, NotEmpty
from .request import Answer, Endpoint, Request
from .results import Song, UploadedClip

__all__ = [
    "Cover",
    "CreateWithDescription",
    "CreateWithLyrics",
    "Extend",
    "ReplaceSection",
    "SwapSound",
    "SwapVocals",
    "Upload",
]

Lyrics = Annotated[str, NotEmpty(), Doc("lyrics with [Verse], [Chorus], …")]
Sound = Annotated[str, NotEmpty(), Doc("style, or what to change")]


def _create(task_type: str) -> Endpoint:
    return Endpoint(path="/riffusion/create", fixed={"task_type": task_type}, typical=60.0, clips=2)


@attrs.frozen(kw_only=True)
class _Creation(Request[Song]):
    """Fields of every riffusion creation."""

    endpoint: ClassVar[Endpoint] = _create("create_music")
    cost: ClassVar[int] = prices.RIFFUSION_SONG
    custom: ClassVar[bool] = True

    mv: Annotated[str, NotEmpty(), Doc("FUZZ-1.1 Pro, FUZZ-1.1, FUZZ-1.0 Pro or FUZZ-1.0")]
    title: Annotated[str, Doc("title")] | None = None

    def derived(self) -> dict[str, object]:
        """See `Request.derived`."""
        return {"custom_mode": self.custom}


@attrs.frozen(kw_only=True)
class CreateWithLyrics(_Creation):
    """Write a song from lyrics. Page: riffusion create with lyrics (deprecated)."""

    lyrics: Lyrics | None = None
    sound: Sound | None = None
    make_instrumental: bool = False

    def derived(self) -> dict[str, object]:
        """See `Request.derived`; the service wants `make_instrumental` said."""
        return {**_Creation.derived(self), "make_instrumental": self.make_instrumental}


@attrs.frozen(kw_only=True)
class CreateWithDescription(_Creation):
    """Write a song from a description. Page: riffusion create with description (deprecated)."""

    custom: ClassVar[bool] = False

    prompt: Annotated[str, NotEmpty(), Doc("what the song is about")]


@attrs.frozen(kw_only=True)
class _Edit(_Creation):
    """Fields of every edit of a clip."""

    continue_clip_id: ClipId
    lyrics: Lyrics
    sound: Sound


@attrs.frozen(kw_only=True)
class Cover(_Edit):
    """Sing a clip again in another style. Page: riffusion cover (deprecated)."""

    endpoint: ClassVar[Endpoint] = _create("cover_music")

    task_type: Literal["cover_music", "cover_upload_music"] | None = None


@attrs.frozen(kw_only=True)
class Extend(_Edit):
    """Go on from a point of a clip. Page: riffusion extend (deprecated)."""

    endpoint: ClassVar[Endpoint] = _create("extend_music")

    continue_at: Annotated[int, Above(0), Doc("whole seconds into the clip")]
    task_type: Literal["extend_music", "extend_upload_music"] | None = None


@attrs.frozen(kw_only=True)
class ReplaceSection(_Edit):
    """Sing a section again. Page: riffusion replace section (deprecated); the bounds' names are taken from its time."""

    endpoint: ClassVar[Endpoint] = _create("replace_music")

    starts: Annotated[float, Between(0), Doc("seconds from the start of the clip")]
    ends: Annotated[float, Above(0), Doc("seconds from the start of the clip")]
    task_type: Literal["replace_music", "replace_upload_music"] | None = None

    def check_together(self) -> None:
        """Check the range."""
        check_range(self, "starts", "ends")


@attrs.frozen(kw_only=True)
class SwapSound(_Edit):
    """Keep the voice, replace the backing; `sound` describes the new one. Page: riffusion swap sound (deprecated)."""

    endpoint: ClassVar[Endpoint] = _create("swap_music_sound")

    task_type: Literal["swap_music_sound", "swap_upload_music_sound"] | None = None


@attrs.frozen(kw_only=True)
class SwapVocals(_Edit):
    """Keep the backing, replace the voice; `sound` describes the new one. Page: riffusion swap vocals (deprecated)."""

    endpoint: ClassVar[Endpoint] = _create("swap_music_vocals")

    task_type: Literal["swap_music_vocals", "swap_upload_music_vocals"] | None = None


@attrs.frozen(kw_only=True)
class Upload(Request[UploadedClip]):
    """Bring in a file of your own. Page: riffusion upload (deprecated); its price is not documented."""

    endpoint: ClassVar[Endpoint] = Endpoint(path="/riffusion/upload", answer=Answer.NOW, reply_within=120.0)
    cost: ClassVar[int] = prices.RIFFUSION_UPLOAD

    url: SourceUrl
