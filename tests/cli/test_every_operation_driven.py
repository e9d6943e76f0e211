"""Each generated command at a real terminal and through a pipe; one process runs them all, as a start costs a while."""

import json
import os
import re
import subprocess
import sys

import pexpect
import pytest

from aimusic_async.api.operations import operations

DRIVER = r"""
import contextlib, io, re, shlex, sys
from aimusic_async.api.operations import operations
from aimusic_async.cli import main

def run(*words):
    sys.argv = ["aimusic", *words]
    try:
        main()
    except SystemExit as end:
        return end.code or 0
    return 0

for name in operations():
    words = name.replace("_", "-").split(".")
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        assert run(*words, "--help") == 0
    plain = re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]", "", shown.getvalue())
    example = " ".join(plain.partition("Example:")[2].partition("Price:")[0].split())
    assert example, name
    print("EXAMPLE", example, "at a terminal" if sys.stdout.isatty() else "in a pipe", flush=True)
    code = run(*shlex.split(example)[1:], "--dry-run", "--json")
    print("\nENDED", name, code, flush=True)
"""


def check(shown, where):
    assert shown.count(where) == len(operations())
    ends = re.findall(r"ENDED (\S+) (\d+)", shown)
    assert ends == [(name, "0") for name in operations()]
    return shown


def test_through_a_pipe_each_shows_its_example_and_what_that_would_send():
    done = subprocess.run([sys.executable, "-c", DRIVER], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    shown = check(done.stdout, "in a pipe")
    rows = [json.loads(line) for line in shown.splitlines() if line.startswith("{")]
    assert len(rows) == len(operations())


@pytest.mark.skipif(os.name != "posix", reason="terminals of POSIX")
@pytest.mark.timeout(60)
def test_at_a_terminal_each_shows_its_example_and_what_that_would_send():
    child = pexpect.spawn(sys.executable, ["-c", DRIVER], encoding="utf-8", dimensions=(50, 200), timeout=50)
    shown = child.read()
    child.close()
    assert child.exitstatus == 0, shown[-2000:]
    check(shown, "at a terminal")
