"""Fields that several operations share: each is described, typed and limited here once."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeVar

import attrs

from ..errors import InvalidRequest
from .limits import Above, Between, Doc, HookUrl, MaxLength, NotEmpty, WebUrl
from .models import sonic_model
from .request import Request
from .results import Song

R = TypeVar("R", covariant=True)

ClipId = Annotated[str, NotEmpty(), Doc("id of a clip made through this service")]
Mv = Annotated[str, NotEmpty(), Doc("model, such as sonic-v5; the chirp- spelling works too")]
Prompt = Annotated[str, Doc("lyrics with [Verse], [Chorus], …; at most 5000 characters, 3000 on sonic-v3-5 and v4")]
Description = Annotated[str, NotEmpty(), MaxLength(400), Doc("what the song is about, at most 400 characters")]
Title = Annotated[str, MaxLength(80), Doc("title, at most 80 characters")]
Tags = Annotated[str, Doc("style words, comma separated; at most 1000 characters, 200 on sonic-v3-5 and v4")]
NegativeTags = Annotated[str, Doc("styles to keep away from")]
Weight = Annotated[float, Between(0, 1), Doc("0 (free) to 1 (close)")]
Duration = Annotated[int, Between(10, 360), Doc("wished length in seconds, 10 to 360")]
ContinueAt = Annotated[float, Above(0), Doc("seconds into the clip, inside it; omitted: from its end")]
Cdn = Annotated[bool, Doc("the service wants it said; False is sent unless you say otherwise")]
Start = Annotated[float, Between(0), Doc("seconds from the start of the clip")]
End = Annotated[float, Above(0), Doc("seconds from the start of the clip")]
Gender = Annotated[Literal["f", "m"], Doc("voice; sonic-v4-5 and newer")]
SourceUrl = Annotated[str, WebUrl(), Doc("public direct address of an audio file (MP3 or WAV, up to 8 minutes)")]
WebhookUrl = Annotated[str, HookUrl(), Doc("https address that the service calls when the task changes")]
WebhookSecret = Annotated[str, NotEmpty(), Doc("signs the deliveries of this task")]


@attrs.frozen(kw_only=True)
class TaskRequest(Request[R]):
    """Base of the operations that run as a task."""

    webhook_url: WebhookUrl | None = None
    webhook_secret: WebhookSecret | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Styled(TaskRequest[R]):
    """Fields of every operation that makes music with a model."""

    mv: Mv
    title: Title | None = None
    tags: Tags | None = None
    negative_tags: NegativeTags | None = None
    vocal_gender: Gender | None = None
    style_weight: Weight | None = None
    weirdness_constraint: Weight | None = None

    def check_together(self) -> None:
        """Apply the limits that depend on the model."""
        model = sonic_model(self.mv)
        if model is None:
            return
        for name, most in (("prompt", model.prompt), ("tags", model.tags)):
            text = getattr(self, name, None)
            if text is not None and (rule := MaxLength(most).broken(text)):
                raise InvalidRequest(name, f"{rule} (limit of {self.mv})", text, operation=self.operation)
        if model.only_at and self.endpoint.path not in model.only_at:
            raise InvalidRequest("mv", "is not for this operation", self.mv, operation=self.operation)
        if self.vocal_gender is not None and not model.vocal_gender:
            limit = f"is not understood by {self.mv}; it needs sonic-v4-5 or newer"
            raise InvalidRequest("vocal_gender", limit, self.vocal_gender, operation=self.operation)


@attrs.frozen(kw_only=True)
class Generation(Styled[Song]):
    """Fields of every operation that writes a song from lyrics or from a description.

    Give `prompt` (your lyrics) or `gpt_description_prompt` (what it is about); `custom_mode` follows from that and can
    be omitted. With both, the words of `prompt` are sung. An instrumental needs neither.
    """

    style_is_enough: ClassVar[bool] = False
    """Whether `tags` alone say what is wanted, without words and without a mode."""

    prompt: Prompt | None = None
    gpt_description_prompt: Description | None = None
    custom_mode: bool | None = None
    make_instrumental: bool | None = None
    auto_lyrics: Annotated[bool, Doc("the service writes the lyrics; prompt is the brief")] | None = None
    audio_weight: Weight | None = None
    use_suno_cdn: Cdn | None = None

    def check_together(self) -> None:
        """Check that the text fits the mode."""
        if not self._style_alone:
            self._check_words()
        Styled.check_together(self)

    def _check_words(self) -> None:
        custom = self._custom
        if not custom and self.prompt is not None and self.gpt_description_prompt is None:
            self._refuse("prompt", "goes with custom_mode=True; use gpt_description_prompt to describe a song")
        if custom and not self.make_instrumental and not (self.prompt or "").strip():
            more = ", or tags alone" if self.style_is_enough else ""
            self._refuse("prompt", f"is required (or gpt_description_prompt, or make_instrumental=True{more})")
        if not custom and self.gpt_description_prompt is None:
            self._refuse("gpt_description_prompt", "is required when custom_mode is False")
        if not custom and self.auto_lyrics:
            self._refuse("auto_lyrics", "goes with custom_mode=True")

    @property
    def _style_alone(self) -> bool:
        said = (self.prompt, self.gpt_description_prompt, self.custom_mode, self.make_instrumental, self.auto_lyrics)
        return self.style_is_enough and bool((self.tags or "").strip()) and not any(one is not None for one in said)

    @property
    def _custom(self) -> bool:
        if self.custom_mode is not None:
            return self.custom_mode
        return self.prompt is not None or self.gpt_description_prompt is None

    def _refuse(self, field: str, limit: str) -> None:
        raise InvalidRequest(field, limit, getattr(self, field), operation=self.operation)

    def derived(self) -> dict[str, object]:
        """See `Request.derived`."""
        return {} if self._style_alone else {"custom_mode": self._custom}


@attrs.frozen(kw_only=True)
class TimedGeneration(Generation):
    """The same for the operations that also take the length of the song."""

    duration: Duration | None = None


@attrs.frozen(kw_only=True)
class Overpainting(Styled[Song]):
    """Fields of the two operations that paint over an uploaded clip."""

    continue_clip_id: ClipId
    custom_mode: bool | None = None
    use_suno_cdn: Cdn | None = None
    audio_weight: Weight | None = None
    overpainting_start_s: Start | None = None
    overpainting_end_s: End | None = None

    def check_together(self) -> None:
        """Check the range, then the model's limits."""
        check_range(self, "overpainting_start_s", "overpainting_end_s")
        model = sonic_model(self.mv)
        if model is not None and not model.overpainting:
            limit = "must be sonic-v4-5-plus, sonic-v5 or newer for this operation"
            raise InvalidRequest("mv", limit, self.mv, operation=self.operation)
        Styled.check_together(self)

    def derived(self) -> dict[str, object]:
        """See `Request.derived`."""
        return {"custom_mode": True if self.custom_mode is None else self.custom_mode}


def check_range(request: Request[object], start_field: str, end_field: str, *, most: float | None = None) -> None:
    """Raise `InvalidRequest` unless the end lies after the start (when both are given), at most `most` seconds."""
    start, end = getattr(request, start_field), getattr(request, end_field)
    if start is None or end is None:
        return
    if end <= start:
        raise InvalidRequest(end_field, f"must be above {start_field} ({start:g})", end, operation=request.operation)
    if most is not None and end - start > most + 1e-6:  # 40.2 - 10.2 is a little more than 30
        limit = f"must be at most {most:g} seconds after {start_field} ({start:g})"
        raise InvalidRequest(end_field, limit, end, operation=request.operation)
