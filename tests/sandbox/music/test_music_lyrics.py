"""Lyrics as something to sing."""

import pytest

from aimusic_async.sandbox.music.lyrics import only_tags, parse, sound, syllables


@pytest.mark.parametrize(
    ("word", "count"),
    [
        *(("line", 1), ("lanterns", 2), ("harbour", 2), ("table", 2), ("smile", 1), ("one", 1), ("the", 1), ("hmm", 1)),
        *(("e", 1), ("42", 2), ("漢字", 2), ("…", 1), ("🎵", 1), ("привет", 2), ("한국어", 3), ("x" * 5000, 1)),
    ],
)
def test_syllables_are_counted_as_they_are_sung(word, count):
    assert len(syllables(word)) == count


def test_a_syllable_has_a_vowel_and_perhaps_a_consonant():
    assert sound("sing") == ("i", "s")
    assert sound("oh") == ("o", "")
    assert sound("")[0] in "aeiou"


def test_tags_open_sections_and_lines_are_kept_apart():
    blocks = parse("[Verse 1]\none two\nthree\n\n[Pre-Chorus]\nfour\n[Guitar Solo]\n[Chorus]\nfive")
    assert [(block.kind, [line.syllables for line in block.lines]) for block in blocks] == [
        ("verse", [2, 1]),
        ("build", [1]),
        ("break", []),
        ("chorus", [1]),
    ]


def test_stanzas_without_tags_take_turns():
    assert [block.kind for block in parse("one\n\ntwo\n\nthree")] == ["verse", "chorus", "verse"]


def test_a_long_stanza_alone_becomes_verse_and_chorus():
    assert [(block.kind, len(block.lines)) for block in parse("a\nb\nc\nd")] == [("verse", 2), ("chorus", 2)]


def test_a_tag_with_a_space_is_split_as_the_service_does():
    word = parse("[Verse 1]\nLanterns on")[0].lines[0].words[0]
    assert word.pieces == ("[Verse ", "1]\nLanterns ")


def test_text_of_nothing_but_tags_is_known():
    assert only_tags("[Intro]\n[Instrumental] ")
    assert not only_tags("[Intro] la")
    assert not only_tags(" ")
