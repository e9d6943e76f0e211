"""ID3 tags: what the service says about a clip, in MP3 files only, and the music untouched."""

import importlib.util
from datetime import UTC, datetime

import mutagen.id3
import mutagen.mp3
import pytest

from aimusic_async import AlignedWord, Clip, ConfigurationError, LyricsTimeline
from aimusic_async.files.tags import Tags, tag_size, wanted, write_tags

MUSIC = (b"\xff\xfb\x90\x64" + bytes(413)) * 60
JPEG = b"\xff\xd8\xff\xe0 a picture"
CLIP = Clip(
    clip_id="c1f0",
    title="Été 🎵",
    tags="indie folk, warm",
    lyrics="[Verse]\nLanterns\nÜber",
    created_at=datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
)


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.mp3"
    path.write_bytes(MUSIC)
    return path


def test_everything_the_service_says_is_in_the_tags_and_the_music_is_as_it_was(song):
    assert write_tags(song, Tags.of(CLIP, JPEG))
    tags = mutagen.id3.ID3(song)
    assert tags["TIT2"].text == ["Été 🎵"]
    assert tags["TCON"].text == ["indie folk, warm"]
    assert str(tags["TDRC"].text[0]) == "2026-03-01 12:30:00"
    assert tags.getall("USLT")[0].text == "[Verse]\nLanterns\nÜber"
    assert tags.getall("COMM")[0].text == ["clip c1f0"]
    assert (tags.getall("APIC")[0].mime, tags.getall("APIC")[0].data) == ("image/jpeg", JPEG)
    assert not tags.getall("TPE1")  # the service names no artist, and we make none up
    content = song.read_bytes()
    assert content[tag_size(content[:10]) :] == MUSIC
    assert mutagen.mp3.MP3(song).info.length > 1


@pytest.mark.parametrize("genre", ["80", "17, rock", "(80)", "(80) pop", "(RX)", "RX", "CR", "1999", "²"])
def test_a_genre_that_looks_like_a_number_stays_text(song, genre):
    assert write_tags(song, Tags(genre=genre))
    assert [text.strip() for text in mutagen.id3.ID3(song)["TCON"].text] == [genre]


def test_words_in_time_stand_beside_the_lyrics(song):
    alignment = [("[Verse]\n", 0.5), ("Lan\x00terns\n", 0.92), ("Über", 1.31)]
    timeline = LyricsTimeline(alignment=tuple(AlignedWord(word=w, start_s=at, end_s=at + 0.1) for w, at in alignment))
    assert write_tags(song, Tags.of(CLIP, None, timeline))
    tags = mutagen.id3.ID3(song)
    (words,) = tags.getall("SYLT")
    assert (words.text, words.format, words.type) == ([("Lanterns", 920), ("\nÜber", 1310)], 2, 1)
    assert tags.getall("USLT")[0].text == CLIP.lyrics


def test_without_words_in_time_there_is_no_frame_for_them(song):
    assert write_tags(song, Tags.of(CLIP, None, LyricsTimeline(alignment=())))
    assert mutagen.id3.ID3(song).getall("SYLT") == []


def test_tags_that_were_there_stay_but_for_ours(song):
    old = mutagen.id3.ID3()
    old.add(mutagen.id3.TIT2(encoding=3, text=["old"]))
    old.add(mutagen.id3.TPE1(encoding=3, text=["somebody"]))
    old.save(song)
    assert write_tags(song, Tags(title="new"))
    tags = mutagen.id3.ID3(song)
    assert (tags["TIT2"].text, tags["TPE1"].text) == (["new"], ["somebody"])


def test_texts_that_no_tag_can_hold_are_cleaned(song):
    assert write_tags(song, Tags(title="a\x00b\ud800c", lyrics="x\ud800", comment="y\x00"))
    tags = mutagen.id3.ID3(song)
    assert tags["TIT2"].text == ["abc"]
    assert tags.getall("USLT")[0].text == "x"


def test_a_picture_of_another_kind_is_left_out(song):
    write_tags(song, Tags(title="t", cover=b"<svg onload=alert(1)>"))
    assert not mutagen.id3.ID3(song).getall("APIC")


@pytest.mark.parametrize(
    "content",
    [b"", b"ID3", b"\x00\x00\x00\x18ftypM4A ", b"RIFF\x00\x00\x00\x00WAVE", b"ID3\x09\x00\x00\xff\xff\xff\xff"],
)
def test_what_is_no_mp3_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    assert not write_tags(path, Tags(title="t"))
    assert path.read_bytes() == content


def test_tags_of_an_unknown_version_are_left_as_they_are(song):
    content = b"ID3\x09\x00\x00\x00\x00\x00\x04abcd" + MUSIC
    song.write_bytes(content)
    assert not write_tags(song, Tags(title="t"))
    assert song.read_bytes() == content


def test_without_mutagen_tags_are_written_only_when_nobody_asks_and_asking_is_an_error(monkeypatch):
    assert wanted(None)
    assert not wanted(False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not wanted(None)
    with pytest.raises(ConfigurationError, match=r"aimusic-async\[tags\]"):
        wanted(True)
