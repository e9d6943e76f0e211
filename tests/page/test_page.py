"""A page is one file that refers to its neighbours only, and shows whatever it is given as text."""

import base64
import hashlib
import json
import math
import sys
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aimusic_async import (
    AlignedWord,
    Clip,
    ConfigurationError,
    JobChanged,
    JobState,
    LyricsTimeline,
    Purpose,
    RequestRefused,
    RequestSent,
    Song,
    Stems,
)
from aimusic_async.page import History, Stem, Track, tracks_of, write_page

HOSTILE = (
    "</script><script>window.pwned = 1</script>",
    '"><img src=x onerror="window.pwned = 1">',
    "' onmouseover='window.pwned = 1",
    "javascript:window.pwned=1",
    "<!--<script>",
    "{{ 7 * 7 }}{% raw %}",
    "\u202eevil\u2066 \u200f",
    "\ud800 lone, \x00 nothing, \u2028 line",
    "x" * 5000,
)


class Reader(HTMLParser):
    """The elements of a page with their attributes, its text, and what stands in each script."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.words, self.scripts, self.inside = [], [], [], None
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts[-1] += data
        else:
            self.words.append(data)

    def all(self, tag, name):
        """The attribute of every element of a kind that has it."""
        return [attrs[name] for kind, attrs in self.elements if kind == tag and name in attrs]

    @property
    def text(self):
        return "".join(self.words)


@pytest.fixture
def make(tmp_path):
    """A function that makes a file in the folder."""

    def file(name, folder=tmp_path):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sound")
        return path

    return file


def word(text, start=0.0, end=1.0):
    return AlignedWord(word=text, start_s=start, end_s=end)


def everything(make, sheet, text):
    """A track and a history that say `text` wherever one can say something."""
    track = Track(
        key=text,
        title=text,
        audio=make("a.mp3"),
        tags=text,
        lyrics=text,
        words=[word(text)],
        stems=[Stem(text, make("s.mp3"))],
        facts={text: text},
    )
    gone = Track(key=text, title=text, failed=text, lyrics=text)
    history, job = History(), sheet(text, task_id=text, error=ValueError(text))
    history.hear(JobChanged(job, JobState.QUEUED), 0.0)
    history.hear(RequestSent(Purpose.SUBMIT, job), 1.0)
    history.hear(JobChanged(job, JobState.FAILED), 2.0)
    return [track, gone], history


def test_the_page_stands_beside_the_audio_and_nothing_else_is_left(make, tmp_path):
    path = write_page(tmp_path, [Track(key="a", title="Song", audio=make("a.mp3"))])
    assert path == tmp_path / "index.html"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.mp3", "index.html"]
    write_page(str(tmp_path), [], title="Again")
    assert "Again" in path.read_text("utf-8")
    assert "There are no tracks" in path.read_text("utf-8")


def test_a_folder_that_is_not_there_is_made(tmp_path):
    assert write_page(tmp_path / "new", [Track(key="a", title="Song", failed="no")]).is_file()


@pytest.mark.parametrize(
    "name", ["a b.mp3", "100% #1?.mp3", "javascript:alert(1).mp3", "ünï<cøde>.mp3", "sub/deep &amp.mp3", "\"q'.mp3"]
)
def test_files_are_addressed_relative_to_the_page_and_percent_encoded(make, tmp_path, name):
    audio = make(name)
    page = Reader(
        write_page(tmp_path, [Track(key="a", title="Song", audio=audio, cover=audio, stems=[Stem("x", audio)])])
    )
    for address in page.all("audio", "src") + page.all("img", "src"):
        assert unquote(address) == name
        assert not set(address) & set(":?#\"'<>& ")
    assert len(page.all("audio", "src")) == 2


@pytest.mark.parametrize("name", ["audio", "cover", "stems"])
@pytest.mark.parametrize("way", ["beside", "up", "missing", "folder"])
def test_what_is_not_a_file_inside_of_the_folder_is_refused(make, tmp_path, name, way):
    inside = tmp_path / "out"
    make("out/good.mp3")
    path = {
        "beside": make("elsewhere/a.mp3"),
        "up": inside / ".." / "elsewhere" / "a.mp3",
        "missing": inside / "b.mp3",
        "folder": inside / "..",
    }[way]
    track = Track(key="a", title="Song", **{name: [Stem("x", path)] if name == "stems" else path})
    with pytest.raises(ConfigurationError, match=r"is not|is missing"):
        write_page(inside, [track])
    assert not (inside / "index.html").exists()


def test_a_file_that_is_named_by_another_path_into_the_folder_is_inside(make, tmp_path):
    make("out/a.mp3")
    link = tmp_path / "link"
    try:
        link.symlink_to(tmp_path / "out")
    except OSError:
        pytest.skip("no symbolic links here")
    page = Reader(write_page(tmp_path / "out", [Track(key="a", title="Song", audio=link / ".." / "out" / "a.mp3")]))
    assert page.all("audio", "src") == ["a.mp3"]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_untrusted_text_is_shown_and_never_becomes_markup(make, sheet, tmp_path, text):
    plain = Reader(write_page(tmp_path, *everything(make, sheet, "plain"), title="plain"))
    page = Reader(write_page(tmp_path, *everything(make, sheet, text), title=text))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert [sorted(attrs) for _, attrs in page.elements] == [sorted(attrs) for _, attrs in plain.elements]
    if not set(text) & {"\ud800", "\x00"}:
        assert page.text.count(text) >= 12
        assert json.loads(page.scripts[0])["tracks"][0]["title"] == text
    assert page.scripts[1] == plain.scripts[1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(text=st.text(st.characters(exclude_categories=()), min_size=1))
def test_no_text_changes_the_elements_of_the_page(make, sheet, tmp_path, text):
    page = Reader(write_page(tmp_path, *everything(make, sheet, f"a{text}"), title=text))
    assert len(page.scripts) == 2
    assert json.loads(page.scripts[0])["tracks"][0]["title"] == f"a{text}".strip()
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on") or name == "style"]


def test_the_policy_names_style_and_script_by_their_hashes_and_allows_nothing_else_to_run(make, sheet, tmp_path):
    page = Reader(write_page(tmp_path, *everything(make, sheet, "plain")))
    (policy,) = [
        attrs["content"] for tag, attrs in page.elements if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    wanted = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert rules["script-src"] == f"'sha256-{wanted}'"
    assert rules["default-src"] == "'none'"
    assert rules["media-src"] == rules["img-src"] == "'self' file:"
    assert "unsafe" not in policy
    assert "http" not in policy


def test_nothing_on_the_page_has_an_address_of_another_machine(make, sheet, tmp_path):
    page = Reader(write_page(tmp_path, *everything(make, sheet, "plain")))
    for _, attrs in page.elements:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            assert "//" not in attrs.get(name, "")


def test_a_failed_track_says_why_and_has_no_player(tmp_path):
    page = Reader(write_page(tmp_path, [Track(key="a", title="Song", failed="the words were refused")]))
    assert "the words were refused" in page.text
    assert not page.all("audio", "src")
    assert "0 tracks · 1 failed" in page.text


def test_stems_without_their_song_can_be_played(make, tmp_path):
    stems = [Stem("Vocals", make("v.mp3")), Stem("Bass", make("b.mp3"))]
    page = Reader(write_page(tmp_path, [Track(key="a", title="Song", stems=stems)]))
    assert page.all("audio", "src") == ["v.mp3", "v.mp3", "b.mp3"]
    assert json.loads(page.scripts[0])["tracks"][0]["partsOnly"] is True


def test_lyrics_in_time_become_lines_headings_and_words_with_their_seconds(make, tmp_path):
    words = [
        word("[Ver", 0, 0.5),
        word("se]\nLan", 0.5, 1.0),
        word("terns ", 1.0, 1.5),
        word("on\n\n\n", 2.0, 2.5),
        word("[Chorus] Bring", 3.0, 3.5),
        word(" it", math.nan, 4.0),
        word("\n", 5.0, 5.0),
    ]
    page = Reader(write_page(tmp_path, [Track(key="a", title="Song", audio=make("a.mp3"), words=words)]))
    shown = [
        attrs["class"]
        for tag, attrs in page.elements
        if tag == "p" and attrs.get("class") in {"section", "line", "gap"}
    ]
    assert shown == ["section", "line", "gap", "section", "line"]
    assert json.loads(page.scripts[0])["tracks"][0]["words"] == [[0.5, 1.0], [1.0, 1.5], [2.0, 2.5], [3.0, 3.5]]
    assert page.all("span", "class").count("word") == 4
    assert "Lanterns on" in page.text
    assert "Verse" in page.text
    assert "[Verse]" not in page.text


def test_a_bracket_that_nobody_closes_ends_with_its_line(make, tmp_path):
    page = Reader(
        write_page(tmp_path, [Track(key="a", title="Song", audio=make("a.mp3"), words=[word("[Verse\nsung")])])
    )
    assert page.all("span", "class").count("word") == 1


def test_lyrics_without_times_are_shown_and_cannot_be_clicked(make, tmp_path):
    page = Reader(write_page(tmp_path, [Track(key="a", title="S", audio=make("a.mp3"), lyrics="[Verse]\nHere\nwe go")]))
    assert "we go" in page.text
    assert "word" not in page.all("span", "class")
    assert not any("timed" in name for name in page.all("div", "class"))


def test_every_job_and_request_of_a_history_stands_in_picture_and_tables(make, sheet, tmp_path):
    history = History()
    for number in range(3):
        job = sheet(f"song {number}", task_id=f"task-{number}", credits=10)
        history.hear(JobChanged(job, JobState.QUEUED), 0.0)
        history.hear(RequestSent(Purpose.SUBMIT, job), number * 3.0)
        history.hear(JobChanged(job, JobState.SUBMITTED), number * 3.0 + 1)
        history.hear(RequestSent(Purpose.POLL, job), 90.0 + number * 3)
        history.hear(JobChanged(job, JobState.SUCCEEDED), 91.0 + number * 3)
    history.hear(RequestRefused(job, 6.0), 100.0)
    page = Reader(write_page(tmp_path, [], history))
    drawn = {
        attrs["class"]: attrs["d"].count("M") for tag, attrs in page.elements if tag == "path" and "class" in attrs
    }
    assert (drawn["submit"], drawn["poll"], drawn["refused"]) == (3, 2, 1)
    assert (drawn["waiting"], drawn["running"], drawn["polled"], drawn["succeeded"]) == (3, 3, 3, 3)
    assert "3 jobs in 1:40 (3 succeeded); 6 requests (3 submits, 3 polls), 1 refused." in page.text
    assert "task-2" in page.text
    assert "poll, refused" in page.text
    assert [tag for tag, _ in page.elements].count("tr") == 2 + 3 + 6


def test_a_thousand_jobs_stay_one_path_a_kind_and_a_picture_of_bounded_height(sheet, tmp_path):
    history = History()
    for number in range(1000):
        job = sheet(f"song {number}")
        history.hear(JobChanged(job, JobState.QUEUED), 0.0)
        history.hear(RequestSent(Purpose.SUBMIT, job), number * 3.0)
        history.hear(JobChanged(job, JobState.SUBMITTED), number * 3.0 + 1)
        history.hear(JobChanged(job, JobState.SUCCEEDED), number * 3.0 + 90)
    path = write_page(tmp_path, [], history)
    page = Reader(path)
    assert [tag for tag, _ in page.elements].count("path") < 50
    (box,) = [box for box in page.all("svg", "viewbox") if box.startswith("0 0 960")]
    assert float(box.split()[3]) < 900
    stream = [path["d"] for tag, path in page.elements if tag == "path" and path.get("class") == "submit"][-1]
    heights = [float(column.partition("v")[2]) for column in stream.split("M")[1:]]
    assert len(heights) < 400  # requests too close for ticks are counted in columns
    assert min(heights) == -30.0
    assert sum(heights) / min(heights) * 4 == pytest.approx(1000, rel=0.05)
    assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize("state", JobState)
def test_a_history_in_any_state_can_be_drawn(sheet, tmp_path, state):
    history = History(lambda: 5.0)
    history.hear(JobChanged(sheet("one"), state), 5.0)
    assert f"1 {state}" in Reader(write_page(tmp_path, [], history)).text


# --- from results ----------------------------------------------------------------------------------------------------


def clip(name, **more):
    return Clip(clip_id=name, title=f"Title {name}", **more)


def test_results_and_downloaded_files_become_tracks(make):
    song = Song(
        task_id="task",
        clips=(clip("aaa", tags="pop", mv="sonic-v5", duration=61.0), clip("bbb", lyrics="[Verse]\nla")),
        failed=(clip("ccc", state="failed", error_message="no luck"),),
    )
    stems = Stems(task_id="t2", clips=(clip("ddd", stem_type="Vocals"), clip("eee", stem_type="Bass")))
    files = [make(f"Title [{name}].mp3") for name in ("ddd", "bbb", "aaa", "eee")]
    cover = make("Title [aaa].jpeg")
    timeline = LyricsTimeline(alignment=(word("la"),))
    first, second, failed = tracks_of(
        song, [*files, cover], stems={"aaa": stems}, timelines={"bbb": timeline}, facts={"credits": "10"}
    )
    assert (first.title, first.audio, first.cover, first.tags, first.duration) == (
        "Title aaa", files[2], cover, "pop", 61.0,
    )  # fmt: skip
    assert first.stems == [Stem("Vocals", files[0]), Stem("Bass", files[3])]
    assert first.facts == {"credits": "10", "model": "sonic-v5", "clip": "aaa", "task": "task"}
    assert (second.audio, second.cover, second.words, second.failed) == (files[1], None, timeline.alignment, None)
    assert (failed.audio, failed.failed) == (None, "no luck")


def test_files_that_name_no_clip_are_taken_in_order_with_the_pictures_of_their_names(make):
    song = Song(task_id="task", clips=(clip("aaa"), clip("bbb")))
    stems = {"bbb": Stems(task_id="t2", clips=(clip("ccc", stem_type="Bass"),))}
    files = [make(name) for name in ("1.jpeg", "1.mp3", "2.mp3", "2 Bass.mp3")]
    first, second = tracks_of(song, files, stems=stems)
    assert (first.audio, first.cover) == (files[1], files[0])
    assert (second.audio, second.cover, second.stems) == (files[2], None, [Stem("Bass", files[3])])
    assert tracks_of(song, files[:3], stems=stems)[1].stems == []


def test_a_file_of_another_clip_is_nobodys(make):
    song = Song(task_id="task", clips=(clip("aaa"), clip("bbb")))
    first, second = tracks_of(song, [make("Other [zzz].mp3"), make("Song [bbb].mp3")])
    assert (first.audio, second.audio.name) == (None, "Song [bbb].mp3")


def test_the_longest_id_in_a_name_counts(make):
    song = Song(task_id="task", clips=(clip("a1"), clip("a12")))
    files = [make("Song [a12].mp3"), make("Song [a1].mp3")]
    assert [track.audio for track in tracks_of(song, files)] == [files[1], files[0]]


def test_a_clip_whose_file_is_missing_says_so():
    (track,) = tracks_of(Song(task_id="task", clips=(clip("aaa"),)), [])
    assert track.failed == "not downloaded"


def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ConfigurationError, match=r"aimusic-async\[page\]"):
        write_page(tmp_path, [])
