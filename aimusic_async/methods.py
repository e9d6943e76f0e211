"""The operations as typed methods: `await music.sonic.create_music(prompt=…, mv=…)`, made from the request classes.

A method takes the fields of its class and returns its result; parameters, checks and types are the class's own.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, ParamSpec, Protocol, TypeVar, overload

from .api import lyrics, nuro, producer, riffusion, sonic
from .api.request import Request

P = ParamSpec("P")
R = TypeVar("R")


class Run(Protocol):
    """Sends a request and waits for its result; in practice `MusicSession.run`."""

    def __call__(self, request: Request[R], /) -> Coroutine[Any, Any, R]:
        """Return the coroutine that gives the result."""
        ...


class Method(Generic[P, R]):
    """One operation as a method of its platform."""

    def __init__(self, request_class: Callable[P, Request[R]]) -> None:
        self.request_class = request_class
        self.__doc__ = request_class.__doc__

    @overload
    def __get__(self, platform: None, owner: type[Platform]) -> Method[P, R]: ...

    @overload
    def __get__(self, platform: Platform, owner: type[Platform]) -> Callable[P, Coroutine[Any, Any, R]]: ...

    def __get__(
        self, platform: Platform | None, owner: type[Platform]
    ) -> Method[P, R] | Callable[P, Coroutine[Any, Any, R]]:
        """Bind the operation to a session's platform."""
        if platform is None:
            return self
        run = platform.run

        def call(*args: P.args, **fields: P.kwargs) -> Coroutine[Any, Any, R]:
            try:
                request = self.request_class(*args, **fields)  # a wrong field raises here, before anything is awaited
            except Exception as error:  # noqa: BLE001 - a TypeError carries our arguments, too
                refused = error.with_traceback(None)
            else:
                return run(request)
            del args, fields  # a webhook's secret may be among them
            raise refused

        call.__doc__ = self.__doc__
        call.__wrapped__ = self.request_class  # type: ignore[attr-defined]  # help() and editors show its fields
        return call


class Platform:
    """Base of the platforms of a session."""

    def __init__(self, run: Run) -> None:
        self.run = run


class Sonic(Platform):
    """`music.sonic`: songs, edits, stems, analysis."""

    create_music: Final = Method(sonic.CreateMusic)
    extend_music: Final = Method(sonic.ExtendMusic)
    cover_music: Final = Method(sonic.CoverMusic)
    concat_music: Final = Method(sonic.ConcatMusic)
    persona_music: Final = Method(sonic.PersonaMusic)
    extend_upload_music: Final = Method(sonic.ExtendUploadMusic)
    cover_upload_music: Final = Method(sonic.CoverUploadMusic)
    remaster: Final = Method(sonic.Remaster)
    add_vocals: Final = Method(sonic.AddVocals)
    add_instrumental: Final = Method(sonic.AddInstrumental)
    upload_extend: Final = Method(sonic.UploadExtend)
    upload_cover: Final = Method(sonic.UploadCover)
    sample: Final = Method(sonic.Sample)
    mashup: Final = Method(sonic.Mashup)
    replace_section: Final = Method(sonic.ReplaceSection)
    stems_basic: Final = Method(sonic.StemsBasic)
    stems_full: Final = Method(sonic.StemsFull)
    get_bpm: Final = Method(sonic.GetBpm)
    get_vox: Final = Method(sonic.GetVox)
    get_wav: Final = Method(sonic.GetWav)
    download: Final = Method(sonic.Download)
    get_midi: Final = Method(sonic.GetMidi)
    get_lyrics_timeline: Final = Method(sonic.GetLyricsTimeline)
    upsample_tags: Final = Method(sonic.UpsampleTags)
    upload_music: Final = Method(sonic.UploadMusic)
    create_persona: Final = Method(sonic.CreatePersona)
    create_voice: Final = Method(sonic.CreateVoice)


class Lyrics(Platform):
    """`music.lyrics`: words without music."""

    generate_lyrics: Final = Method(lyrics.GenerateLyrics)


class Producer(Platform):
    """`music.producer`: one song a request, quickly."""

    create_music: Final = Method(producer.CreateMusic)
    upload: Final = Method(producer.Upload)
    download: Final = Method(producer.Download)


class Nuro(Platform):
    """`music.nuro`: switched off by the service since mid 2026."""

    create_vocal: Final = Method(nuro.CreateVocal)
    create_instrumental: Final = Method(nuro.CreateInstrumental)


class Riffusion(Platform):
    """`music.riffusion`: deprecated by the service."""

    create_with_lyrics: Final = Method(riffusion.CreateWithLyrics)
    create_with_description: Final = Method(riffusion.CreateWithDescription)
    cover: Final = Method(riffusion.Cover)
    extend: Final = Method(riffusion.Extend)
    replace_section: Final = Method(riffusion.ReplaceSection)
    swap_sound: Final = Method(riffusion.SwapSound)
    swap_vocals: Final = Method(riffusion.SwapVocals)
    upload: Final = Method(riffusion.Upload)
