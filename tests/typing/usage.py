"""What a type checker knows of a user's program; read by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, assert_type

from aimusic_async import (
    Bpm,
    Clip,
    ClipFiles,
    Credits,
    Job,
    JobGroup,
    Lyrics,
    Midi,
    MusicError,
    MusicSession,
    Song,
    Stems,
    UploadedClip,
    Voice,
    account,
    lyrics,
    nuro,
    producer,
    riffusion,
    sonic,
)


async def results_are_known(music: MusicSession) -> None:
    assert_type(await music.run(sonic.CreateMusic(prompt="la", mv="sonic-v5")), Song)
    assert_type(await music.run(sonic.StemsFull(clip_id="c"), timeout=60), Stems)
    assert_type(await music.run(sonic.GetBpm(clip_id="c")), Bpm)
    assert_type(await music.run(sonic.CreateVoice(audio_url="https://h/a.mp3")), Voice)
    assert_type(await music.run(account.GetCredits()), Credits)
    assert_type(await music.credits(), Credits)
    assert_type(await music.run(lyrics.GenerateLyrics(description="rain")), Lyrics)
    assert_type(await music.run(nuro.CreateVocal(lyrics="la")), Song)
    assert_type(await music.run(producer.Download(clip_id="c", format="wav")), Song)
    files = await music.sonic.download(clip_id="c", formats=["wav", "mp3"])
    assert_type(files, ClipFiles)
    assert_type(files.url("wav"), str | None)
    await music.download(files, "out")
    assert_type(music.cost_of(sonic.GetBpm(clip_id="c")), int)
    assert_type(await music.run(riffusion.Upload(url="https://h/a.mp3")), UploadedClip)


async def methods_have_the_fields_of_their_class(music: MusicSession) -> None:
    assert_type(await music.sonic.create_music(prompt="la", mv="sonic-v5", style_weight=0.5), Song)
    assert_type(await music.sonic.get_midi(clip_id="c"), Midi)
    assert_type(await music.lyrics.generate_lyrics(description="rain"), Lyrics)
    assert_type(await music.producer.create_music(sound="strings"), Song)
    assert_type(
        await music.nuro.create_instrumental(description="rain", segments=[nuro.Segment(name="intro", duration=30)]),
        Song,
    )
    assert_type(
        await music.riffusion.extend(continue_clip_id="c", continue_at=3, lyrics="la", sound="pop", mv="F"), Song
    )
    await music.sonic.create_music(promt="la", mv="sonic-v5")  # error: no such field
    await music.sonic.create_music(prompt="la")  # error: mv is missing
    await music.sonic.create_music(prompt="la", mv="sonic-v5", tags=["pop"])  # error: tags is a string
    await music.sonic.create_music(prompt="la", mv="sonic-v5", vocal_gender="x")  # error: f or m
    await music.sonic.mashup(mashup_clip_ids=[1, 2], mv="sonic-v5", prompt="la")  # error: ids are strings


async def jobs_carry_their_result_type(music: MusicSession, group: JobGroup) -> None:
    job = music.submit(sonic.StemsBasic(clip_id="c"))
    assert_type(job, Job[Stems])
    assert_type(await job, Stems)
    assert_type(await job.result(), Stems)
    assert_type(await job.accepted(), str)
    assert_type(job.exception(), MusicError | None)
    assert_type(job.clips, tuple[Clip, ...])
    assert_type(music.attach(sonic.StemsFull, "t"), Job[Stems])
    assert_type(group.submit(sonic.CreateMusic(prompt="la", mv="sonic-v5"), key="one"), Job[Song])
    assert_type(group.as_completed(), AsyncIterator[Job[Any]])
    assert_type(group.failures(), dict[Job[Any], MusicError])


async def misuse_is_seen(music: MusicSession) -> None:
    music.submit("a song")  # error: not a request
    music.group(on_failure="ignore")  # error: not one of the words
    music.attach(sonic.CreateMusic(prompt="la", mv="sonic-v5"), "t")  # error: a class is wanted
    sonic.Remaster(continue_clip_id="c", mv="sonic-v5", variation_category="huge")  # error: not one of the words
    sonic.GetBpm("c")  # error: fields are named
    sonic.GetBpm(clip_id="c").clip_id = "d"  # error: requests do not change


async def a_sandbox_is_a_session() -> None:
    async with MusicSession.sandbox(speed=60) as music:
        assert_type(music, MusicSession)
    async with MusicSession() as real, real.group() as group:
        assert_type(real, MusicSession)
        assert_type(group, JobGroup)
