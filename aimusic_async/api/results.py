"""What the operations give back: seconds are floats, times are aware datetimes, what is absent is None.

Every result keeps the service's own answer in `raw`, unknown fields included.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

Raw = Mapping[str, Any]

_SUCCEEDED = frozenset({"succeeded", "success", "complete", "completed", "done", "finished"})
_FAILED = frozenset({"failed", "fail", "failure", "error", "cancelled", "canceled", "rejected", "timeout"})


def settled(state: Any) -> bool | None:
    """Say what a word for a state means: True is a success, False a failure; any other word means that it still runs.

    The platforms spell the two in many ways; case and blanks around a word do not count.
    """
    word = state.strip().lower() if isinstance(state, str) else ""
    if word in _SUCCEEDED:
        return True
    return False if word in _FAILED or word.endswith("_failed") else None


def _raw() -> Any:
    return attrs.field(factory=dict, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Clip:
    """One piece of audio. `clip_id` is the handle for everything that follows.

    Trust `state`, not the address: a running clip may already have an `audio_url` that only streams.
    """

    clip_id: str
    state: str = "succeeded"
    title: str | None = None
    tags: str | None = None
    lyrics: str | None = None
    audio_url: str | None = None
    image_url: str | None = None
    video_url: str | None = None
    wav_url: str | None = None
    duration: float | None = None
    """Seconds."""
    created_at: datetime | None = None
    mv: str | None = None
    gpt_description_prompt: str | None = None
    negative_tags: str | None = None
    style_weight: float | None = None
    weirdness_constraint: float | None = None
    error_message: str | None = None
    stem_type: str | None = None
    raw: Raw = _raw()

    @property
    def succeeded(self) -> bool:
        """Whether the final audio is there."""
        return settled(self.state) is True

    @property
    def failed(self) -> bool:
        """Whether it will never be there."""
        return settled(self.state) is False


@attrs.frozen(kw_only=True)
class Clips:
    """Base of the results that are a list of clips; all of them are final."""

    task_id: str
    clips: tuple[Clip, ...]
    """The clips that succeeded, in the service's order."""
    failed: tuple[Clip, ...] = ()
    """The clips that failed while others succeeded; `error_message` may say why."""
    raw: Raw = _raw()


@attrs.frozen(kw_only=True)
class Song(Clips):
    """A finished song, usually as two clips to choose from."""

    full: tuple[Clip, ...] = ()
    """With `auto_concat`: the joined songs, in the order of `clips`, which hold the new parts."""


@attrs.frozen(kw_only=True)
class Stems(Clips):
    """The parts of a song, one clip each."""

    @property
    def parts(self) -> dict[str, Clip]:
        """The clips by the name of their part, such as `Vocals`; it comes from `stem_type` or the end of the title."""
        named: dict[str, Clip] = {}
        for clip in self.clips:
            name = clip.stem_type or (clip.title or "").rpartition(" - ")[2] or clip.clip_id
            named[name if name not in named else f"{name} ({clip.clip_id})"] = clip
        return named


@attrs.frozen(kw_only=True)
class Bpm:
    """A clip's tempo, in beats per minute."""

    avg_bpm: float
    max_bpm: float | None = None
    min_bpm: float | None = None
    raw: Raw = _raw()


@attrs.frozen(kw_only=True)
class Vox:
    """A voice taken out of a clip; times in seconds."""

    vox_audio_id: str
    status: str | None = None
    source_clip_id: str | None = None
    vocal_start_s: float | None = None
    vocal_end_s: float | None = None
    raw: Raw = _raw()


@attrs.frozen(kw_only=True)
class Wav:
    """Where a clip's WAV file is."""

    wav_url: str
    raw: Raw = _raw()


@attrs.frozen(kw_only=True)
class ClipFile:
    """One file of a clip: its format, such as `wav`, and its address."""

    format: str
    url: str


@attrs.frozen(kw_only=True)
class ClipFiles:
    """Where a clip's files are, one for each format that was asked for."""

    files: tuple[ClipFile, ...] = ()
    wav_url: str | None = None
    """The WAV file's address, if there is one."""
    raw: Raw = _raw()

    def __attrs_post_init__(self) -> None:
        # Some answers list the files, some name a WAV file alone.
        files = self.files or ((ClipFile(format="wav", url=self.wav_url),) if self.wav_url else ())
        wav = self.wav_url or next((one.url for one in files if one.format == "wav"), None)
        object.__setattr__(self, "files", files)
        object.__setattr__(self, "wav_url", wav)

    @property
    def ready(self) -> bool:
        """Whether every file has an address."""
        return bool(self.files) and all(one.url.startswith(("https://", "http://")) for one in self.files)

    def url(self, format: str) -> str | None:  # noqa: A002 - the service's own word
        """Return the address of the file of a format, None when there is none."""
        return next((one.url for one in self.files if one.format == format), None)


@attrs.frozen(kw_only=True)
class MidiNote:
    """One note: `pitch` 0 to 127, `start` and `end` in seconds, `velocity` 0 to 1."""

    pitch: int
    start: float
    end: float
    velocity: float | None = None


@attrs.frozen(kw_only=True)
class MidiInstrument:
    """One instrument and what it plays."""

    name: str | None = None
    notes: tuple[MidiNote, ...] = ()


@attrs.frozen(kw_only=True)
class Midi:
    """A clip's notes, and where they are as a MIDI file."""

    midi_url: str
    instruments: tuple[MidiInstrument, ...] = ()
    raw: Raw = _raw()

    def __attrs_post_init__(self) -> None:
        # Until the file is there, the field is missing or holds a sentence about it.
        if not self.midi_url.startswith(("https://", "http://")):
            raise ValueError(self.midi_url)


@attrs.frozen(kw_only=True)
class AlignedWord:
    """One word as it is sung; `word` keeps section tags, line breaks and spaces. Times in seconds."""

    word: str
    start_s: float
    end_s: float
    p_align: float | None = None
    success: bool | None = None


@attrs.frozen(kw_only=True)
class LyricsTimeline:
    """When each word of a clip is sung; empty when nothing is."""

    alignment: tuple[AlignedWord, ...]
    raw: Raw = _raw()


WITH_FILES = (Clips, ClipFiles, Wav, Midi, LyricsTimeline)
"""Results of which something can be saved as a file."""


@attrs.frozen(kw_only=True)
class TagSuggestion:
    """A richer description of a style."""

    upsampled_tags: str
    raw: Raw = _raw()


@attrs.frozen(kw_only=True)
class LyricsText:
    """One proposal: a title and the words to sing."""

    lyrics: str
    title: str | None = None


@attrs.frozen(kw_only=True)
class Lyrics:
    """Written lyrics, to choose from."""

    results: tuple[LyricsText, ...]
    raw: Raw = _raw()


@attrs.frozen(kw_only=True)
class UploadedClip:
    """A file of yours as a clip of the service."""

    clip_id: str
    raw: Raw = _raw()


@attrs.frozen(kw_only=True)
class Persona:
    """A kept voice, for `sonic.PersonaMusic`."""

    persona_id: str
    raw: Raw = _raw()


@attrs.frozen(kw_only=True)
class Voice:
    """A learned voice, for `sonic.PersonaMusic`."""

    persona_id: str
    name: str | None = None
    raw: Raw = _raw()


@attrs.frozen(kw_only=True)
class Credits:
    """What the account has left. Extra credits are spent first; an operation needs the sum."""

    credits: int
    """Of the subscription; reset every month."""
    extra_credits: int = 0
    """Bought; they stay."""
    raw: Raw = _raw()

    @property
    def total(self) -> int:
        """Both pots together."""
        return self.credits + self.extra_credits
