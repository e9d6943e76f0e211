"""Files: made when first asked for, one at a time, served in ranges, and gone with the sandbox. Real time: sound is."""

import asyncio
import io
import struct
import threading
import wave
from pathlib import Path

import pytest

from aimusic_async.sandbox import files

SHORT = {"speed": 600, "song_seconds": (2, 2), "durations": {"sonic.get_wav": 0, "sonic.get_midi": 0}, "period": 1}


async def fetch(caller, url, **headers):
    async with caller.http.get(url, headers=headers) as answer:
        return answer.status, answer.headers, await answer.read()


def within(folder):
    return list(Path(folder).iterdir()) if Path(folder).exists() else None


def stand_in(monkeypatch, made):
    """Renders in no time, and keeps the names of what was rendered."""

    def render(tune, parts, suffix):
        made.append((tune.seed, parts, suffix))
        return f"{tune.seed} {parts} {suffix}".encode() * 100

    monkeypatch.setattr(files, "render", render)


async def test_a_song_its_stem_its_notes_and_its_cover_are_real_files(opened):
    async with opened(**SHORT) as caller:
        song = await caller.song()
        stem = (await caller.made("/sonic/stems/basic", {"clip_id": song["clip_id"]}))[0]
        wav = (await caller.done("/sonic/wav", {"clip_id": song["clip_id"]}))["data"]["wav_url"]
        mid = (await caller.done("/sonic/midi", {"clip_id": song["clip_id"]}))["data"]["midi_url"]
        status, headers, mp3 = await fetch(caller, song["audio_url"])
        assert (status, headers["Content-Type"]) == (200, "audio/mpeg")
        assert mp3[:2] == b"\xff\xfb"
        assert len((await fetch(caller, stem["audio_url"]))[2]) > 1000
        status, headers, sound = await fetch(caller, wav)
        assert headers["Content-Type"] == "audio/wav"
        with wave.open(io.BytesIO(sound)) as opened_:
            assert opened_.getnframes() / opened_.getframerate() == pytest.approx(float(song["duration"]), abs=0.01)
        assert (await fetch(caller, mid))[2][:4] == b"MThd"
        status, headers, picture = await fetch(caller, song["image_url"])
        assert (headers["Content-Type"], picture[:2]) == ("image/jpeg", struct.pack(">H", 0xFFD8))


async def test_ranges_conditions_and_head_are_answered(opened, monkeypatch):
    stand_in(monkeypatch, [])
    async with opened(**SHORT) as caller:
        url = (await caller.song())["audio_url"]
        _, headers, whole = await fetch(caller, url)
        status, _, tail = await fetch(caller, url, Range="bytes=100-")
        assert (status, tail) == (206, whole[100:])
        status, got, _ = await fetch(caller, url, Range="bytes=5-9")
        assert got["Content-Range"] == f"bytes 5-9/{len(whole)}"
        assert (await fetch(caller, url, Range=f"bytes={len(whole)}-"))[0] == 416
        old = {"Range": "bytes=5-", "If-Range": "Thu, 01 Jan 1970 00:00:00 GMT"}
        status, _, again = await fetch(caller, url, **old)
        assert (status, again) == (200, whole)
        assert (await fetch(caller, url, **{"If-None-Match": headers["ETag"]}))[0] == 304
        async with caller.http.head(url) as answer:
            assert (answer.status, answer.content_length) == (200, len(whole))
            assert await answer.read() == b""


async def test_a_file_is_made_once_however_many_ask(opened, monkeypatch):
    made = []
    stand_in(monkeypatch, made)
    async with opened(**SHORT) as caller:
        url = (await caller.song())["audio_url"]
        answers = await asyncio.gather(*(fetch(caller, url) for _ in range(5)))
        assert len(made) == 1
        assert len({body for _, _, body in answers}) == 1


async def test_one_file_is_made_at_a_time_in_a_thread_while_the_service_goes_on(opened, monkeypatch):
    going, most, threads = 0, 0, set()
    release = threading.Event()

    def render(tune, parts, suffix):
        nonlocal going, most
        going += 1
        most = max(most, going)
        threads.add(threading.current_thread())
        release.wait(5)
        going -= 1
        return b"x"

    monkeypatch.setattr(files, "render", render)
    async with opened(**SHORT) as caller:
        clips = await caller.made("/sonic/create", {"custom_mode": True, "mv": "sonic-v5", "prompt": "la"})
        asking = [asyncio.ensure_future(fetch(caller, clip["audio_url"])) for clip in clips]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in asking)
        assert await caller.credits()
        release.set()
        assert [status for status, _, _ in await asyncio.gather(*asking)] == [200, 200]
        assert most == 1
        assert threading.main_thread() not in threads


async def test_a_stem_is_made_of_its_part_of_the_same_tune(opened, monkeypatch):
    made = []
    stand_in(monkeypatch, made)
    async with opened(**SHORT) as caller:
        song = await caller.song()
        stems = await caller.made("/sonic/stems/full", {"clip_id": song["clip_id"]})
        await fetch(caller, song["audio_url"])
        await fetch(caller, stems[3]["audio_url"])
        (seed, parts, _), (stem_seed, stem_parts, _) = made
        assert (parts, stem_parts) == (None, (stems[3]["stem_type"],))
        assert seed == stem_seed


async def test_a_remaster_sounds_different_and_has_the_same_notes(opened):
    async with opened(**SHORT) as caller:
        song = await caller.song()
        body = {"task_type": "remaster", "continue_clip_id": song["clip_id"], "mv": "sonic-v5"}
        mixes = [song, *await caller.made("/sonic/create", body)]
        assert len({(await fetch(caller, mix["audio_url"]))[2] for mix in mixes}) == 3
        notes = [(await caller.done("/sonic/midi", {"clip_id": mix["clip_id"]}))["data"] for mix in mixes]
        assert notes[0]["instruments"] == notes[1]["instruments"] == notes[2]["instruments"]


async def test_an_uploaded_recording_is_served_as_it_was(opened, recordings):
    async with opened(**SHORT) as caller, recordings() as at:
        answer = await caller.done("/sonic/upload", {"url": at("1.wav")})
        _, _, original = await fetch(caller, at("1.wav"))
        status, headers, body = await fetch(caller, f"{caller.box.url}/files/{answer['clip_id']}.wav")
        assert (status, headers["Content-Type"], body) == (200, "audio/wav", original)


@pytest.mark.looptime
async def test_what_is_not_there_or_not_yet_or_was_not_asked_for_is_404(opened, monkeypatch):
    stand_in(monkeypatch, [])
    async with opened(durations={"sonic": 100}, clip_spread=(0.5, 0.5)) as caller:
        song = {"custom_mode": True, "mv": "sonic-v5", "prompt": "la"}
        task_id = (await caller.done("/sonic/create", song))["task_id"]
        await asyncio.sleep(60)
        early, late = (await caller.get(f"/sonic/task/{task_id}"))[1]["data"]
        base = f"{caller.box.url}/files/"
        assert (early["state"], late["state"]) == ("succeeded", "running")
        names = [
            f"{late['clip_id']}.mp3",
            f"{early['clip_id']}.wav",
            f"{early['clip_id']}.mid",
            f"{early['clip_id']}.jpeg",
            f"image_{early['clip_id']}.mp3",
            f"{early['clip_id']}.timeline",
            early["clip_id"],
            "nobody.mp3",
            "..%2Fetc.mp3",
        ]
        for name in names:
            assert (await fetch(caller, base + name))[0] == 404, name
        assert (await fetch(caller, f"{base}{early['clip_id']}.mp3"))[0] == 200


@pytest.mark.looptime
async def test_a_failed_clip_has_no_files(opened, monkeypatch):
    stand_in(monkeypatch, [])
    async with opened(task_failure_rate=1.0) as caller:
        song = await caller.song()
        assert (await fetch(caller, f"{caller.box.url}/files/{song['clip_id']}.mp3"))[0] == 404


@pytest.mark.looptime
async def test_files_can_expire(opened, monkeypatch):
    stand_in(monkeypatch, [])
    async with opened(url_lifetime=3600) as caller:
        url = (await caller.song())["audio_url"]
        assert (await fetch(caller, url))[0] == 200
        await asyncio.sleep(3600)
        assert (await fetch(caller, url))[0] == 404


async def test_the_folder_goes_with_the_sandbox(opened, monkeypatch):
    stand_in(monkeypatch, [])
    folders = []
    make = files.tempfile.mkdtemp
    monkeypatch.setattr(files.tempfile, "mkdtemp", lambda **names: folders.append(make(**names)) or folders[-1])
    async with opened(**SHORT) as caller:
        await fetch(caller, (await caller.song())["audio_url"])
        assert within(folders[0])
    assert within(folders[0]) is None


async def test_a_rendering_that_fails_is_500_and_can_be_tried_again(opened, monkeypatch):
    def fail(tune, parts, suffix):
        raise ValueError("no sound today")

    made = []
    async with opened(**SHORT) as caller:
        url = (await caller.song())["audio_url"]
        monkeypatch.setattr(files, "render", fail)
        assert (await fetch(caller, url))[0] == 500
        stand_in(monkeypatch, made)
        assert (await fetch(caller, url))[0] == 200
