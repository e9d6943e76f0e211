"""Make many songs overnight: stop it, kill it, run it again – it goes on where it was and pays for nothing twice.

python examples/overnight.py                 against a sandbox of its own, which ends with it
python examples/overnight.py --count 40      more songs; press Ctrl-C in the middle
python examples/overnight.py --real          against the service, with AIMUSIC_API_KEY; this costs credits

To see it go on, let a sandbox run on in another terminal (`aimusic sandbox --speed 60`), export what that prints, and
run this with --real twice.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from aimusic_async import ConfigurationError, MusicSession, run, sonic


async def album(session: AbstractAsyncContextManager[MusicSession], count: int, budget: int) -> None:
    """Make the songs that are not there yet; the name and the keys say which is which in every run."""
    async with session as music:
        async with music.group("overnight", budget=budget, on_failure="keep") as group:
            for number in range(1, count + 1):
                request = sonic.CreateMusic(gpt_description_prompt=f"night train, part {number}", mv="sonic-v5")
                group.submit(request, key=f"part-{number:03}", timeout=900)
            async for job in group.as_completed():
                print(f"{job.key}: {job.state}, {len(group.results())} of {count} are there", flush=True)
        for job, error in group.failures().items():
            print(f"{job.key}: {error}")
        print(f"{music.stats.submits} submitted in this run, {group.spent} credits spent in all")
        for record in await music.journal.jobs(group="overnight", state="unknown"):
            print(f"{record.key} may have been paid for: check before you submit it with resend_unknown=True")


def main() -> None:
    """Open a session with a journal and make the album."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", action="store_true", help="use the service instead of a sandbox")
    parser.add_argument("--count", type=int, default=6, help="songs (default: 6)")
    parser.add_argument("--budget", type=int, default=500, help="credits for all runs together (default: 500)")
    parser.add_argument("--journal", type=Path, default=Path("overnight.db"), help="file (default: overnight.db)")
    arguments = parser.parse_args()
    try:
        if arguments.real:
            run(album(MusicSession(journal=arguments.journal), arguments.count, arguments.budget))
        else:  # a sandbox forgets its tasks when it ends: so does its journal
            with tempfile.TemporaryDirectory() as folder:
                journal = Path(folder, "overnight.db")
                run(album(MusicSession.sandbox(journal=journal), arguments.count, arguments.budget))
    except ConfigurationError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print("stopped; run it again to go on" if arguments.real else "stopped; its sandbox, and all in it, is gone")
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
