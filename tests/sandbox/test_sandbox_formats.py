"""The sandbox without its libraries: songs can be made, files say what to install; without an encoder they are WAV."""

import importlib.util
import logging

import pytest

from aimusic_async import ConfigurationError, DownloadFailed, MusicSession, TransportError, producer, sonic
from aimusic_async.sandbox import Options, Sandbox, formats

SONG = sonic.CreateMusic(gpt_description_prompt="rain", mv="sonic-v5")
WHAT_TO_DO = r"pip install 'aimusic-async\[sandbox\]'"


@pytest.fixture
def without(monkeypatch):
    """A function that hides packages."""
    found = importlib.util.find_spec

    def hide(*names):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in names else found(name))
        formats.song_suffix.cache_clear()

    yield hide
    formats.song_suffix.cache_clear()


async def test_without_the_extra_songs_are_made_and_a_download_says_at_once_what_to_install(without, tmp_path, caplog):
    without("numpy", "mido", "PIL", "lameenc")
    async with MusicSession.sandbox(speed=600) as music:
        song = await music.run(SONG)
        with pytest.raises(ConfigurationError, match=WHAT_TO_DO):
            await music.download(song, tmp_path)
        assert await music.download(song, tmp_path, formats="lyrics")
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


async def test_a_sandbox_elsewhere_says_so_in_its_answer_and_prints_no_traceback(without, tmp_path, caplog):
    without("mido")
    async with Sandbox(Options(speed=600)) as box, MusicSession(box.key, box.url) as music:
        song = await music.run(SONG, timeout=600)
        with pytest.raises(TransportError, match=WHAT_TO_DO):
            await music.download(song, tmp_path)
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


async def test_without_an_encoder_songs_are_wav_files_and_the_log_says_so(without, tmp_path, caplog):
    without("lameenc")
    caplog.set_level(logging.INFO, "aimusic_async")
    async with MusicSession.sandbox(speed=600) as music:
        song = await music.run(SONG)
        paths = await music.download(song, tmp_path)
        made = await music.run(producer.CreateMusic(sound="rain", make_instrumental=True))
        wanted = await music.run(producer.Download(clip_id=made.clips[0].clip_id, format="mp3"))
        also = await music.download(wanted, tmp_path / "wanted")
        files = await music.run(sonic.Download(clip_id=song.clips[0].clip_id, formats=["mp3"]))
        with pytest.raises(DownloadFailed, match="HTTP 501"):
            await music.download(files, tmp_path / "files")
    assert all(path.read_bytes().startswith(b"RIFF") for path in also)
    assert {path.suffix for path in paths} == {".wav"}
    assert all(path.read_bytes().startswith(b"RIFF") for path in paths)
    assert "songs are WAV files, not MP3" in caplog.text
