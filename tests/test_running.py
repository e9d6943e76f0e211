"""`run`: a program is ended in good order, whoever ends it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import warnings

import pytest

from aimusic_async import ConfigurationError, WrongLoop, run

PROGRAM = """
import asyncio, signal, sys
from aimusic_async import run

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell may have made us deaf to it
signal.signal(signal.SIGHUP, signal.SIG_IGN if "nohup" in sys.argv else signal.SIG_DFL)

async def main():
    print("begun", flush=True)
    try:
        await asyncio.sleep(60 if "nohup" not in sys.argv else 0.5)
    finally:
        await asyncio.sleep(0.2)
        print("in good order", flush=True)

run(main())
"""
posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


async def answer():
    return 42


def test_it_gives_the_result():
    assert run(answer()) == 42


async def fail():
    raise ValueError("mine")


def test_it_raises_what_the_program_raises():
    with pytest.raises(ValueError, match="mine"):
        run(fail())


def ended(signals, *words):
    """Run the program, send it signals; return what it printed, its exit code and what it complained about."""
    command = [sys.executable, "-c", PROGRAM, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"begun\n"
        for one in signals:
            process.send_signal(one)
        output, errors = process.communicate(timeout=15)
    return output, process.returncode, errors


@posix
@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT), (getattr(signal, "SIGHUP", 1), 129)]
)
def test_a_signal_lets_it_end_in_good_order(sent, code):
    output, returned, errors = ended([sent])
    assert output == b"in good order\n"
    assert returned == code
    assert errors == b"" or sent is signal.SIGINT


@posix
def test_another_signal_does_not_break_the_end_off():
    output, returned, _ = ended([signal.SIGHUP, signal.SIGTERM])
    assert output == b"in good order\n"
    assert returned in (129, 143)  # whichever comes first


@posix
def test_a_signal_that_is_ignored_stays_ignored():
    output, returned, _ = ended([signal.SIGHUP], "nohup")
    assert (output, returned) == (b"in good order\n", 0)


@posix
@pytest.mark.parametrize("main", [answer, fail])
def test_the_programs_own_handlers_are_back_afterwards(main):
    def own(*_):
        pass

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, own) for number in numbers}
    try:
        with contextlib.suppress(ValueError):
            run(main())
        assert [signal.getsignal(number) for number in numbers] == [own, own]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@posix
def test_a_handler_that_the_program_sets_meanwhile_stays():
    def own(*_):
        pass

    before = signal.getsignal(signal.SIGTERM)

    async def main():
        signal.signal(signal.SIGTERM, own)

    try:
        run(main())
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)


def test_it_knows_the_signals_of_windows(monkeypatch):
    """There is no SIGHUP there, and Ctrl-Break is a signal."""
    monkeypatch.delattr(signal, "SIGHUP", raising=False)
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)

    async def main():
        signal.raise_signal(signal.SIGUSR1)
        await asyncio.sleep(5)

    with pytest.raises(SystemExit) as caught:
        run(main())
    assert caught.value.code == 128 + signal.SIGUSR1
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


async def test_where_a_loop_runs_already_it_says_what_to_write_and_leaves_nothing_unawaited():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(WrongLoop, match=r"await main\(\)"):
            run(answer())


def test_it_wants_a_coroutine():
    with pytest.raises(ConfigurationError, match="run\\(main\\(\\)\\)"):
        run(answer)


def test_in_another_thread_it_runs_without_seeing_signals():
    got = []
    thread = threading.Thread(target=lambda: got.append(run(answer())))
    thread.start()
    thread.join(10)
    assert got == [42]
