"""Manifests: four formats give the same requests, and every fault is reported with its line."""

import codecs
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aimusic_async import ConfigurationError, nuro, sonic, to_plain
from aimusic_async.batch import ManifestError, read_manifest
from aimusic_async.manifest import parse_manifest
from aimusic_async.manifest import reading as limits

SONG = {"op": "sonic.create_music", "key": "a", "mv": "sonic-v5", "prompt": "[Verse]\nHere we go", "title": "Rain"}


def as_jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def faults(data, file):
    """All that is wrong with a manifest, as lines."""
    data = data.encode() if isinstance(data, str) else data
    with pytest.raises(ManifestError) as caught:
        parse_manifest(data, file)
    assert str(caught.value).splitlines() == [str(fault) for fault in caught.value.faults]
    return str(caught.value).splitlines()


def requests(data, file):
    data = data.encode() if isinstance(data, str) else data
    return {row.key: row.request for row in parse_manifest(data, file)}


# --- what is right ---------------------------------------------------------------------------------------------------

CSV = """\
op,key,title,mv,prompt,make_instrumental,style_weight,duration,version,genre,description,segments,mashup_clip_ids
sonic.create_music,a,Rain,sonic-v5,"[Verse]
Here ""we"" go",yes,0.5,60,,,,,
sonic.mashup,b,,sonic-v5,la,,,,,,,,id-1 | id-2

nuro.create_instrumental,c,,,,,,,v2.0,,a storm,"[{""name"": ""verse"", ""duration"": 30}]",
"""
YAML = """\
# comments are fine
- &song
  op: sonic.create_music
  key: a
  title: Rain
  mv: sonic-v5
  prompt: "[Verse]\\nHere \\"we\\" go"
  make_instrumental: yes
  style_weight: 0.5
  duration: 60
- op: sonic.mashup
  key: b
  mv: sonic-v5
  prompt: la
  mashup_clip_ids: [id-1, id-2]
- op: nuro.create_instrumental
  key: c
  version: v2.0
  description: a storm
  segments:
    - {name: verse, duration: 30}
"""
TOML = '''\
[[row]]
op = "sonic.create_music"
key = "a"
title = "Rain"
mv = "sonic-v5"
prompt = """[Verse]
Here "we" go"""
make_instrumental = true
style_weight = 0.5
duration = 60
[[row]]
op = "sonic.mashup"
key = "b"
mv = "sonic-v5"
prompt = "la"
mashup_clip_ids = ["id-1", "id-2"]
[[row]]
op = "nuro.create_instrumental"
key = "c"
version = "v2.0"
description = "a storm"
segments = [{name = "verse", duration = 30}]
'''
EXPECTED = {
    "a": sonic.CreateMusic(
        title="Rain",
        mv="sonic-v5",
        prompt='[Verse]\nHere "we" go',
        make_instrumental=True,
        style_weight=0.5,
        duration=60,
    ),
    "b": sonic.Mashup(mv="sonic-v5", prompt="la", mashup_clip_ids=["id-1", "id-2"]),
    "c": nuro.CreateInstrumental(
        version="v2.0", description="a storm", segments=[nuro.Segment(name="verse", duration=30)]
    ),
}
JSONL = as_jsonl(*({"key": key, **to_plain(request)} for key, request in EXPECTED.items())).decode()
FORMATS = {"jsonl": JSONL, "csv": CSV, "yaml": YAML, "toml": TOML}


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_requests(suffix):
    assert requests(FORMATS[suffix], f"songs.{suffix}") == EXPECTED


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_byte_order_mark_and_windows_line_ends_change_nothing(suffix):
    data = codecs.BOM_UTF8 + FORMATS[suffix].replace("\n", "\r\n").encode()
    assert requests(data, f"songs.{suffix.upper()}").keys() == EXPECTED.keys()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_cells_may_be_set_apart_by_comma_semicolon_or_tab(delimiter):
    lines = [["op", "mv", "title", "gpt_description_prompt"], ["sonic.create_music", "sonic-v5", "Rain", '"sun, moon"']]
    data = "\n".join(delimiter.join(line) for line in lines)
    (request,) = requests(data, "songs.csv").values()
    assert request == sonic.CreateMusic(mv="sonic-v5", title="Rain", gpt_description_prompt="sun, moon")


def test_numbers_in_cells_are_as_json_has_them():
    lines = "op,clip_id,vocal_start_s,vocal_end_s\nsonic.get_vox,x,1,2.50\n"
    ((key, request),) = requests(lines, "songs.csv").items()
    row = {"op": "sonic.get_vox", "clip_id": "x", "vocal_start_s": 1, "vocal_end_s": 2.5}
    assert requests(as_jsonl(row), "songs.jsonl") == {key: request}
    assert str(request.vocal_start_s) == "1"


def test_null_and_empty_cells_are_not_given():
    (request,) = requests(as_jsonl({**SONG, "tags": None, "custom_mode": None}), "a.jsonl").values()
    assert request == requests("op,key,mv,prompt,title,tags\nsonic.create_music,a,sonic-v5,"
                               '"[Verse]\nHere we go",Rain,\n', "a.csv")["a"]  # fmt: skip


def test_yaml_rows_take_in_what_others_have_in_common():
    text = """
- &base {op: sonic.create_music, key: a, mv: sonic-v5, make_instrumental: on, title: 2024-01-01}
- {<<: *base, key: b, title: "Two"}
- {key: c, <<: [*base, {tags: pop}]}
"""
    found = requests(text, "a.yml")
    assert [(one.title, one.tags) for one in found.values()] == [
        ("2024-01-01", None),
        ("Two", None),
        ("2024-01-01", "pop"),
    ]
    assert list(found) == ["a", "b", "c"]


def test_without_a_key_a_row_is_named_as_a_group_names_it():
    row = {name: value for name, value in SONG.items() if name != "key"}
    shuffled = dict(reversed(row.items()))
    rows = list(parse_manifest(as_jsonl(row, {**row, "title": "Sun"}, shuffled), "a.jsonl"))
    assert rows[0].key.startswith("sonic.create_music:")
    assert rows[0].key.endswith("#1")
    assert rows[2].key == rows[0].key.replace("#1", "#2")
    assert len({row.key for row in rows}) == 3
    assert not any(row.named for row in rows)


def test_a_key_may_be_a_number():
    assert list(requests(as_jsonl({**SONG, "key": 7}), "a.jsonl")) == ["7"]


def test_the_batch_is_named_after_the_file():
    assert parse_manifest(as_jsonl(SONG), "some/where/my songs.jsonl").name == "my songs"


def test_a_secret_does_not_decide_the_name_and_is_in_no_fault():
    row = {"op": "sonic.stems_basic", "clip_id": "x", "webhook_url": "https://a.example", "webhook_secret": "hidden-1"}
    one, two = (next(iter(requests(as_jsonl({**row, "webhook_secret": word}), "a.jsonl"))) for word in ("x1", "x2"))
    assert one == two
    for wrong in ({"webhook_secret": ["hidden-1"]}, {"webhook_secret": "$hidden-1"}):
        (reported,) = faults(as_jsonl({**row, **wrong}), "a.jsonl")
        assert "webhook_secret" in reported
        assert "hidden" not in reported


# --- what is wrong ---------------------------------------------------------------------------------------------------

LONG = "la " * 40
WRONG = {
    "unknown operation": (
        as_jsonl({"op": "sonic.create_musik"}),
        "a.jsonl:1: op: must name an operation (did you mean sonic.create_music?); got 'sonic.create_musik'",
    ),
    "no operation": (
        as_jsonl({"key": "a"}),
        "a.jsonl:1: op: is required: the operation, such as sonic.create_music",
    ),
    "unknown field": (
        as_jsonl(SONG, {"op": "sonic.stems_basic", "clip_id": "x", "clipid": "y"}),
        "a.jsonl:2: clipid: is not a field of sonic.stems_basic (did you mean clip_id?); got 'y'",
    ),
    "missing field": (
        as_jsonl({"op": "sonic.stems_basic"}),
        "a.jsonl:1: clip_id: is required by sonic.stems_basic",
    ),
    "too long": (
        as_jsonl({**SONG, "title": LONG}),
        (
            "a.jsonl:1: title: must be at most 80 characters long, is 120; "
            "got 'la la la la la la la la la la la la la …' (120 characters)"
        ),
    ),
    "wrong type": (as_jsonl({**SONG, "title": 5}), "a.jsonl:1: title: must be a string, not int; got 5"),
    "out of range": (
        as_jsonl({**SONG, "style_weight": 1.5}),
        "a.jsonl:1: style_weight: must be a number between 0 and 1; got 1.5",
    ),
    "no such choice": (
        as_jsonl({**SONG, "vocal_gender": "x"}),
        "a.jsonl:1: vocal_gender: must be 'f' or 'm'; got 'x'",
    ),
    "rules about several fields": (
        as_jsonl({**SONG, "custom_mode": False}),
        (
            "a.jsonl:1: prompt: goes with custom_mode=True; use gpt_description_prompt to describe a song; "
            "got '[Verse]\\nHere we go'"
        ),
    ),
    "doubled key": (as_jsonl(SONG, SONG), "a.jsonl:2: key: is the key of a.jsonl:1 already; got a"),
    "key of a wrong kind": (as_jsonl({**SONG, "key": [1]}), "a.jsonl:1: key: must be a text; got [1]"),
    "key that a terminal obeys": (
        as_jsonl({**SONG, "key": "a\x1b[2J"}),
        "a.jsonl:1: key: must be printable, without white space around it; got 'a\\x1b[2J'",
    ),
    "field name that a terminal obeys": (
        as_jsonl({**SONG, "x\x1b[2J": 1}),
        "a.jsonl:1: 'x\\x1b[2J': is not a field of sonic.create_music; got 1",
    ),
    "half a character": (
        as_jsonl({**SONG, "title": "\ud83c"}),
        "a.jsonl:1: title: holds half a character (a surrogate without its other half)",
    ),
    "wrong entry": (
        as_jsonl({**to_plain(EXPECTED["c"]), "segments": [{"name": "verse", "duration": 500}]}),
        "a.jsonl:1: duration: must be a number between 5 and 120; got 500",
    ),
    "no table": (b"[1, 2]\n", "a.jsonl:1: a row is a table of fields, not list"),
    "no json": (b'\n{"op": }\n', "a.jsonl:2: is not JSON: Expecting value at column 8"),
    "doubled field": (
        b'{"op": "sonic.get_bpm", "clip_id": "x", "clip_id": "y"}',
        "a.jsonl:1: clip_id: stands 2 times in one object",
    ),
    "not a number": (b'{"op": NaN}', "a.jsonl:1: is not JSON that can be used: NaN is not a number"),
    "nested": (b'{"op": ' * 100_000, "a.jsonl:1: is nested too deeply"),
    "latin 1": (as_jsonl(SONG) + '{"op": "é"}'.encode("latin-1"), "a.jsonl:2: is not UTF-8: byte 0xe9"),
    "utf 16": ("x".encode("utf-16"), "a.jsonl:1: is UTF-16; save it as UTF-8"),
    "empty": (b"\n \n", "a.jsonl: holds no rows"),
    "csv: no operation": (
        b"key,title\na,b\n",
        "a.csv:1: the first line must name the columns, op among them; got key,title",
    ),
    "csv: doubled column": (b"op,title,title\nsonic.x,a,b\n", "a.csv:1: title: is the name of 2 columns"),
    "csv: too many cells": (
        b"op,tags\nsonic.upsample_tags,pop\nsonic.upsample_tags,pop,rock\n",
        "a.csv:3: has 3 cells, and there are 2 columns",
    ),
    "csv: broken quotes": (
        b'op,tags\nsonic.upsample_tags,"pop\n',
        "a.csv:2: is not CSV: unexpected end of data; the rest was not read",
    ),
    "csv: line after cells of several lines": (
        b'op,tags,title\nsonic.upsample_tags,"pop,\nrock",\nsonic.upsample_tags,,x\n',
        (
            "a.csv:4: title: is not a field of sonic.upsample_tags; got 'x'\n"
            "a.csv:4: tags: is required by sonic.upsample_tags"
        ),
    ),
    "csv: no boolean": (
        b"op,mv,make_instrumental\nsonic.create_music,sonic-v5,maybe\n",
        "a.csv:2: make_instrumental: must be True or False, not str; got 'maybe'",
    ),
    "csv: no whole number": (
        b"op,mv,make_instrumental,duration\nsonic.create_music,sonic-v5,yes,1.5\n",
        "a.csv:2: duration: must be a whole number, not str; got '1.5'",
    ),
    "csv: decimal comma": (
        b"op;mv;make_instrumental;style_weight\nsonic.create_music;sonic-v5;yes;0,5\n",
        "a.csv:2: style_weight: must be a number, not str; got '0,5'",
    ),
    "csv: short list": (
        b"op,mv,prompt,mashup_clip_ids\nsonic.mashup,sonic-v5,la,one\n",
        "a.csv:2: mashup_clip_ids: must hold exactly 2 entries, holds 1; got ['one']",
    ),
    "csv: not utf-8": (b"op,tags\nsonic.upsample_tags,\xff\n", "a.csv:2: is not UTF-8: byte 0xff"),
    "yaml: line of the field": (
        b"- op: sonic.upsample_tags\n  tags: pop\n- op: sonic.upsample_tags\n  tags: 5\n",
        "a.yaml:4: tags: must be a string, not int; got 5",
    ),
    "yaml: doubled field": (
        b"- op: sonic.upsample_tags\n  tags: a\n  tags: b\n",
        "a.yaml:3: tags: stands twice in one table",
    ),
    "yaml: no list": (
        b"op: sonic.upsample_tags\n",
        "a.yaml:1: must be a list of rows, each with a dash before it: `- op: …`",
    ),
    "yaml: tag": (
        b"- !!python/object:os.system {op: x}\n- x",
        "a.yaml:1: the tag tag:yaml.org,2002:python/object:os.system is not for a manifest",
    ),
    "yaml: tagged value": (
        b"- op: !!binary aGk=\n",
        "a.yaml:1: the tag tag:yaml.org,2002:binary is not for a manifest",
    ),
    "yaml: two documents": (
        b"- {op: sonic.upsample_tags, tags: a}\n---\n- {}\n",
        "a.yaml:2: holds a second document; put all rows into one list",
    ),
    "yaml: unknown alias": (b"- {op: *nobody}\n", "a.yaml:1: the alias *nobody stands for nothing before it"),
    "yaml: nested": (b"- " * 100_000, "a.yaml:1: is nested more than 20 deep"),
    "yaml: name that is not a text": (b"- {5: x}\n", "a.yaml:1: a field's name must be a text, not int"),
    "yaml: long number": (b"- {op: 0x" + b"f" * 9000 + b"}\n", "a.yaml:1: op: is too long a number"),
    "toml: line of the row": (
        b'[[row]]\nop = "sonic.upsample_tags"\ntags = "a"\n\n[[row]]\nop = "sonic.upsample_tags"\n',
        "a.toml:5: tags: is required by sonic.upsample_tags",
    ),
    "toml: lines that nobody knows": (
        b'[[row]]\nop = "sonic.upsample_tags"\ntags = """\n[[row]]\n"""\n[[row]]\nop = "sonic.upsample_tags"\n',
        "a.toml:row 2: tags: is required by sonic.upsample_tags",
    ),
    "toml: broken": (b'[[row]]\nop = "a"\nop = "b"\n', "a.toml:3: is not TOML: Cannot overwrite a value"),
    "toml: other tables": (b'[song]\nop = "a"\n', "a.toml: song: is not known here; each row is a table [[row]]"),
    "toml: one bracket": (
        b'[row]\nop = "a"\n',
        "a.toml: row: each row is a table of its own: [[row]], with two brackets",
    ),
    "toml: a day": (
        b'[[row]]\nop = "sonic.upsample_tags"\ntags = 2024-01-01\n',
        "a.toml:1: tags: must be a string, not date; got datetime.date(2024, 1, 1)",
    ),
    "no format": (
        b"",
        "a.txt: the suffix of its name must be one of .jsonl, .ndjson, .csv, .yaml, .yml, .toml",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_reported_with_its_place(name):
    data, expected = WRONG[name]
    reported = faults(data, expected.partition(":")[0])
    assert reported == expected.split("\n")


@pytest.mark.parametrize("data", ["- op: [a\n- b\n", "- op: a\n\tkey: b\n", "- \x00", "- 'a", "- {op: %}"])
def test_broken_yaml_is_reported_with_a_line(data):
    (reported,) = faults(data, "a.yaml")
    assert re.match(r"a\.yaml:[123]: is not YAML: \w+", reported)


def test_all_faults_are_reported_in_the_order_of_the_file():
    rows = [
        {"op": "sonic.get_bpm"},
        {"op": "sonic.get_bpm", "clip_id": "$nobody.clip"},
        {**SONG, "title": LONG, "mv": 5, "x": 1},
        {"op": "sonic.nothing"},
    ]
    reported = faults(as_jsonl(*rows[:2]) + b"{\n" + as_jsonl(*rows[2:]), "a.jsonl")
    assert [line.split(":")[1] for line in reported] == ["1", "2", "3", "4", "4", "4", "5"]
    assert {line.split(": ")[1] for line in reported if line.startswith("a.jsonl:4")} == {"title", "mv", "x"}


def test_too_much_is_reported_and_not_read(monkeypatch):
    from aimusic_async.manifest import loading

    monkeypatch.setattr(limits, "MOST_ROWS", 2)
    monkeypatch.setattr(loading, "MOST_BYTES", 1000)
    monkeypatch.setattr(loading, "MOST_BYTES_AT_ONCE", 500)
    row = {"op": "sonic.get_bpm", "clip_id": "x"}
    many = {
        "jsonl": as_jsonl(*[row] * 3),
        "csv": b"op,clip_id\n" + b"sonic.get_bpm,x\n" * 3,
        "yaml": b"- {op: sonic.get_bpm, clip_id: x}\n" * 3,
        "toml": b'[[row]]\nop = "sonic.get_bpm"\nclip_id = "x"\n' * 3,
    }
    for suffix, data in many.items():
        (reported,) = faults(data, f"a.{suffix}")
        assert reported.endswith(": holds more than 2 rows; split it")
    assert faults(b" " * 1001, "a.jsonl") == ["a.jsonl: is larger than 0 MB; split it"]
    assert faults(b" " * 501, "a.toml") == ["a.toml: is larger than 0 MB; split it, or write it as JSONL"]


def test_aliases_of_aliases_do_not_grow_without_end():
    lines = ["- &a0 {x: 1}", *(f"- &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)), "- {op: *a8}"]
    reported = faults("\n".join(lines), "a.yaml")
    assert any("one row holds more than 10000 values" in line for line in reported)


def test_an_alias_of_itself_is_a_fault():
    assert faults("- &a {op: *a}", "a.yaml") == ["a.yaml:1: the alias *a stands for nothing before it"]


def test_a_file_that_cannot_be_read_is_one_clear_error(tmp_path):
    with pytest.raises(ConfigurationError, match=r"cannot read .*nowhere\.jsonl: No such file"):
        read_manifest(tmp_path / "nowhere.jsonl")
    with pytest.raises(ConfigurationError, match="cannot read"):
        read_manifest(tmp_path)


def test_without_the_extra_yaml_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "yaml", None)
    assert faults(b"- {}", "a.yaml") == [
        "a.yaml: YAML needs the extra `cli`: pip install 'aimusic-async[cli]'; JSONL needs nothing",
        "a.yaml: holds no rows",
    ][:1]  # fmt: skip


# --- whatever comes --------------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        b"op",
        b"sonic.create_music",
        b"key",
        b"$a.clip",
        b"clip_id",
        b'"',
        b"'",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b": ",
        b",",
        b"\n",
        b"\n- ",
        b"\n  ",
        b"&a ",
        b"*a",
        b"<<",
        b"!!int ",
        b"[[row]]\n",
        b" = ",
        b"1e999",
        b"0x",
        b"-",
        b"\xff",
        b"\\ud800",
        b"\x00",
        b"\xef\xbb\xbf",
        b"null",
        b"~",
        b"2024-02-30",
        b"1:30",
        b"=",
        b"? ",
        b"|",
        b">",
        b"#",
        b"%",
        b"---",
        b"\r",
        b"\t",
        b"\x85",
    ]
)
ANY_BYTES = st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=40).map(b"".join))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["$a.clip", "$$", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["op", "key", "clip_id", "mv", "prompt", "segments", "version"]) | st.text(max_size=8)
OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["sonic.create_music", "sonic.stems_basic", "nuro.create_instrumental", "sonic.mashup"])}
)
ROWS = st.builds(lambda fields, op: {**fields, **op}, st.dictionaries(NAMES, VALUES, max_size=6), OPERATIONS)


@settings(deadline=None, max_examples=60)
@given(data=ANY_BYTES, suffix=st.sampled_from(["jsonl", "csv", "yaml", "toml"]))
def test_any_bytes_are_a_manifest_or_faults(data, suffix):
    try:
        assert len(parse_manifest(data, f"a.{suffix}")) > 0
    except ManifestError as error:
        assert all(str(fault).isprintable() for fault in error.faults)


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(ROWS, max_size=4))
def test_any_rows_are_a_manifest_or_faults(rows):
    data = "\n".join(json.dumps(row) for row in rows).encode()
    try:
        manifest = parse_manifest(data, "a.jsonl")
    except ManifestError as error:
        assert all(str(fault).isprintable() for fault in error.faults)
    else:
        assert len({row.key for row in manifest}) == len(manifest)
