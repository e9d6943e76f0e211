"""What every journal that several processes share must do, while they race and are killed."""

import asyncio
import contextlib
import os
import subprocess
import sys

import attrs
import pytest

from aimusic_async.events import JobState
from aimusic_async.journal.steps import Enter

from .places import ACCOUNT

PROCESS = """
import asyncio, os, random, signal, sys
from aimusic_async.events import JobState
from aimusic_async.journal.record import *
from aimusic_async.journal.steps import *
from aimusic_async.journal.record import JobRecord
from aimusic_async.journal.leases import owner_name
from aimusic_async.journal.sqlite import SqliteJournal

me = owner_name()

def ident(key):
    return record_id({account!r}, "", key)

def enter(key, **rest):
    return Enter(JobRecord(id=ident(key), account={account!r}, group="", key=key, operation="o", owner=me, **rest))

async def main():
    async with {journal} as journal:
        await journal.beat(me, {account!r})
{body}

asyncio.run(main())
"""


@contextlib.contextmanager
def process(place, body):
    """Run this in another process, with a `journal` of the same place, and `me` as owner."""
    if place.elsewhere is None:
        pytest.skip("lives in one process only")
    body = "\n".join(" " * 8 + line for line in body.strip().splitlines())
    source = PROCESS.format(account=ACCOUNT, journal=place.elsewhere, body=body)
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", source], stdin=pipe, stdout=pipe, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


async def line(running):
    """Return the next line that the process prints."""
    return (await asyncio.to_thread(running.stdout.readline)).strip()


RACE = """
print("ready", flush=True)
sys.stdin.readline()
async def race(key):
    await journal.apply([enter(key)])
    if (await journal.apply([Begin(ident(key), me, 1)]))[0].changed:
        print(key, flush=True)
names = random.sample([f"job-{n}" for n in range(200)], 200)
for start in range(0, 200, 10):
    await asyncio.gather(*(race(name) for name in names[start : start + 10]))
"""


async def test_two_processes_that_race_begin_each_job_once(place):
    with process(place, RACE) as first, process(place, RACE) as second:
        for racer in (first, second):
            assert await line(racer) == "ready"
        for racer in (first, second):
            racer.stdin.write("go\n")
            racer.stdin.flush()
        begun = [(await asyncio.to_thread(racer.communicate))[0].split() for racer in (first, second)]
        assert first.returncode == second.returncode == 0
    assert sorted(begun[0] + begun[1]) == sorted(f"job-{n}" for n in range(200))
    assert all(begun), "one of them was never there: no race"


DIE = """
await journal.apply([enter("kept"), Begin(ident("kept"), me, 1)])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
async def test_what_returned_is_there_when_the_process_is_killed_at_once(place):
    with process(place, DIE) as killed:
        assert await asyncio.to_thread(killed.wait) == -9
    async with place.open() as journal:
        (found,) = await journal.find(ACCOUNT)
        assert (found.key, found.state) == ("kept", JobState.SENDING)


WRITE_ON = """
for n in range(100_000):
    await journal.apply([enter(str(n)), Begin(ident(str(n)), me, 1)])
    print(n, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("after", [1, 10, 30])
async def test_a_process_killed_while_it_writes_leaves_all_that_it_reported_and_nothing_half(place, after):
    with process(place, WRITE_ON) as killed:
        for _ in range(after):
            await line(killed)
        await asyncio.sleep(0.001 * after)
        killed.kill()
        reported = after + len((await asyncio.to_thread(killed.stdout.read)).split())
    async with place.open() as journal:
        found = await journal.find(ACCOUNT)
        assert len(found) in (reported, reported + 1)
        assert [kept.key for kept in found] == [str(n) for n in range(len(found))]
        assert {kept.state for kept in found} == {JobState.SENDING}


STAY = """
await journal.apply([enter("paid"), enter("free", repeatable=True), enter("queued"), enter("submitted")])
await journal.apply([Begin(ident("paid"), me, 1), Begin(ident("free"), me, 1), Begin(ident("submitted"), me, 1)])
await journal.apply([Accepted(ident("submitted"), "t1")])
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a lease has to run out")
async def test_jobs_of_a_killed_process_are_taken_over_at_once_and_nothing_is_paid_twice(place):
    with process(place, STAY) as killed:
        assert await line(killed) == "ready"
        async with place.open() as journal:
            kept = await journal.find(ACCOUNT)
            enter = [Enter(attrs.evolve(found, owner="mine")) for found in kept]
            assert [found.key for found in kept] == ["paid", "free", "queued", "submitted"]
            assert not any(outcome.changed for outcome in await journal.apply(enter))
            killed.kill()
            await asyncio.to_thread(killed.wait)
            after = [outcome.record for outcome in await journal.apply(enter)]
    assert [(found.state.value, found.owner) for found in after] == [
        ("unknown", None),
        ("queued", "mine"),
        ("queued", "mine"),
        ("submitted", "mine"),
    ]
    assert after[3].task_id == "t1"
