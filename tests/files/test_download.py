"""`music.download`: which files, under which names, in which order; kept when there, reported when missing."""

import asyncio
import importlib.util
from datetime import UTC, datetime

import mutagen.id3
import pytest
from aiohttp import web

from aimusic_async import (
    AlignedWord,
    ApiError,
    Bpm,
    Clip,
    ConfigurationError,
    LyricsTimeline,
    Midi,
    MusicSession,
    Song,
    Stems,
    TransportError,
    Wav,
    sonic,
)
from aimusic_async.files.download import DownloadFailed, DownloadProgress
from aimusic_async.files.partial import Known, Part
from aimusic_async.sandbox import Options, Sandbox

MUSIC = (b"\xff\xfb\x90\x64" + bytes(413)) * 60
JPEG = b"\xff\xd8\xff\xe0 a picture"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("aimusic_async.files.fetch._pause", lambda *_: 0.0)
    monkeypatch.setattr("aimusic_async.files.fetch._ATTEMPTS", 2)


@pytest.fixture
async def music(fake):
    """A session on the scripted service, which is a file host too."""
    async with MusicSession("s3cret", fake.url) as opened:
        yield opened


def serve(fake, path, content, kind="audio/mpeg"):
    """Serve a file as a file host does: with ranges, its length and a tag."""

    async def answer(request):
        start, stop = 0, len(content)
        headers = {"Content-Type": kind, "ETag": f'"{hash(content)}"', "Accept-Ranges": "bytes"}
        wanted = request.http_range
        if wanted.start is None:
            return web.Response(body=content, headers=headers)
        start = wanted.start if wanted.start >= 0 else max(len(content) + wanted.start, 0)
        stop = min(wanted.stop or len(content), len(content))
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
        return web.Response(status=206, body=content[start:stop], headers=headers)

    fake.script(path, answer)


def clip(fake, name="a", title="My Song", **more):
    return Clip(**{"clip_id": name, "title": title, "audio_url": f"{fake.url}/{name}.mp3"} | more)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# --- names and order -------------------------------------------------------------------------------------------------


async def test_files_get_their_names_only_when_they_are_whole(fake, music, tmp_path):
    seen_meanwhile = []

    async def slowly(request):
        response = web.StreamResponse(headers={"Content-Length": "6", "Content-Type": "audio/mpeg"})
        await response.prepare(request)
        await response.write(b"abc")
        await asyncio.sleep(0.05)
        seen_meanwhile.extend(names(tmp_path))
        await response.write(b"def")
        return response

    fake.script("/a.mp3", slowly)
    (path,) = await music.download(clip(fake), tmp_path)
    assert path.read_bytes() == b"abcdef"
    assert path == tmp_path / "My Song [a].mp3"
    assert seen_meanwhile
    assert all(name.startswith(".") for name in seen_meanwhile)
    assert names(tmp_path) == [path.name]


async def test_a_song_is_all_its_clips_in_order_and_the_folder_is_made(fake, music, tmp_path):
    every = [f"clip{number}" for number in range(9)]
    for name in every:
        serve(fake, f"/{name}.mp3", f"sound of {name}".encode())
    song = Song(task_id="t", clips=tuple(clip(fake, name, title=name) for name in every))
    paths = await music.download(song, str(tmp_path / "new" / "folder"))
    assert [path.read_text() for path in paths] == [f"sound of {name}" for name in every]


async def test_the_key_is_not_sent_to_the_file_host(fake, music, tmp_path):
    serve(fake, "/a.mp3", MUSIC)
    await music.download(clip(fake), tmp_path)
    assert "Authorization" not in fake.asked[0][1].headers


async def test_no_more_than_four_at_a_time_for_the_whole_session(fake, music, tmp_path):
    now, most = 0, 0

    async def count(request):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        return web.Response(body=b"sound", content_type="audio/mpeg")

    for number in range(12):
        fake.script(f"/{number}.mp3", count)
    await asyncio.gather(*(music.download(clip(fake, str(number)), tmp_path) for number in range(12)))
    assert most == 4
    assert len(names(tmp_path)) == 12


async def test_the_suffix_is_the_files_own_when_it_fits_its_kind(fake, music, tmp_path):
    for path in ("/x.wav", "/x.exe", "/x", "/x.M4A"):
        serve(fake, path, b"sound")
    clips = [
        clip(fake, str(number), audio_url=f"{fake.url}{path}")
        for number, path in enumerate(["/x.wav?s=1", "/x.exe", "/x", "/x.M4A"])
    ]
    assert [path.suffix for path in await music.download(clips, tmp_path)] == [".wav", ".mp3", ".mp3", ".m4a"]


@pytest.mark.parametrize(
    "title", ["../../etc/passwd", "CON", "x" * 300, "a\x00b\nc\u202e", "🎵" * 90, "-rf", "..", "/", None]
)
async def test_no_title_escapes_the_folder(fake, music, tmp_path, title):
    serve(fake, "/a.mp3", MUSIC)
    (path,) = await music.download(clip(fake, title=title), tmp_path / "in", name="{title}")
    assert names(tmp_path) == ["in"]
    assert names(tmp_path / "in") == [path.name]


async def test_joined_songs_and_wav_files_are_saved_too(fake, music, tmp_path):
    serve(fake, "/part.mp3", b"part")
    serve(fake, "/whole.wav", b"whole", "audio/wav")
    whole = Clip(clip_id="whole", title="W", wav_url=f"{fake.url}/whole.wav")
    paths = await music.download(Song(task_id="t", clips=(clip(fake, "part"),), full=(whole,)), tmp_path)
    assert [path.name for path in paths] == ["My Song [part].mp3", "W [whole].wav"]


async def test_a_template_names_files(fake, music, tmp_path):
    for name in ("v", "d"):
        serve(fake, f"/{name}.mp3", name.encode())
    stems = Stems(task_id="t", clips=(clip(fake, "v", "Night - Vocals"), clip(fake, "d", "Night", stem_type="Drums")))
    paths = await music.download(stems, tmp_path, name="{index} {part}")
    assert [path.name for path in paths] == ["01 Vocals.mp3", "02 Drums.mp3"]


async def test_what_cannot_be_distinguished_by_name_gets_its_id(fake, music, tmp_path):
    clips = [clip(fake, name, title) for name, title in zip("abc", ["Song", "SONG", "song"], strict=True)]
    for name in "abc":
        serve(fake, f"/{name}.mp3", name.encode())
    first = await music.download(clips, tmp_path, name="{title}")
    assert [path.name for path in first] == ["Song.mp3", "SONG [b].mp3", "song [c].mp3"]
    assert await music.download(clips, tmp_path, name="{title}") == first
    assert len(names(tmp_path)) == 3


async def test_a_file_of_another_song_is_not_replaced(fake, music, tmp_path):
    serve(fake, "/a.mp3", b"sound of a")
    serve(fake, "/b.mp3", b"sound of b")  # of the same length
    (one,) = await music.download(clip(fake, "a"), tmp_path, name="{title}")
    for _ in range(2):
        (other,) = await music.download(clip(fake, "b"), tmp_path, name="{title}")
        assert (one.read_bytes(), other.read_bytes()) == (b"sound of a", b"sound of b")
        assert names(tmp_path) == ["My Song [b].mp3", "My Song.mp3"]


async def test_what_is_given_twice_is_saved_once(fake, music, tmp_path):
    serve(fake, "/a.mp3", MUSIC)
    assert len(await music.download([clip(fake), clip(fake)], tmp_path)) == 1
    assert len(fake.asked) == 1


# --- formats ---------------------------------------------------------------------------------------------------------


async def test_all_that_belongs_to_a_clip_is_saved_and_what_it_has_not_is_left_out(fake, music, tmp_path):
    serve(fake, "/a.mp3", MUSIC)
    serve(fake, "/a.jpeg", JPEG, "image/jpeg")
    serve(fake, "/a.mp4", b"film", "video/mp4")
    serve(fake, "/b.mp3", MUSIC)
    whole = clip(fake, image_url=f"{fake.url}/a.jpeg", video_url=f"{fake.url}/a.mp4", lyrics="[Verse]\nÜber")
    paths = await music.download([whole, clip(fake, "b")], tmp_path, formats=["lyrics", "video", "cover", "audio"])
    assert [path.name.replace("My Song ", "") for path in paths] == [
        "[a].mp3",
        "[a].jpeg",
        "[a].mp4",
        "[a].txt",
        "[b].mp3",
    ]
    assert paths[1].read_bytes() == JPEG
    assert paths[3].read_bytes() == "[Verse]\nÜber".encode()
    assert await music.download(clip(fake, "b"), tmp_path, formats="cover") == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"formats": "flac"},
        {"formats": ["audio", "mp3"]},
        {"formats": ()},
        {"name": "{artist}"},
        {"name": "a/b"},
        {"most_bytes": 0},
        {"stall_timeout": -1},
    ],
)
async def test_arguments_that_make_no_sense_are_refused_before_anything_is_asked(fake, music, tmp_path, arguments):
    with pytest.raises(ConfigurationError, match=next(iter(arguments))):
        await music.download(clip(fake), tmp_path / "new", **arguments)
    assert fake.asked == []
    assert names(tmp_path) == []


@pytest.mark.parametrize("what", ["c1f0", b"c1f0", 5, None, Bpm(avg_bpm=90), [Bpm(avg_bpm=90)], {"clip_id": "a"}])
async def test_what_has_no_files_is_refused(music, tmp_path, what):
    with pytest.raises(ConfigurationError, match="has no files"):
        await music.download(what, tmp_path)


async def test_wav_midi_and_timelines_are_saved_as_what_they_are(fake, music, tmp_path):
    serve(fake, "/c1.wav", b"RIFF", "audio/wav")
    serve(fake, "/midi/c1.mid", b"MThd", "audio/midi")
    timeline = LyricsTimeline(alignment=(AlignedWord(word="Here we go\n", start_s=1.5, end_s=2),))
    what = [Wav(wav_url=f"{fake.url}/c1.wav?sig=1"), Midi(midi_url=f"{fake.url}/midi/c1.mid"), timeline]
    paths = await music.download(what, tmp_path)
    assert [path.name for path in paths[:2]] == ["untitled [c1].wav", "untitled [c1].mid"]
    assert paths[2].suffix == ".lrc"
    assert [path.read_bytes() for path in paths] == [b"RIFF", b"MThd", b"[00:01.50]Here we go\n"]
    assert await music.download(what, tmp_path) == paths


async def test_wav_midi_and_timelines_are_named_after_their_song(fake, music, tmp_path):
    for path, content, kind in (("/c1.wav", b"RIFF", "audio/wav"), ("/c1.mid", b"MThd", "audio/midi")):
        serve(fake, path, content, kind)
    serve(fake, "/c1.mp3", b"\xff\xfb\x90\x64" + bytes(413), "audio/mpeg")
    song = Clip(clip_id="c1", title="Harbour", audio_url=f"{fake.url}/c1.mp3")
    timeline = LyricsTimeline(alignment=(AlignedWord(word="Here we go\n", start_s=1.5, end_s=2),))
    wav, midi = Wav(wav_url=f"{fake.url}/c1.wav"), Midi(midi_url=f"{fake.url}/c1.mid")
    paths = await music.download([song, wav, timeline], tmp_path, tags=True)
    assert [path.name.partition(" [")[0] for path in paths] == ["Harbour"] * 3
    assert [path.name for path in paths[:2]] == ["Harbour [c1].mp3", "Harbour [c1].wav"]
    assert mutagen.id3.ID3(paths[0]).getall("SYLT")[0].text == [("Here we go", 1500)]
    (later,) = await music.download(midi, tmp_path)
    assert later.name == "Harbour [c1].mid"


async def test_jobs_lend_their_names_and_the_clip_they_asked_for(fake, music, tmp_path):
    fake.script("/sonic/wav", {"message": "success", "data": {"wav_url": f"{fake.url}/x.wav"}})
    serve(fake, "/x.wav", b"RIFF", "audio/wav")
    job = music.submit(sonic.GetWav(clip_id="c9"), key="track 7")
    (path,) = await music.download(job, tmp_path, name="{operation} {key} {clip_id}")
    assert path.name == f"{job.operation.operation} track 7 c9.wav"
    with pytest.raises(ConfigurationError, match=r"\{key\} in name is known of a job only"):
        await music.download(await job, tmp_path, name="{key}")


# --- what is there already -------------------------------------------------------------------------------------------


async def test_a_whole_file_is_not_fetched_again_unless_asked(fake, music, tmp_path):
    serve(fake, "/a.mp3", MUSIC)
    (path,) = await music.download(clip(fake), tmp_path)
    sizes = []
    assert await music.download(clip(fake), tmp_path, progress=sizes.append) == [path]
    last = fake.asked[-1][1]
    assert (last.method, last.headers["Range"]) == ("GET", "bytes=-16384")
    assert [(one.done, one.total) for one in sizes] == [(path.stat().st_size,) * 2]
    before = len(fake.asked)
    await music.download(clip(fake), tmp_path, overwrite=True)
    assert "Range" not in fake.asked[-1][1].headers
    assert len(fake.asked) == before + 1


@pytest.mark.parametrize("content", [MUSIC[:-1], MUSIC[1:], MUSIC + b"x", MUSIC[:-1] + b"x", b"x" + MUSIC, b""])
async def test_a_file_that_is_not_as_the_host_has_it_is_fetched_again(fake, music, tmp_path, content):
    serve(fake, "/a.mp3", MUSIC)
    (tmp_path / "My Song [a].mp3").write_bytes(content)
    (path,) = await music.download(clip(fake), tmp_path, tags=False)
    assert path.read_bytes() == MUSIC


@pytest.mark.parametrize("there", [True, False])
async def test_parts_that_others_left_behind_go_with_the_whole_file(fake, music, tmp_path, there):
    serve(fake, "/a.mp3", MUSIC)
    path = tmp_path / "My Song [a].mp3"
    parts = [Part(path), Part(path)]
    for part in parts:
        part.open()
        part.begin(Known(source="elsewhere", etag='"e"', total=9))
        part.write(b"abc")
    for part in parts:
        part.release()
    if there:
        path.write_bytes(MUSIC)
    await music.download(clip(fake), tmp_path)
    assert names(tmp_path) == [path.name]


async def test_a_file_that_nobody_can_compare_any_more_is_kept(fake, music, tmp_path):
    path = tmp_path / "My Song [a].mp3"
    path.write_bytes(MUSIC)
    fake.script("/a.mp3", (404, "gone"))
    assert await music.download(clip(fake), tmp_path) == [path]
    with pytest.raises(DownloadFailed):
        await music.download(clip(fake), tmp_path, overwrite=True)
    assert path.read_bytes() == MUSIC


async def test_lyrics_that_somebody_changed_are_kept(fake, music, tmp_path):
    one = clip(fake, lyrics="words")
    (path,) = await music.download(one, tmp_path, formats="lyrics")
    path.write_text("better words")
    await music.download(one, tmp_path, formats="lyrics")
    assert path.read_text() == "better words"
    await music.download(one, tmp_path, formats="lyrics", overwrite=True)
    assert path.read_text() == "words"
    (other,) = await music.download(clip(fake, "b", lyrics="others"), tmp_path, formats="lyrics", name="{title} [[a]")
    assert other.read_text() == "others"


# --- failures --------------------------------------------------------------------------------------------------------


async def test_one_that_cannot_be_had_does_not_keep_the_others_from_being_saved(fake, music, tmp_path):
    for name in "acd":
        serve(fake, f"/{name}.mp3", name.encode())
    for name in "be":
        fake.script(f"/{name}.mp3", (404, "gone"))
    with pytest.raises(DownloadFailed, match=r"clip [be] could not be downloaded") as caught:
        await music.download([clip(fake, name) for name in "abcde"], tmp_path)
    error = caught.value
    assert isinstance(error, TransportError)
    assert [path.read_text() for path in error.saved] == ["a", "c", "d"]
    assert len(names(tmp_path)) == 3
    assert len(error.__notes__) == 1


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://[bad", "http://h.example:99999999/a.mp3", "", None])
async def test_a_clip_without_audio_says_so(music, tmp_path, url):
    with pytest.raises(DownloadFailed, match="clip a has no audio to download"):
        await music.download(Clip(clip_id="a", audio_url=url), tmp_path)


async def test_an_unfinished_clip_is_not_taken_for_a_song(fake, music, tmp_path):
    with pytest.raises(DownloadFailed, match="not finished"):
        await music.download(clip(fake, state="running"), tmp_path)
    assert fake.asked == []


async def test_a_job_that_failed_raises_its_own_error(fake, music, tmp_path):
    fake.script("/sonic/wav", (400, {"type": "validation_error", "error": "no"}))
    with pytest.raises(ApiError):
        await music.download(music.submit(sonic.GetWav(clip_id="c9")), tmp_path)


async def test_a_folder_that_cannot_be_written_is_an_os_error(fake, music, tmp_path):
    serve(fake, "/a.mp3", MUSIC)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        await music.download(clip(fake), tmp_path / "file")
    (tmp_path / "My Song [a].mp3").mkdir()
    with pytest.raises(OSError, match="My Song"):
        await music.download(clip(fake), tmp_path)
    assert names(tmp_path) == ["My Song [a].mp3", "file"]


# --- progress --------------------------------------------------------------------------------------------------------


async def test_progress_ends_with_all_the_bytes_of_each_file(fake, music, tmp_path):
    big = MUSIC * 400
    serve(fake, "/a.mp3", big)
    serve(fake, "/b.mp3", MUSIC)
    seen = []
    paths = await music.download([clip(fake), clip(fake, "b")], tmp_path, progress=seen.append, tags=False)
    for path in paths:
        mine = [one for one in seen if one.path == path]
        assert mine == sorted(mine, key=lambda one: one.done)
        assert mine[-1] == DownloadProgress(path=path, done=path.stat().st_size, total=path.stat().st_size)
        assert len(mine) < 30


async def test_an_error_in_the_progress_function_comes_out_as_itself(fake, music, tmp_path):
    serve(fake, "/a.mp3", MUSIC)

    def broken(_progress):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await music.download(clip(fake), tmp_path, progress=broken)
    assert "My Song [a].mp3" not in names(tmp_path)


# --- tags ------------------------------------------------------------------------------------------------------------


async def test_songs_are_tagged_with_their_cover_and_still_known_as_whole(fake, music, tmp_path):
    serve(fake, "/a.mp3", MUSIC)
    serve(fake, "/a.jpeg", JPEG, "image/jpeg")
    one = clip(
        fake, image_url=f"{fake.url}/a.jpeg", tags="folk", lyrics="la", created_at=datetime(2026, 3, 1, tzinfo=UTC)
    )
    (path,) = await music.download(one, tmp_path)
    tags = mutagen.id3.ID3(path)
    assert (tags["TIT2"].text, tags["TCON"].text) == (["My Song"], ["folk"])
    assert tags.getall("APIC")[0].data == JPEG
    assert path.read_bytes().endswith(MUSIC)
    before = len(fake.asked)
    assert await music.download(one, tmp_path) == [path]
    assert len(fake.asked) == before + 1
    assert names(tmp_path) == [path.name]


async def test_songs_that_come_with_tags_are_known_as_whole_too(fake, music, tmp_path):
    served = tmp_path / "served"
    served.write_bytes(MUSIC)
    old = mutagen.id3.ID3()
    old.add(mutagen.id3.COMM(encoding=3, lang="eng", desc="", text=["from the host " * 200]))
    old.save(served)
    serve(fake, "/a.mp3", served.read_bytes())
    (path,) = await music.download(clip(fake), tmp_path / "in")
    before = len(fake.asked)
    assert await music.download(clip(fake), tmp_path / "in") == [path]
    assert len(fake.asked) == before + 1


@pytest.mark.parametrize("cover", [(404, "gone"), (200, "<html>", {"Content-Type": "text/html"}), "stall"])
async def test_a_cover_that_cannot_be_had_costs_only_the_cover(fake, music, tmp_path, cover):
    serve(fake, "/a.mp3", MUSIC)

    async def stall(request):
        await asyncio.sleep(0.5)
        return web.Response()

    fake.script("/a.jpeg", stall if cover == "stall" else cover)
    (path,) = await music.download(clip(fake, image_url=f"{fake.url}/a.jpeg"), tmp_path, stall_timeout=0.2)
    assert mutagen.id3.ID3(path)["TIT2"].text == ["My Song"]


async def test_without_tags_or_without_mutagen_the_file_is_the_hosts(fake, music, tmp_path, monkeypatch):
    serve(fake, "/a.mp3", MUSIC)
    (path,) = await music.download(clip(fake), tmp_path / "1", tags=False)
    assert path.read_bytes() == MUSIC
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (path,) = await music.download(clip(fake), tmp_path / "2")
    assert path.read_bytes() == MUSIC
    with pytest.raises(ConfigurationError, match="mutagen"):
        await music.download(clip(fake), tmp_path / "3", tags=True)


# --- the sandbox -----------------------------------------------------------------------------------------------------


async def test_the_sandboxs_files_are_playable_and_differ_from_clip_to_clip(tmp_path, song):
    short = Options(speed=600, song_seconds=(24, 40))
    async with Sandbox(short) as box, MusicSession.sandbox(box) as sandbox:
        made = await sandbox.run(song())
        plain = await sandbox.download(made, tmp_path / "plain", tags=False)
        tagged = await sandbox.download(made, tmp_path / "tagged", formats=("audio", "cover", "lyrics"))
        assert await sandbox.download(made, tmp_path / "tagged", formats=("audio", "cover", "lyrics")) == tagged
    first, second = (path.read_bytes() for path in plain)
    assert first != second
    for content in (first, second):
        assert content[0] == 0xFF
        assert content[1] & 0xE0 == 0xE0
        assert len(content) > 100_000
    assert [path.suffix for path in tagged] == [".mp3", ".jpeg", ".txt"] * 2
    assert tagged[0].read_bytes().endswith(first)
    assert mutagen.id3.ID3(tagged[0]).getall("APIC")[0].data == tagged[1].read_bytes()


async def test_a_clip_in_several_formats_is_saved_under_one_name(tmp_path, song):
    short = Options(speed=600, song_seconds=(3, 4))
    async with Sandbox(short) as box, MusicSession.sandbox(box) as sandbox:
        clip = (await sandbox.run(song())).clips[0]
        files = await sandbox.run(sonic.Download(clip_id=clip.clip_id, formats=["wav", "mp3", "m4a"]))
        saved = await sandbox.download(files, tmp_path)
        assert await sandbox.download(files, tmp_path) == saved
    assert [path.suffix for path in saved] == [".wav", ".mp3", ".m4a"]
    assert len({path.stem for path in saved}) == 1
    assert clip.clip_id in saved[0].stem
    assert saved[0].read_bytes()[:4] == b"RIFF"
    assert saved[2].read_bytes()[4:8] == b"ftyp"
