"""Names of files: one harmless path component each, whatever the title, and no two alike."""

import itertools
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aimusic_async import ConfigurationError
from aimusic_async.files.names import FIELDS, Template, alike, stems

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=400)
DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", *(f"{one}{n}" for one in ("COM", "LPT") for n in range(10))}


def stem(template="{title} [{clip_id}]", **values):
    return Template.parse(template).stem({"title": "Song", "clip_id": "a", "index": "01", "part": "", **values})


def harmless(name):
    """What must be true of a name on every system."""
    assert len(name.encode()) <= 255
    assert Path("folder", name).parent == Path("folder")
    assert not set(name) & set('<>:"/\\|?*')
    assert not any(unicodedata.category(char)[0] == "C" for char in name)  # controls, and what turns text round
    assert name.isprintable()
    assert name == name.strip(" ")
    assert name[0] not in ".-"
    assert name[-1] != "."
    assert name.split(".")[0].strip().upper() not in DEVICES
    return True


@given(
    title=ANY_TEXT,
    clip_id=ANY_TEXT,
    part=ANY_TEXT,
    template=st.sampled_from(["{title} [{clip_id}]", "{title}", "{index}{part}", "{clip_id}", "{title}.{title}{part}"]),
    which=st.integers(0, 4),
)
@example(title="../../etc/passwd", clip_id="../x", part="..\\", template="{title}", which=0)
@example(title="CON", clip_id="a", part="", template="{title}", which=0)
@example(title="com1 .tar", clip_id="a", part="", template="{title}", which=0)
@example(title="x" * 300, clip_id="y" * 300, part="z" * 300, template="{title}.{title}{part}", which=4)
@example(title="a\x00b\nc\u202e3pm", clip_id="\x00", part="\ud800", template="{title} [{clip_id}]", which=1)
@example(title=" .. ", clip_id="...", part="", template="{title}", which=0)
@example(title="🎵" * 90, clip_id="🎵" * 50, part="", template="{title} [{clip_id}]", which=2)
@example(title="--output=x", clip_id="a", part="", template="{title}", which=0)
def test_every_name_is_one_harmless_component(title, clip_id, part, template, which):
    filled = stem(template, title=title, clip_id=clip_id, part=part)
    name = next(itertools.islice(stems(filled, clip_id), which, None))
    assert harmless(name + ".mp3")
    assert harmless(name + ".jpeg")


@given(one=ANY_TEXT, other=ANY_TEXT, title=ANY_TEXT)
@example(one="a/b", other="a:b", title="t")
@example(one="AB", other="ab", title="t")
@example(one="é", other="e\u0301", title="t")
@example(one="x" * 300, other="x" * 301, title="t")
@example(one="x" * 60, other="x" * 61, title="🎵" * 100)
def test_two_ids_never_become_one_name_not_even_without_upper_case(one, other, title):
    if one != other:
        assert alike(stem(title=title, clip_id=one)) != alike(stem(title=title, clip_id=other))


@given(title=ANY_TEXT, clip_id=ANY_TEXT)
def test_further_names_of_one_clip_differ(title, clip_id):
    names = list(itertools.islice(stems(stem("{title}", title=title), clip_id), 12))
    assert len({alike(name) for name in names}) == 12


def test_a_name_reads_well():
    assert stem(title="AC/DC: live?", clip_id="c1f0") == "AC-DC- live- [c1f0]"
    assert stem(title="  Night\tBus\n") == "Night Bus [a]"
    assert stem(title="Été d’ailleurs 🎵") == "Été d’ailleurs 🎵 [a]"
    assert stem("{index} {title} {part}", part="Vocals") == "01 Song Vocals"
    assert stem("{title}", title="") == "untitled"
    assert stem("{key}", key="a/../b") == "a-..-b"
    assert list(itertools.islice(stems("Song", "c1"), 3)) == ["Song", "Song [c1]", "Song [c1] (2)"]
    assert list(itertools.islice(stems("Song [c1]", "c1"), 2)) == ["Song [c1]", "Song [c1] (2)"]


def test_too_long_a_name_keeps_apart_what_differs_at_its_end():
    template = "{title} {key} {operation} {part}"
    one, other = (
        stem(template, title="t" * 200, key="k" * 99, operation="o" * 99, part=part) for part in ("Vocals", "Drums")
    )
    assert one != other
    assert len(one.encode()) <= 220


@pytest.mark.parametrize(
    "template",
    [
        "{artist}",
        "{title.upper}",
        "{title[0]}",
        "{title!r}",
        "{index:03}",
        "{}",
        "{0}",
        "{title",
        "a/{title}",
        "..\\{title}",
        "",
        " ",
    ],
)
def test_a_template_is_checked_up_front(template):
    with pytest.raises(ConfigurationError, match="name"):
        Template.parse(template)


def test_a_template_tells_which_fields_it_holds():
    assert Template.parse("{index} – {title} {{live}}").fields == {"index", "title"}
    assert stem("{title} {{live}}") == "Song {live}"
    with pytest.raises(ConfigurationError, match=re.escape("{operation} {key}")):
        Template.parse("{nothing}")
    assert Template.parse("".join(f"{{{field}}}" for field in FIELDS)).fields == set(FIELDS)
