"""`aimusic demo`: real files, honest numbers, and a clear word when something is missing."""

import asyncio
import io
import re

import pytest
from rich.console import Console

from aimusic_async import JobState, MusicSession
from aimusic_async.cli.demo import run_demo
from aimusic_async.cli.progress import Progress


@pytest.mark.timeout(60)
def test_it_leaves_playable_files_reports_no_refusal_and_says_what_it_took(tmp_path):
    out = io.StringIO()
    data = []
    console = Console(file=out, width=120)
    code = asyncio.run(run_demo(tmp_path / "out", speed=60, seed=1, console=console, row=data.append))
    printed = out.getvalue()
    assert code == 0, printed
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) == 12
    assert sum(" - Vocals" in path.name or " - Instrumental" in path.name for path in files) == 2
    assert all(path.read_bytes()[:3] == b"ID3" or path.read_bytes()[0] == 0xFF for path in files)
    assert all(path.stat().st_size > 100_000 for path in files)
    assert len({path.read_bytes() for path in files}) == 12
    assert "4 songs, 12 audio files" in printed
    assert "0 refused (429)" in printed
    assert "60 credits spent" in printed
    requests, polls = map(int, re.search(r"(\d+) requests sent \((\d+) polls\)", printed).groups())
    assert "Vocals" in " ".join(path.name for path in files if "Harbour" in path.name)
    assert requests == polls + 6 + 2  # six jobs, and credits asked before and after
    for path in files:
        assert path.name in printed
    assert [row["file"] for row in data[:-1]] == [str(path) for path in files]
    assert (data[-1]["songs"], data[-1]["files"], data[-1]["credits_spent"]) == (4, 12, 60)


@pytest.mark.looptime
async def test_on_a_terminal_the_jobs_are_a_table(song):
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    clock = asyncio.get_running_loop().time
    async with MusicSession.sandbox(speed=1) as music:
        progress = Progress(console, clock)
        with progress.shown(music.events):
            job = music.submit(song(), key="a [red]song[/red]")
            await job
        text = io.StringIO()
        Console(file=text, width=100).print(progress.table())
    assert "a [red]song[/red]" in text.getvalue()
    assert JobState.SUCCEEDED in text.getvalue()
    assert "succeeded succeeded" in text.getvalue()
