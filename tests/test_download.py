"""Downloads: whole files under harmless names, or none."""

import asyncio

import pytest
from aiohttp import web
from hypothesis import example, given
from hypothesis import strategies as st

from aimusic_async import Clip, MusicSession, Song, TransportError
from aimusic_async.download import file_name


@pytest.fixture
async def music(fake):
    """A session on the scripted service, which is a file host too."""
    async with MusicSession("s3cret", fake.url) as opened:
        yield opened


def clip(fake, name="a", title="My Song", **more):
    return Clip(clip_id=name, title=title, audio_url=f"{fake.url}/{name}.mp3", **more)


async def test_files_get_their_names_only_when_they_are_whole(fake, music, tmp_path):
    seen_meanwhile = []

    async def slowly(request):
        response = web.StreamResponse(headers={"Content-Length": "6"})
        await response.prepare(request)
        await response.write(b"abc")
        await asyncio.sleep(0.05)
        seen_meanwhile.extend(path.name for path in tmp_path.iterdir())
        await response.write(b"def")
        return response

    fake.script("/a.mp3", slowly)
    (path,) = await music.download(clip(fake), tmp_path)
    assert path.read_bytes() == b"abcdef"
    assert path.name == "My Song [a].mp3"
    assert seen_meanwhile
    assert all(name.startswith(".") for name in seen_meanwhile)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


async def test_the_key_is_not_sent_to_the_file_host(fake, music, tmp_path):
    fake.script("/a.mp3", "sound")
    await music.download(clip(fake), tmp_path)
    assert "Authorization" not in fake.asked[0][1].headers


async def test_a_song_is_all_its_clips_in_order_and_the_folder_is_made(fake, music, tmp_path):
    names = [f"clip{number}" for number in range(9)]
    for name in names:
        fake.script(f"/{name}.mp3", f"sound of {name}")
    song = Song(task_id="t", clips=tuple(clip(fake, name, title=name) for name in names))
    paths = await music.download(song, tmp_path / "new" / "folder")
    assert [path.read_text() for path in paths] == [f"sound of {name}" for name in names]


@pytest.mark.parametrize("broken", ["short", "missing", "gone"])
async def test_what_cannot_be_had_whole_leaves_nothing(fake, music, tmp_path, broken):
    async def short(request):
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"abc")
        request.transport.close()
        return response

    fake.script("/a.mp3", short if broken == "short" else (404, "not here"))
    one = clip(fake) if broken != "gone" else Clip(clip_id="a", audio_url="http://127.0.0.1:9/a.mp3")
    with pytest.raises(TransportError, match="clip a could not be downloaded"):
        await music.download(one, tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_clip_without_audio_says_so(fake, music, tmp_path):
    with pytest.raises(TransportError, match="no audio to download"):
        await music.download(Clip(clip_id="a", audio_url="file:///etc/passwd"), tmp_path)


async def test_a_cancelled_download_leaves_no_partial_file(fake, music, tmp_path):
    async def stall(request):
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"abc")
        await asyncio.sleep(30)
        return response

    fake.script("/a.mp3", stall)
    task = asyncio.create_task(music.download(clip(fake), tmp_path))
    while not list(tmp_path.iterdir()):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(tmp_path.iterdir()) == []


async def test_the_sandboxs_audio_is_playable_and_differs_from_clip_to_clip(tmp_path, song):
    async with MusicSession.sandbox(speed=600) as sandbox:
        paths = await sandbox.download(await sandbox.run(song()), tmp_path)
    first, second = (path.read_bytes() for path in paths)
    assert first != second
    for content in (first, second):
        assert content[0] == 0xFF
        assert content[1] & 0xE0 == 0xE0
        assert len(content) > 100_000


@given(title=st.text(max_size=300), clip_id=st.text(min_size=1, max_size=60))
@example(title="../../etc/passwd", clip_id="../x")
@example(title="CON", clip_id="a")
@example(title="x" * 300, clip_id="b")
@example(title="a\x00b\nc\u202e", clip_id="\x00")
@example(title=" .. ", clip_id="...")
@example(title="🎵" * 90, clip_id="🎵" * 50)
def test_no_title_escapes_or_breaks_the_folder(title, clip_id):
    name = file_name(Clip(clip_id=clip_id, title=title, audio_url="https://h/x.mp3"))
    assert not set(name) & set('/\\:*?"<>|\x00\n')
    assert name.isprintable()
    assert not name.startswith(".")
    assert name.endswith("].mp3")
    assert len(name.encode()) <= 255
    assert name.split(".")[0].upper().strip() not in {"CON", "NUL", "AUX", "PRN"}


def test_the_suffix_is_the_files_own_when_it_is_audio():
    assert file_name(Clip(clip_id="a", title="t", audio_url="https://h/x.wav?sig=1")) == "t [a].wav"
    assert file_name(Clip(clip_id="a", title="t", audio_url="https://h/x.exe")) == "t [a].mp3"
    assert file_name(Clip(clip_id="a", title=None, audio_url="https://h/x")) == "untitled [a].mp3"


async def test_two_clips_whose_ids_begin_alike_are_two_files(fake, music, tmp_path):
    names = ("clip-0001-a", "clip-0001-b")
    for name in names:
        fake.script(f"/{name}.mp3", f"sound of {name}")
    paths = await music.download(Song(task_id="t", clips=tuple(clip(fake, name) for name in names)), tmp_path)
    assert len(set(paths)) == 2


def test_ids_that_had_to_be_changed_stay_apart():
    one, other = (file_name(Clip(clip_id=name, title="t", audio_url="https://h/x.mp3")) for name in ("a/b", "a:b"))
    assert one != other


@pytest.mark.parametrize("url", ["http://[bad", "http://h.example:99999999/a.mp3"])
async def test_an_address_that_is_none_is_a_music_error(music, tmp_path, url):
    with pytest.raises(TransportError):
        await music.download(Clip(clip_id="a", audio_url=url), tmp_path)


@pytest.mark.parametrize("answer", [(202, "preparing"), (200, "<html>", {"Content-Type": "text/html"})])
async def test_a_page_is_not_saved_as_audio(fake, music, tmp_path, answer):
    fake.script("/a.mp3", answer)
    with pytest.raises(TransportError, match="is no audio"):
        await music.download(clip(fake), tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_joined_songs_and_wav_files_are_saved_too(fake, music, tmp_path):
    fake.script("/part.mp3", "part")
    fake.script("/whole.wav", "whole")
    whole = Clip(clip_id="whole", title="W", wav_url=f"{fake.url}/whole.wav")
    paths = await music.download(Song(task_id="t", clips=(clip(fake, "part"),), full=(whole,)), tmp_path)
    assert [path.name for path in paths] == ["My Song [part].mp3", "W [whole].wav"]
