"""`run`: a program is ended in good order, whoever ends it."""

import os
import signal
import subprocess
import sys

import pytest

from aimusic_async import run

PROGRAM = """
import asyncio, signal
from aimusic_async import run

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell may have made us deaf to it

async def main():
    print("begun", flush=True)
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.01)
        print("in good order", flush=True)

run(main())
"""


async def answer():
    return 42


def test_it_gives_the_result():
    assert run(answer()) == 42


async def fail():
    raise ValueError("mine")


def test_it_raises_what_the_program_raises():
    with pytest.raises(ValueError, match="mine"):
        run(fail())


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
def test_a_signal_lets_it_end_in_good_order(sent, code):
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(sent)
        output, errors = process.communicate(timeout=15)
    assert output == b"in good order\n"
    assert process.returncode == code
    assert errors == b"" or sent is signal.SIGINT
