"""Run a file of requests, as `aimusic batch` does: stop it, kill it, run it again – it goes on where it was.

python examples/batch.py                       examples/album.jsonl against a sandbox of its own, which ends with it
python examples/batch.py songs.csv --real      against the service, with AIMUSIC_API_KEY; this costs credits
"""

from __future__ import annotations

import argparse
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from aimusic_async import ConfigurationError, MusicSession, run
from aimusic_async.batch import Batch, Ended, Manifest, ManifestError, read_manifest

ALBUM = Path(__file__).with_name("album.jsonl")


def report(ended: Ended) -> None:
    """Print how a row ended."""
    print(f"{ended.row.key}: {ended.error or [path.name for path in ended.files]}", flush=True)


async def make(session: AbstractAsyncContextManager[MusicSession], manifest: Manifest, out: Path) -> None:
    """Print what it will cost, then run the rows that are not done yet."""
    async with session as music:
        batch = Batch(music, manifest, out)
        plan = await batch.plan()
        print(f"{plan.jobs} jobs for {plan.credits} credits, some {plan.polled.seconds / 60:.0f} minutes")
        if plan.missing or plan.conflicts:
            print(*plan.conflicts, f"{plan.missing} credits are missing", sep="\n")
            return
        await batch.run(report)
        print(f"{batch.spent} credits spent; listen to {batch.page}")


def main() -> None:
    """Read the file, open a session with a journal, and run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", default=ALBUM, help="rows in JSONL, CSV, YAML or TOML")
    parser.add_argument("--real", action="store_true", help="use the service instead of a sandbox")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the files (default: out)")
    arguments = parser.parse_args()
    try:
        manifest = read_manifest(arguments.file)
        arguments.out.mkdir(parents=True, exist_ok=True)
        # A sandbox forgets its tasks when it ends: a journal would be of no use.
        session = MusicSession(journal=arguments.out / "jobs.db") if arguments.real else MusicSession.sandbox()
        run(make(session, manifest, arguments.out))
    except ManifestError as error:
        raise SystemExit(str(error)) from None
    except ConfigurationError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        raise SystemExit(
            "stopped; run it again to go on" if arguments.real else "stopped; its sandbox is gone"
        ) from None


if __name__ == "__main__":
    main()
