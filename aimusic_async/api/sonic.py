"""The operations of the sonic platform, one class each; field names are the service's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, TypeAlias

import attrs

from ..errors import InvalidRequest
from . import prices
from .fields import (
    Cdn,
    ClipId,
    ContinueAt,
    End,
    Generation,
    Mv,
    Overpainting,
    Prompt,
    SourceUrl,
    Start,
    Styled,
    TaskRequest,
    TimedGeneration,
    Title,
    check_range,
)
from .limits import Above, Doc, HookUrl, Items, MaxLength, NotEmpty, listed
from .request import Answer, Endpoint, Request
from .results import (
    Bpm,
    ClipFiles,
    LyricsTimeline,
    Midi,
    Persona,
    Song,
    Stems,
    TagSuggestion,
    UploadedClip,
    Voice,
    Vox,
    Wav,
)

__all__ = [
    "AddInstrumental",
    "AddVocals",
    "ConcatMusic",
    "CoverMusic",
    "CoverUploadMusic",
    "CreateMusic",
    "CreatePersona",
    "CreateVoice",
    "Download",
    "ExtendMusic",
    "ExtendUploadMusic",
    "GetBpm",
    "GetLyricsTimeline",
    "GetMidi",
    "GetVox",
    "GetWav",
    "Mashup",
    "PersonaMusic",
    "Remaster",
    "ReplaceSection",
    "Sample",
    "StemsBasic",
    "StemsFull",
    "UploadCover",
    "UploadExtend",
    "UploadMusic",
    "UpsampleTags",
]


def _task(path: str, *, typical: float = 75.0, reply_within: float = 60.0) -> Endpoint:
    return Endpoint(path=path, typical=typical, reply_within=reply_within)


def _create(task_type: str) -> Endpoint:
    # The service has required the second since mid 2026, and took it before.
    return Endpoint(path="/sonic/create", fixed={"task_type": task_type, "use_suno_cdn": False}, typical=75.0)


def _call(path: str, answer: Answer = Answer.NOW) -> Endpoint:
    return Endpoint(path=path, answer=answer)


# --- songs -------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class CreateMusic(TimedGeneration):
    """Write a new song: two clips, from your lyrics, from a description, or instrumental. Page: create music."""

    endpoint: ClassVar[Endpoint] = _create("create_music")
    cost: ClassVar[int] = prices.SONG


@attrs.frozen(kw_only=True)
class ExtendMusic(TimedGeneration):
    """Go on from a point of a clip; the result holds only the new part (join with `ConcatMusic`). Page: extend music.

    For clips that were uploaded use `ExtendUploadMusic`; the newest page has this one for them, too.
    """

    endpoint: ClassVar[Endpoint] = _create("extend_music")
    cost: ClassVar[int] = prices.SONG

    continue_clip_id: ClipId
    continue_at: ContinueAt | None = None


@attrs.frozen(kw_only=True)
class CoverMusic(TimedGeneration):
    """Sing a clip again in another style; `tags` alone are enough. Page: cover music.

    For clips that were uploaded use `CoverUploadMusic`; the newest page has this one for them, too.
    """

    endpoint: ClassVar[Endpoint] = _create("cover_music")
    cost: ClassVar[int] = prices.SONG
    style_is_enough: ClassVar[bool] = True

    continue_clip_id: ClipId


@attrs.frozen(kw_only=True)
class ConcatMusic(TaskRequest[Song]):
    """Join an extension with the song it extends: one clip. Page: concat music."""

    endpoint: ClassVar[Endpoint] = _create("concat_music")
    cost: ClassVar[int] = prices.CONCAT

    continue_clip_id: ClipId
    use_suno_cdn: Cdn | None = None


@attrs.frozen(kw_only=True)
class PersonaMusic(TimedGeneration):
    """Write a song for a persona's voice (`CreatePersona`, `CreateVoice`). Page: persona music."""

    endpoint: ClassVar[Endpoint] = _create("persona_music")
    cost: ClassVar[int] = prices.SONG

    persona_id: Annotated[str, NotEmpty(), Doc("id of a persona or voice")]


@attrs.frozen(kw_only=True)
class ExtendUploadMusic(TimedGeneration):
    """Go on from a point of an uploaded clip; `continue_at=0.1` is the service's advice. Page: special scenarios."""

    endpoint: ClassVar[Endpoint] = _create("extend_upload_music")
    cost: ClassVar[int] = prices.SONG

    continue_clip_id: ClipId
    continue_at: ContinueAt | None = None


@attrs.frozen(kw_only=True)
class CoverUploadMusic(TimedGeneration):
    """Sing an uploaded clip again in another style; `tags` alone are enough. Page: special scenarios."""

    endpoint: ClassVar[Endpoint] = _create("cover_upload_music")
    cost: ClassVar[int] = prices.SONG
    style_is_enough: ClassVar[bool] = True

    continue_clip_id: ClipId


@attrs.frozen(kw_only=True)
class Remaster(TaskRequest[Song]):
    """Render a clip again, cleaner or freer. Page: remaster."""

    endpoint: ClassVar[Endpoint] = _create("remaster")
    cost: ClassVar[int] = prices.EDIT

    continue_clip_id: ClipId
    mv: Mv
    variation_category: Literal["subtle", "normal", "high"] | None = None
    use_suno_cdn: Cdn | None = None


@attrs.frozen(kw_only=True)
class AddVocals(Overpainting):
    """Sing over an uploaded clip, younger than 24 hours. Page: add vocal."""

    endpoint: ClassVar[Endpoint] = _create("add_vocals")
    cost: ClassVar[int] = prices.EDIT

    prompt: Annotated[Prompt, NotEmpty()]


@attrs.frozen(kw_only=True)
class AddInstrumental(Overpainting):
    """Play under an uploaded voice, younger than 24 hours. Page: add instrumental."""

    endpoint: ClassVar[Endpoint] = _create("add_instrumental")
    cost: ClassVar[int] = prices.EDIT

    prompt: Prompt | None = None


@attrs.frozen(kw_only=True)
class UploadExtend(TimedGeneration):
    """Upload a file and extend it in one request, which takes up to a minute to answer. Page: upload and extend."""

    endpoint: ClassVar[Endpoint] = _task("/sonic/upload-extend", reply_within=150.0)
    cost: ClassVar[int] = prices.UPLOAD_AND_SONG

    url: SourceUrl
    continue_at: Annotated[float, Above(0), Doc("seconds into the file; 0.1 is the service's advice")]
    auto_concat: Annotated[bool, Doc("join with the source: see Song.full")] | None = None


@attrs.frozen(kw_only=True)
class UploadCover(TimedGeneration):
    """Upload a file and cover it in one request, which takes up to a minute to answer. Page: upload and cover."""

    endpoint: ClassVar[Endpoint] = _task("/sonic/upload-cover", reply_within=150.0)
    cost: ClassVar[int] = prices.UPLOAD_AND_SONG

    url: SourceUrl


@attrs.frozen(kw_only=True)
class Sample(Generation):
    """Make a whole song out of a short piece of another (or of a hum). Page: sample."""

    endpoint: ClassVar[Endpoint] = _task("/sonic/sample")
    cost: ClassVar[int] = prices.EDIT

    url: SourceUrl | None = None
    sample_clip_id: ClipId | None = None
    chop_sample_start_s: Start
    chop_sample_end_s: End

    def check_together(self) -> None:
        """Check that there is one source, and a range."""
        if (self.url is None) == (self.sample_clip_id is None):
            limit = "or url is required: one of the two, not both"
            raise InvalidRequest("sample_clip_id", limit, self.sample_clip_id, operation=self.operation)
        check_range(self, "chop_sample_start_s", "chop_sample_end_s")
        Generation.check_together(self)


@attrs.frozen(kw_only=True)
class Mashup(Generation):
    """Mix exactly two clips into a new song. Page: mashup."""

    endpoint: ClassVar[Endpoint] = _task("/sonic/mashup")
    cost: ClassVar[int] = prices.EDIT

    mashup_clip_ids: Annotated[Sequence[ClipId], Items(2, 2)] = attrs.field(converter=listed)


@attrs.frozen(kw_only=True)
class ReplaceSection(Styled[Song]):
    """Sing a section of a song again. Page: replace section."""

    endpoint: ClassVar[Endpoint] = _task("/sonic/replace-section")
    cost: ClassVar[int] = prices.EDIT

    clip_id: ClipId
    infill_start_s: Start
    infill_end_s: End
    infill_lyrics: Annotated[str, NotEmpty(), Doc("new words of the section; overlap the old ones a little")]
    prompt: Annotated[Prompt, NotEmpty()]
    auto_concat: Annotated[bool, Doc("give the whole song too: see Song.full")] | None = None

    def check_together(self) -> None:
        """Check the range, then the model's limits."""
        check_range(self, "infill_start_s", "infill_end_s")
        Styled.check_together(self)


# --- parts of a song -----------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class StemsBasic(TaskRequest[Stems]):
    """Split a clip into vocals and instruments. Page: stems basic."""

    endpoint: ClassVar[Endpoint] = _task("/sonic/stems/basic", typical=45.0)
    cost: ClassVar[int] = prices.STEMS_BASIC

    clip_id: ClipId


@attrs.frozen(kw_only=True)
class StemsFull(TaskRequest[Stems]):
    """Split a clip into its parts, usually twelve. Page: stems full."""

    endpoint: ClassVar[Endpoint] = _task("/sonic/stems/full", typical=45.0)
    cost: ClassVar[int] = prices.STEMS_FULL

    clip_id: ClipId


@attrs.frozen(kw_only=True)
class GetBpm(Request[Bpm]):
    """Measure a clip's tempo. Page: get BPM."""

    endpoint: ClassVar[Endpoint] = _call("/sonic/bpm")
    cost: ClassVar[int] = prices.BPM

    clip_id: ClipId


@attrs.frozen(kw_only=True)
class GetVox(Request[Vox]):
    """Take the voice out of a clip, over a range of at most 30 seconds. Page: get VOX."""

    endpoint: ClassVar[Endpoint] = _call("/sonic/vox")
    cost: ClassVar[int] = prices.VOX

    clip_id: ClipId
    vocal_start_s: Start | None = None
    vocal_end_s: End | None = None

    def check_together(self) -> None:
        """Check the range."""
        check_range(self, "vocal_start_s", "vocal_end_s", most=30)


@attrs.frozen(kw_only=True)
class GetWav(Request[Wav]):
    """Get a clip as WAV. Page: get wav."""

    endpoint: ClassVar[Endpoint] = _call("/sonic/wav", Answer.REPEAT)
    cost: ClassVar[int] = prices.WAV

    clip_id: ClipId


_FileFormat: TypeAlias = Literal["mp3", "m4a", "wav"]


def _formats(formats: Sequence[_FileFormat]) -> Sequence[_FileFormat]:
    return tuple(formats) if isinstance(formats, list) else formats  # as `listed` does, which would lose the words


@attrs.frozen(kw_only=True)
class Download(Request[ClipFiles]):
    """Get a clip in one or several formats, for the same price; a clip that is too old is `NotFound`. Page: download.

    What the service still prepares is asked for again until it is ready, which is free.
    """

    endpoint: ClassVar[Endpoint] = _call("/sonic/download", Answer.REPEAT)
    cost: ClassVar[int] = prices.DOWNLOAD

    clip_id: ClipId
    formats: Annotated[Sequence[_FileFormat], Items(1, 3), Doc("file formats: mp3, m4a, wav")] = attrs.field(
        converter=_formats
    )


@attrs.frozen(kw_only=True)
class GetMidi(Request[Midi]):
    """Get the notes of a clip or stem. Page: get midi."""

    endpoint: ClassVar[Endpoint] = _call("/sonic/midi", Answer.REPEAT)
    cost: ClassVar[int] = prices.MIDI

    clip_id: ClipId


@attrs.frozen(kw_only=True)
class GetLyricsTimeline(Request[LyricsTimeline]):
    """Return when each word is sung; only the first time for a clip costs a credit. Page: lyrics timeline."""

    endpoint: ClassVar[Endpoint] = _call("/sonic/aligned-lyrics", Answer.REPEAT)
    cost: ClassVar[int] = prices.TIMELINE

    clip_id: ClipId


# --- helpers ---------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class UpsampleTags(Request[TagSuggestion]):
    """Turn a few style words into many. Page: upsample tags."""

    endpoint: ClassVar[Endpoint] = _call("/sonic/upsample-tags")
    cost: ClassVar[int] = prices.TAGS

    tags: Annotated[str, NotEmpty(), Doc("style words, comma separated")]


@attrs.frozen(kw_only=True)
class UploadMusic(Request[UploadedClip]):
    """Bring in a file of your own, which takes about 20 seconds. Page: upload music.

    With `callback_url` the service answers with a task at once, and calls that address when it is done.
    """

    endpoint: ClassVar[Endpoint] = Endpoint(
        path="/sonic/upload", answer=Answer.NOW, may_be_task=True, reply_within=120.0, typical=20.0
    )
    cost: ClassVar[int] = prices.UPLOAD

    url: SourceUrl
    callback_url: Annotated[str, HookUrl(), Doc("https address to call when done")] | None = None

    @property
    def answer(self) -> Answer:
        """A task with `callback_url`, else the answer itself."""
        return Answer.NOW if self.callback_url is None else Answer.TASK


@attrs.frozen(kw_only=True)
class CreatePersona(Request[Persona]):
    """Keep the voice of a clip for `PersonaMusic`. Page: create persona (marked unavailable: it may refuse)."""

    endpoint: ClassVar[Endpoint] = _call("/sonic/persona")
    cost: ClassVar[int] = prices.PERSONA

    name: Annotated[str, NotEmpty(), MaxLength(79), Doc("shorter than 80 characters")]
    clip_id: ClipId
    describe: Annotated[str, Doc("what the voice is like")] | None = None
    styles: Annotated[str, Doc("style words")] | None = None
    vox_audio_id: Annotated[str, Doc("from GetVox, with the same range")] | None = None
    vocal_start_s: Start | None = None
    vocal_end_s: End | None = None

    def check_together(self) -> None:
        """Check the range."""
        check_range(self, "vocal_start_s", "vocal_end_s")


@attrs.frozen(kw_only=True)
class CreateVoice(TaskRequest[Voice]):
    """Learn a voice from a recording of more than 10 seconds. Page: create voice."""

    endpoint: ClassVar[Endpoint] = _task("/sonic/create-voice", typical=40.0)
    cost: ClassVar[int] = prices.VOICE

    audio_url: SourceUrl
    name: Title | None = None
