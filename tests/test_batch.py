"""Batches: rows in the order in which they can be sent, files as they come, and a second run that goes on."""

import asyncio
import json

import pytest

from aimusic_async import ConfigurationError, JobState, MemoryJournal, MusicError, MusicSession, sonic
from aimusic_async.batch import Batch, SourceFailed, Standing, read_manifest
from aimusic_async.batch.plan import kind_of
from aimusic_async.manifest import parse_manifest
from aimusic_async.sandbox import Fate, Fault, Options, Sandbox, Script

SONG = {"op": "sonic.create_music", "mv": "sonic-v5", "gpt_description_prompt": "rain"}
ALBUM = (
    {"op": "sonic.stems_basic", "key": "stems", "clip_id": "$one.clip"},
    {"op": "sonic.get_bpm", "key": "tempo", "clip_id": "$stems.part.Vocals"},
    {**SONG, "key": "one", "title": "One"},
    {**SONG, "key": "two", "title": "Two"},
)


def manifest(*rows):
    return parse_manifest("\n".join(map(json.dumps, rows)).encode(), "album.jsonl")


async def run(music, rows=ALBUM, **more):
    batch = Batch(music, manifest(*rows), **more)
    return {one.row.key: one for one in await batch.run()}


@pytest.mark.looptime
async def test_rows_are_sent_when_those_that_they_wait_for_have_ended():
    async with Sandbox(Options(seed=1)) as box, MusicSession.sandbox(box) as music:
        batch = Batch(music, manifest(*ALBUM))
        seen = []
        ended = await batch.run(seen.append)
        assert [one.row.key for one in ended] == ["stems", "tempo", "one", "two"]
        assert {one.row.key for one in seen} == {"stems", "tempo", "one", "two"}
        assert all(one.error is None and one.job.state is JobState.SUCCEEDED for one in ended)
        song, stems = batch.ended["one"].result, batch.ended["stems"].result
        assert batch.ended["stems"].job.request == sonic.StemsBasic(clip_id=song.clips[0].clip_id)
        assert batch.ended["tempo"].job.request == sonic.GetBpm(clip_id=stems.parts["Vocals"].clip_id)
        assert len(box.books.taken()) == 4
        assert batch.spent == 31
        assert batch.states() == {"succeeded": 4}
        assert batch.left().seconds == 0


@pytest.mark.looptime
async def test_what_others_wait_for_goes_first():
    async with Sandbox(Options(seed=1)) as box, MusicSession.sandbox(box) as music:
        await run(music, ({**SONG, "title": "Two"}, {**SONG, "title": "Three"}, *ALBUM))
        assert box.books.taken()[0].body["title"] == "One"


@pytest.mark.looptime
async def test_rows_whose_source_failed_are_not_sent_and_say_why():
    async with Sandbox(Options(seed=1, faults=Script(Fate.fails()))) as box, MusicSession.sandbox(box) as music:
        ended = await run(music)
        assert len(box.books.taken()) == 2
    assert ended["two"].error is None
    assert isinstance(ended["stems"].error, SourceFailed)
    assert str(ended["stems"].error).startswith(
        "stems was not sent: it waits for one, which ended without a result: one failed: "
    )
    assert str(ended["tempo"].error) == "tempo was not sent: it waits for stems, which was not sent"
    assert ended["tempo"].job is None
    assert ended["stems"].error.source == "one"


@pytest.mark.looptime
async def test_what_a_result_has_not_fails_its_row_only():
    rows = (*ALBUM, {"op": "sonic.get_bpm", "key": "x", "clip_id": "$one.clip[7]"})
    async with MusicSession.sandbox() as music:
        ended = await run(music, rows)
    assert str(ended["x"].error) == "x was not sent: $one.clip[7]: there are 2, counted from 0"
    assert [one.row.key for one in ended.values() if one.error] == ["x"]


@pytest.mark.looptime
async def test_a_second_run_sends_nothing_and_has_everything():
    journal = MemoryJournal()
    async with Sandbox(Options(seed=1)) as box:
        async with MusicSession.sandbox(box, journal=journal) as music:
            first = await run(music)
        asked = len(box.books.requests)
        async with MusicSession.sandbox(box, journal=journal) as music:
            plan = await Batch(music, manifest(*ALBUM)).plan(balance=False)
            again = await run(music)
        assert len(box.books.requests) == asked
    assert set(plan.standings.values()) == {Standing.DONE}
    assert [one.result for one in again.values()] == [one.result for one in first.values()]


@pytest.mark.looptime
@pytest.mark.parametrize("seconds", [1, 10, 60, 100, 130])
async def test_a_run_that_is_cancelled_at_any_time_is_resumed(seconds):
    journal = MemoryJournal()
    async with Sandbox(Options(seed=1)) as box:
        async with MusicSession.sandbox(box, journal=journal) as music:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(seconds):
                    await run(music)
        async with MusicSession.sandbox(box, journal=journal) as music:
            ended = await run(music)
        assert all(one.error is None for one in ended.values())
        assert len(box.books.taken()) == 4


@pytest.mark.looptime
async def test_what_is_unknown_is_reported_and_sent_again_only_on_request():
    journal = MemoryJournal()
    async with Sandbox(Options(seed=1, faults=Script(Fault.dropped()))) as box:
        for more, unknown in (({}, True), ({}, True), ({"resend_unknown": True}, False)):
            async with MusicSession.sandbox(box, journal=journal) as music:
                ended = await run(music, **more)
                assert ended["one"].unknown == unknown
                assert (ended["tempo"].error is not None) == unknown


@pytest.mark.looptime
async def test_a_row_that_changed_is_reported_in_the_plan_and_not_sent():
    journal = MemoryJournal()
    async with Sandbox(Options(seed=1)) as box:
        async with MusicSession.sandbox(box, journal=journal) as music:
            await run(music)
        async with MusicSession.sandbox(box, journal=journal) as music:
            rows = [*ALBUM[:3], {**ALBUM[3], "title": "Too"}]
            plan = await Batch(music, manifest(*rows)).plan()
            assert ["title was 'Two', is 'Too'" in str(fault) for fault in plan.conflicts] == [True]
            ended = await run(music, rows)
            assert "belongs to another request" in str(ended["two"].error)
        assert len(box.books.taken()) == 4


@pytest.mark.looptime
async def test_the_time_that_is_left_shrinks_and_is_learned():
    left = []
    async with MusicSession.sandbox(speed=1) as music:
        rows = [{**SONG, "key": str(number)} for number in range(20)]
        batch = Batch(music, manifest(*rows))
        predicted = (await batch.plan()).polled.seconds
        began = asyncio.get_running_loop().time()
        await batch.run(lambda _: left.append(batch.left().seconds))
        took = asyncio.get_running_loop().time() - began
    assert 0.5 < predicted / took < 2
    assert left[-1] == 0
    assert left[0] > left[10] > 0
    assert left[0] < predicted


@pytest.mark.looptime
@pytest.mark.parametrize(("seconds", "least", "most"), [(25, 15, 45), (200, 150, 250)])
async def test_it_learns_how_long_tasks_take(seconds, least, most):
    async with Sandbox(Options(seed=1, durations={"sonic": seconds})) as box, MusicSession.sandbox(box) as music:
        batch = Batch(music, manifest(*({**SONG, "key": str(number)} for number in range(10))))
        await batch.run()
    kind = kind_of("sonic.create_music", "sonic-v5", sonic.CreateMusic.endpoint.typical)
    assert least < batch.durations.of(kind).median < most


@pytest.mark.looptime
async def test_a_batch_runs_once():
    async with MusicSession.sandbox() as music:
        batch = Batch(music, manifest(ALBUM[3]))
        await batch.run()
        with pytest.raises(MusicError, match="runs once"):
            await batch.run()


@pytest.mark.parametrize("more", [{"template": "{nothing}"}, {"template": "a/{title}"}, {"formats": ["smell"]}])
async def test_wishes_that_make_no_sense_are_refused_before_anything_is_paid(more):
    async with MusicSession.sandbox() as music:
        with pytest.raises(ConfigurationError):
            Batch(music, manifest(*ALBUM), **more)


async def test_files_and_page_are_there_and_the_second_run_keeps_them(tmp_path):
    (tmp_path / "album.jsonl").write_text("\n".join(map(json.dumps, ALBUM[:3])))
    out = tmp_path / "out"
    async with Sandbox(Options(speed=600, seed=1, song_seconds=(2, 3))) as box:
        for _ in range(2):
            async with MusicSession.sandbox(box, journal=tmp_path / "jobs.db") as music:
                batch = Batch(music, read_manifest(tmp_path / "album.jsonl"), out, speed=600)
                ended = {one.row.key: one for one in await batch.run()}
                assert [one.error for one in ended.values()] == [None] * 3
        assert len(box.books.taken()) == 3
    files = {path.name for one in ended.values() for path in one.files}
    assert {path.name for path in out.iterdir()} == {*files, "index.html"}
    assert sorted(path.suffix for path in ended["one"].files) == [".jpeg", ".jpeg", ".mp3", ".mp3"]
    assert all(path.name.startswith("one One [") for path in ended["one"].files)
    assert {path.suffix for path in ended["stems"].files} == {".mp3"}
    assert json.loads((out / "tempo.json").read_text())
    assert batch.page == out / "index.html"
    page = batch.page.read_text()
    assert "Vocals" in page
    assert page.count('"title"') >= 2


async def test_the_page_names_what_failed(tmp_path):
    trouble = Script(Fate.fails())
    async with (
        Sandbox(Options(speed=600, song_seconds=(2, 3), faults=trouble)) as box,
        MusicSession.sandbox(box) as music,
    ):
        batch = Batch(music, manifest(*ALBUM), tmp_path / "out")
        await batch.run()
    assert "one failed: " in batch.page.read_text()


async def test_a_disk_that_does_not_take_the_files_stops_the_batch(tmp_path, monkeypatch):
    async def full(*_, **__):
        raise OSError(28, "No space left on device")

    async with Sandbox(Options(speed=600)) as box, MusicSession.sandbox(box) as music:
        monkeypatch.setattr(music, "download", full)
        with pytest.raises(OSError, match="No space left"):
            await Batch(music, manifest(*ALBUM), tmp_path / "out").run()
        assert len(box.books.taken()) < 4
