"""Names of owners: unique, and telling whether their process is gone. And for how long an owner was silent."""

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from aimusic_async.journal import leases
from aimusic_async.journal.leases import owner_name, process_id, silence, steady, surely_dead

NAME_AND_STAY = (
    "import sys; from aimusic_async.journal.leases import owner_name; print(owner_name(), flush=True); input()"
)


def named(pid):
    """Our own place, with another process id."""
    place, _, nonce = owner_name().rsplit(":", 2)
    return f"{place}:{pid}:{nonce}"


def test_no_name_is_given_twice_and_each_tells_the_process():
    names = {owner_name() for _ in range(100)}
    assert len(names) == 100
    assert {name.split(":")[-2] for name in names} == {str(os.getpid())}


@pytest.mark.skipif(os.name != "posix", reason="only there can one ask for a process without ending it")
def test_a_process_is_dead_when_it_has_ended_and_not_before():
    with subprocess.Popen([sys.executable, "-c", NAME_AND_STAY], stdin=-1, stdout=-1, text=True) as child:
        name = child.stdout.readline().strip()
        assert name.split(":")[-2] == str(child.pid)
        assert not surely_dead(name)
        child.kill()
        child.wait()
        assert surely_dead(name)
        elsewhere = "another-" + name
        assert not surely_dead(elsewhere)


def test_our_own_process_and_the_first_of_the_machine_live():
    assert not surely_dead(owner_name())
    assert not surely_dead(named(1))


@pytest.mark.parametrize("pid", ["0", "-1", "+7", "1.5", "", "x", "²", "٣", "9" * 30, "9" * 5000])
def test_what_is_no_process_id_is_never_dead(pid):
    assert not surely_dead(named(pid))


@pytest.mark.parametrize("name", ["", "me", ":", "::", "a:b", "a:1:b", "a:999999:b:c"])
def test_names_that_others_made_are_never_dead(name):
    assert not surely_dead(name)


def test_on_windows_no_process_is_ever_asked(monkeypatch):
    def kill(*asked):
        raise AssertionError(asked)

    name = named(4_000_000)
    monkeypatch.setattr(leases, "os", SimpleNamespace(name="nt", kill=kill, getpid=os.getpid))
    assert not surely_dead(name)


def test_a_name_tells_its_process_id_and_other_names_tell_none():
    assert process_id(owner_name()) == os.getpid()
    assert [process_id(name) for name in ("", "me", "a:b", "a:x:b", "a:-1:b")] == [None] * 5


@pytest.fixture
def without_proc(monkeypatch):
    """A system that has no /proc, and names no boot."""
    leases._boot.cache_clear()
    monkeypatch.setattr(leases, "Path", lambda path: Path("/nowhere" + path))
    yield
    leases._boot.cache_clear()


def test_where_the_boot_has_no_name_nobody_is_taken_for_dead(without_proc):
    assert steady()[0] == ""
    assert owner_name().rsplit(":", 2)[0] != owner_name().rsplit(":", 2)[0]
    assert not surely_dead(named(2**22 - 1))


def test_the_steady_clock_names_the_boot_and_never_goes_back():
    (boot, first), (same, second) = steady(), steady()
    assert boot == same
    assert first <= second
    if sys.platform == "linux":
        assert len(boot) == 36


@pytest.mark.parametrize(
    ("heard", "now", "seconds"),
    [
        (("boot", 10.0), ("boot", 12.5), 2.5),
        (("boot", 10.0), ("boot", 4.0), 0.0),
        (("boot", 10.0), ("another", 12.5), math.inf),
        (("boot", 10.0), ("", 12.5), math.inf),
        (("", 10.0), ("", 12.5), 2.5),
        (("", 10.0), ("", 9.5), 0.0),
        (("", 10.0), ("", 4.0), math.inf),
    ],
)
def test_silence_is_counted_within_one_boot(heard, now, seconds):
    assert silence(heard, now) == seconds


def namespaces():
    """The command that runs another in a namespace of process ids of its own."""
    return ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]


def containers():
    """Whether they can be made here."""
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*namespaces(), "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not containers(), reason="containers cannot be made here")
def test_a_container_is_another_place_on_the_same_machine():
    run = subprocess.run(
        [*namespaces(), sys.executable, "-c", NAME_AND_STAY], input="\n", stdout=-1, text=True, check=True
    )
    name = run.stdout.strip()
    assert not surely_dead(name)
    place, _, nonce = name.rsplit(":", 2)
    assert place.split("/")[:2] == owner_name().rsplit(":", 2)[0].split("/")[:2]
    assert not surely_dead(f"{place}:{2**22 - 1}:{nonce}")
    assert surely_dead(named(2**22 - 1))
