"""Windows and macOS, played: each call that only POSIX knows has another branch, and that is tried here."""

import errno
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from aimusic_async import renaming
from aimusic_async.files import partial
from aimusic_async.files.partial import Known, Part, clear
from aimusic_async.journal import leases
from aimusic_async.journal.leases import owner_name, silence, steady, surely_dead

KNOWN = Known(source="s", etag='"e"')


# --- renaming ------------------------------------------------------------------------------------------------------


@pytest.fixture
def windows(monkeypatch):
    """Renaming as on Windows: a file in the set is open somewhere, and cannot be replaced."""
    is_open, pauses, real = {}, [], Path.replace

    def replace(self, target):
        if is_open.get(Path(target), 0) > 0:
            is_open[Path(target)] -= 1
            raise PermissionError(errno.EACCES, "Access is denied", str(target))
        return real(self, target)

    monkeypatch.setattr(renaming, "_WINDOWS", True)
    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(renaming.time, "sleep", pauses.append)
    return SimpleNamespace(is_open=is_open, pauses=pauses)


def test_a_file_that_a_scanner_has_open_for_an_instant_is_replaced(windows, tmp_path):
    new, old = tmp_path / "new", tmp_path / "old"
    new.write_text("new")
    old.write_text("old")
    windows.is_open[old] = 2
    renaming.replace(new, old)
    assert old.read_text() == "new"
    assert len(windows.pauses) == 2


def test_a_file_that_stays_open_is_named_and_kept(windows, tmp_path):
    new, old = tmp_path / "new", tmp_path / "old"
    new.write_text("new")
    old.write_text("old")
    windows.is_open[old] = 1000
    with pytest.raises(PermissionError, match="another program has it open") as caught:
        renaming.replace(new, old)
    assert caught.value.filename == str(old)
    assert (old.read_text(), new.read_text()) == ("old", "new")


def test_elsewhere_nothing_is_tried_again(windows, tmp_path, monkeypatch):
    monkeypatch.setattr(renaming, "_WINDOWS", False)
    new, old = tmp_path / "new", tmp_path / "old"
    new.write_text("new")
    windows.is_open[old] = 1
    with pytest.raises(PermissionError, match="Access is denied"):
        renaming.replace(new, old)
    assert windows.pauses == []


def test_a_download_whose_file_is_being_played_says_so_and_can_be_gone_on_with(windows, tmp_path):
    final = tmp_path / "song.mp3"
    final.write_bytes(b"an older one")
    windows.is_open[final] = 1000
    part = Part(final)
    part.open()
    part.begin(KNOWN)
    part.write(b"new")
    with pytest.raises(PermissionError, match="another program has it open"):
        part.finish(final)
    part.release()
    assert final.read_bytes() == b"an older one"


# --- locks of files ------------------------------------------------------------------------------------------------


@pytest.fixture
def msvcrt(monkeypatch):
    """Locks as Windows has them: of a byte, held by a descriptor, and EACCES for everybody else."""
    held = {}

    def locking(descriptor, mode, count):
        assert (mode, count) == (2, 1)
        file = os.fstat(descriptor)
        name = (file.st_dev, file.st_ino, os.lseek(descriptor, 0, os.SEEK_CUR))
        owner = held.get(name)
        if owner not in {None, descriptor} and is_open(owner, file):
            raise OSError(errno.EACCES, "Permission denied")
        held[name] = descriptor

    def is_open(descriptor, file):
        try:
            return os.path.samestat(os.fstat(descriptor), file)
        except OSError:
            return False

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(partial, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2), raising=False)
    monkeypatch.delattr(partial, "fcntl", raising=False)
    return held


def test_parts_of_downloads_are_locked_on_windows(msvcrt, tmp_path):
    final = tmp_path / "song.mp3"
    one, two = Part(final), Part(final)
    one.open()
    two.open()
    assert one.path != two.path
    one.begin(KNOWN)
    one.write(b"abc")
    one.release()
    two.release()
    again = Part(final)
    again.open()
    assert (again.size, again.known) == (3, KNOWN)
    again.finish(final)
    again.release()
    clear(final)
    assert [file.name for file in tmp_path.iterdir()] == ["song.mp3"]


# --- processes -----------------------------------------------------------------------------------------------------


def test_on_windows_no_process_is_asked_whether_it_lives(monkeypatch):
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("on Windows that ends a whole group of processes"))
    name = owner_name()
    monkeypatch.setattr(leases.os, "name", "nt")
    assert not surely_dead(name)


def test_without_proc_a_name_equals_no_other_and_nobody_is_taken_for_dead(monkeypatch):
    monkeypatch.setattr(leases, "_boot", lambda: "")
    ours = owner_name()
    assert not surely_dead(ours)
    assert ours.rsplit(":", 2)[0] != owner_name().rsplit(":", 2)[0]


def test_macos_names_its_machine_without_proc(monkeypatch):
    monkeypatch.setattr(leases, "_boot", lambda: "")
    monkeypatch.setattr(leases.sys, "platform", "darwin")
    place = owner_name().rsplit(":", 2)[0]
    assert owner_name().rsplit(":", 2)[0] == place
    assert not surely_dead(owner_name())


def test_the_clock_of_leases_needs_no_name_of_the_boot(monkeypatch):
    monkeypatch.setattr(leases, "_boot", lambda: "")
    before = steady()
    assert before[0] == ""
    assert 0 <= silence(before, steady()) < 60
    assert silence(("", before[1] + 100), before) == float("inf")  # it counts from a later start


# --- modes of files ------------------------------------------------------------------------------------------------


def test_modes_of_files_are_no_matter_on_windows(tmp_path, monkeypatch):
    from aimusic_async import ConfigurationError
    from aimusic_async.cli import config

    path = tmp_path / "key"
    path.write_text("sk-key\n")
    path.chmod(0o644)
    if os.name == "posix":
        with pytest.raises(ConfigurationError, match="chmod 600"):
            config.read_key(path)
    monkeypatch.setattr(config, "os", SimpleNamespace(name="nt", fstat=os.fstat))
    assert config.read_key(path) == "sk-key"
