"""Parts of files: one owner at a time, gone on with after any end, and gone when the file is whole."""

import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from aimusic_async.files.partial import Known, Part, clear

KNOWN = Known(source="here", etag='"e"', total=9)


@pytest.fixture
def final(tmp_path):
    return tmp_path / "Song [a].mp3"


def opened(final):
    part = Part(final)
    part.open()
    return part


def begun(final, data=b"abc", known=KNOWN):
    part = opened(final)
    part.begin(known)
    part.write(data)
    return part


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_what_was_let_go_is_gone_on_with(final, tmp_path):
    begun(final).release()
    assert not final.exists()
    assert all(name.startswith(".") for name in names(tmp_path))
    again = opened(final)
    assert (again.size, again.known) == (3, KNOWN)
    again.write(b"def")
    again.seal()
    again.finish(final)
    again.release()
    assert final.read_bytes() == b"abcdef"
    assert names(tmp_path) == {final.name}


@pytest.mark.parametrize("known", [Known(source="here"), Known(source="here", total=9)])
def test_what_nobody_could_recognise_goes(final, tmp_path, known):
    begun(final, known=known).release()
    assert names(tmp_path) == set()


def test_a_part_without_bytes_goes(final, tmp_path):
    begun(final, data=b"").release()
    opened(final).release()
    assert names(tmp_path) == set()


@pytest.mark.parametrize("spoil", [b"", b"{", b"[]", b'{"source": 1}', b'{"source": "s", "more": 1}', b"\xff", b"null"])
def test_notes_that_were_cut_off_are_a_new_beginning(final, tmp_path, spoil):
    begun(final).release()
    (info,) = tmp_path.glob(".*.part-info")
    info.write_bytes(spoil)
    again = opened(final)
    assert (again.size, again.known) == (0, None)
    again.release()


def test_more_bytes_than_the_whole_has_are_a_new_beginning(final):
    begun(final, data=b"far too many").release()
    again = opened(final)
    assert again.size == 0
    again.release()


def test_a_sealed_part_is_not_gone_on_with_since_its_bytes_were_changed(final, tmp_path):
    part = begun(final)
    part.seal()
    part.path.write_bytes(b"tagged")
    (info,) = tmp_path.glob(".*.part-info")
    assert Known.read(info.read_bytes()) is None
    part.release()
    assert names(tmp_path) == set()


def test_two_at_once_work_on_parts_of_their_own_and_the_later_wins(final, tmp_path):
    one, other = begun(final, b"one"), begun(final, b"other")
    assert one.path != other.path
    for part in (one, other):
        part.seal()
        part.finish(final)
        part.release()
    assert final.read_bytes() == b"other"
    assert names(tmp_path) == {final.name}


def test_parts_of_other_files_are_left_alone(final, tmp_path):
    other = begun(tmp_path / "Other.mp3")
    other.release()
    before = names(tmp_path)
    mine = begun(final)
    mine.seal()
    mine.finish(final)
    mine.release()
    clear(final)
    assert names(tmp_path) == before | {final.name}


def test_clearing_removes_what_is_left_over_but_not_what_somebody_works_on(final, tmp_path):
    first, second, third = begun(final), begun(final), begun(final)
    first.release()
    third.release()
    clear(final)
    assert names(tmp_path) == {second.path.name, second.path.name + "-info"}
    second.release()
    clear(final)
    third = opened(final)
    third.release()


def _work_and_die(final):
    part = begun(final)
    os._exit(part.size)  # with the part in hand: nothing is written or closed behind our back


def test_the_lock_goes_with_the_process_and_the_bytes_stay(final):
    worker = multiprocessing.get_context("spawn").Process(target=_work_and_die, args=(final,))
    worker.start()
    worker.join()
    assert worker.exitcode == 3
    again = opened(final)
    assert (again.size, again.known) == (3, KNOWN)
    again.release()


def test_no_two_ever_hold_one_part_however_they_come_and_go(final, tmp_path):
    held, doubled = set(), []

    def come_and_go():
        for _ in range(300):
            part = opened(final)
            if part.path in held:
                doubled.append(part.path)
            held.add(part.path)
            time.sleep(0)
            held.discard(part.path)
            part.release()

    with ThreadPoolExecutor(4) as threads:
        for work in [threads.submit(come_and_go) for _ in range(4)]:
            work.result()
    assert not doubled
    assert names(tmp_path) == set()


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="no such flag here")
def test_a_link_that_somebody_laid_is_not_written_through(final, tmp_path):
    begun(final).release()
    (data,) = tmp_path.glob(".*.part")
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    data.unlink()
    data.symlink_to(victim)
    part = Part(final)
    with pytest.raises(OSError, match="symbolic"):
        part.open()
    part.release()
    assert victim.read_bytes() == b"precious"


def test_where_locks_do_not_exist_nothing_is_shared_and_nothing_left(final, tmp_path, monkeypatch):
    if os.name == "nt":
        pytest.skip("fcntl is what is broken here")
    import fcntl

    def unsupported(*args):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    one, other = begun(final, b"one"), begun(final, b"other")
    assert one.path != other.path
    one.seal()
    one.finish(final)
    one.release()
    other.release()
    assert final.read_bytes() == b"one"
    assert names(tmp_path) == {final.name}
