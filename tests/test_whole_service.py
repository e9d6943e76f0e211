"""Every operation of the service against the sandbox, in one run, the retired ones too; and one that nobody knew."""

import asyncio
from typing import Annotated, ClassVar

import attrs
import pytest

from aimusic_async import (
    ApiError,
    Endpoint,
    EndpointRetired,
    InvalidRequest,
    MusicSession,
    Request,
    Song,
    account,
    lyrics,
    nuro,
    producer,
    riffusion,
    sonic,
)
from aimusic_async.api.limits import Between
from aimusic_async.api.operations import operations
from aimusic_async.api.pricing import cost_of
from aimusic_async.sandbox import Options, Sandbox

WORDS = "[Verse]\nHere we go"
MV = "sonic-v5"


async def play_everything(music):
    """Use every operation once, and give the results by operation."""
    results = {}

    async def run(request):
        results[request.operation] = await music.run(request)
        return results[request.operation]

    async def together(*requests):
        async with music.group() as group:
            jobs = [group.submit(request) for request in requests]
        results.update({job.request.operation: await job for job in jobs})
        return [await job for job in jobs]

    song = await run(sonic.CreateMusic(prompt=WORDS, mv=MV))
    clip, twin = (one.clip_id for one in song.clips)
    upload = (await run(sonic.UploadMusic(url=song.clips[0].audio_url))).clip_id
    voice = await run(sonic.CreateVoice(audio_url=song.clips[1].audio_url))
    await run(sonic.CreatePersona(name="Alto", clip_id=clip))
    source = {"continue_clip_id": clip, "mv": MV}
    uploaded = {"continue_clip_id": upload, "mv": MV}
    section = {"infill_start_s": 1, "infill_end_s": 4, "infill_lyrics": "la"}
    extension, *_ = await together(
        sonic.ExtendMusic(**source, prompt=WORDS, continue_at=5.5),
        sonic.CoverMusic(**source, prompt=WORDS, audio_weight=0.4),
        sonic.PersonaMusic(persona_id=voice.persona_id, prompt=WORDS, mv=MV),
        sonic.ExtendUploadMusic(**uploaded, prompt=WORDS, continue_at=0.1),
        sonic.CoverUploadMusic(**uploaded, prompt=WORDS),
        sonic.Remaster(**source),
        sonic.AddVocals(**uploaded, prompt=WORDS),
        sonic.AddInstrumental(**uploaded),
        sonic.UploadExtend(url=song.clips[0].audio_url, continue_at=0.1, prompt=WORDS, mv=MV, auto_concat=True),
        sonic.UploadCover(url=song.clips[0].audio_url, gpt_description_prompt="calm", mv=MV),
        sonic.Sample(sample_clip_id=clip, chop_sample_start_s=1, chop_sample_end_s=3, prompt=WORDS, mv=MV),
        sonic.Mashup(mashup_clip_ids=[clip, twin], gpt_description_prompt="dance", mv=MV),
        sonic.ReplaceSection(clip_id=clip, mv=MV, prompt=WORDS, **section),
        sonic.StemsBasic(clip_id=clip),
        sonic.StemsFull(clip_id=clip),
    )
    await run(sonic.ConcatMusic(continue_clip_id=extension.clips[0].clip_id))
    await run(sonic.Download(clip_id=clip, formats=["mp3", "wav"]))
    for call in (sonic.GetBpm, sonic.GetVox, sonic.GetWav, sonic.GetMidi, sonic.GetLyricsTimeline):
        await run(call(clip_id=clip))
    await run(sonic.UpsampleTags(tags="pop"))
    await run(lyrics.GenerateLyrics(description="a song about the sky"))
    await run(account.GetCredits())
    quick = await run(producer.CreateMusic(sound="slow strings", lyrics=WORDS))
    await run(producer.Upload(audio_url=song.clips[0].audio_url))
    await run(producer.Download(clip_id=quick.clips[0].clip_id, format="wav"))
    await run(nuro.CreateVocal(lyrics=WORDS, genre="Pop"))
    sections = [nuro.Segment(name="intro", duration=20), nuro.Segment(name="chorus", duration=40)]
    await run(nuro.CreateInstrumental(description="rain", version="v2.0", segments=sections))
    old = await run(riffusion.CreateWithLyrics(lyrics=WORDS, mv="FUZZ-1.1"))
    await run(riffusion.CreateWithDescription(prompt="rain", mv="FUZZ-1.1"))
    edit = {"continue_clip_id": old.clips[0].clip_id, "lyrics": WORDS, "sound": "pop", "mv": "FUZZ-1.1"}
    await together(
        riffusion.Cover(**edit),
        riffusion.Extend(**edit, continue_at=10),
        riffusion.ReplaceSection(**edit, starts=2, ends=6),
        riffusion.SwapSound(**edit),
        riffusion.SwapVocals(**edit),
    )
    await run(riffusion.Upload(url=song.clips[0].audio_url))
    return results


@pytest.mark.looptime
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"not_ready_status": 200, "code_in_submit": True, "producer_form": "status", "mv_spelling": "chirp"},
        {"era": "today", "nuro_gone": False, "fresh_file_seconds": 0.0},
    ],
    ids=["as assumed", "as newer pages say", "as of today"],
)
async def test_every_operation_works_from_a_session_and_in_a_group(options, caplog):
    options = Options(seed=1, credits=100_000, song_seconds=(24, 40), **options)
    async with Sandbox(options) as box, MusicSession.sandbox(box, prices=options.prices) as music:
        before = (await music.credits()).total
        results = await play_everything(music)
        after = (await music.credits()).total
        assert set(results) == set(operations())
        assert all(isinstance(results[name], cls.result_type()) for name, cls in operations().items())
        assert all(result.raw for result in results.values())
        assert {entry.operation for entry in box.books.taken()} == set(operations()) - {"account.get_credits"}
        # What we think it costs is what it costs: the sandbox has its prices from the same page, not from us.
        assert before - after == box.books.charged == sum(cost_of(cls, options.prices) for cls in operations().values())
        assert "the balance fell" not in caplog.text
        assert box.books.refusals == []
    assert len(results["sonic.upload_extend"].full) == 2
    assert len(results["sonic.stems_full"].clips) == 12
    assert len(results["sonic.concat_music"].clips) == 1
    assert len(results["riffusion.cover"].clips) == 2
    assert results["producer.download"].clips[0].wav_url
    assert results["nuro.create_vocal"].clips[0].audio_url
    assert len(results["lyrics.generate_lyrics"].results) == 2


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("options", "request_", "error"),
    [
        ({"nuro_gone": True}, nuro.CreateVocal(lyrics="la"), EndpointRetired),
        ({"riffusion_gone": True}, riffusion.CreateWithDescription(prompt="la", mv="FUZZ-1.1"), EndpointRetired),
        ({}, producer.CreateMusic(sound="x" * 10, task_type="cover_music", clip_id="c"), EndpointRetired),
        ({"personas_available": False}, sonic.CreatePersona(name="n", clip_id="c"), ApiError),
        ({"producer_files_available": False}, producer.Download(clip_id="c", format="mp3"), ApiError),
    ],
)
async def test_what_is_switched_off_refuses_as_the_service_does_and_costs_nothing(options, request_, error):
    async with Sandbox(Options(**options)) as box, MusicSession.sandbox(box) as music:
        with pytest.raises(error):
            await music.run(request_)
        assert box.books.charged == 0


@pytest.mark.looptime
async def test_an_upload_with_a_callback_is_followed_as_a_task(song):
    async with Sandbox(Options(song_seconds=(24, 40))) as box, MusicSession.sandbox(box) as music:
        made = await music.run(song())
        source = made.clips[0].audio_url
        request = sonic.UploadMusic(url=source, callback_url="https://host.example/done")
        job = music.submit(request)
        assert await job.accepted()
        assert (await job).clip_id


@attrs.frozen(kw_only=True)
class HumAlong(Request[Song]):
    """An operation that no version of the service has. Page: none."""

    endpoint: ClassVar[Endpoint] = Endpoint(path="/sonic/hum-along", typical=10.0)
    cost: ClassVar[int] = 7

    clip_id: str
    loudness: Annotated[float, Between(0, 1)] = 0.5


@pytest.mark.looptime
async def test_a_new_endpoint_takes_one_class_and_nothing_else(fake):
    fake.script("/sonic/hum-along", {"task_id": "t"})
    fake.script("/sonic/task/t", {"data": [{"clip_id": "h", "state": "succeeded"}]})
    with pytest.raises(InvalidRequest, match="hum_along: loudness must be a number between 0 and 1; got 2"):
        HumAlong(clip_id="c", loudness=2)
    async with MusicSession("key", fake.url) as music:
        async with music.group() as group:
            job = group.submit(HumAlong(clip_id="c", loudness=0.9), timeout=60)
            assert group.estimate() == 7
        assert (await job).clips[0].clip_id == "h"
        assert job.key == "test_whole_service.hum_along#1"
        assert job.credits == 7
        assert (await music.attach(HumAlong, "t")).task_id == "t"
    assert fake.asked[0][3] == '{"clip_id": "c", "loudness": 0.9}'
    await asyncio.sleep(0)
