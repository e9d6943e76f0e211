"""Make an album: songs from descriptions, each with its stems as soon as it is there.

python examples/album.py             against the local sandbox
python examples/album.py --real      against the service, with AIMUSIC_API_KEY; this costs credits
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from aimusic_async import ConfigurationError, JobFailed, MusicSession, run, sonic

THEMES = ("rain on a tin roof", "the last tram home", "a letter from the sea")


async def make(music: MusicSession, theme: str, out: Path) -> None:
    """Make one song, then its stems, and save both."""
    try:
        song = await music.submit(sonic.CreateMusic(gpt_description_prompt=theme, mv="sonic-v5"), timeout=600)
        stems = await music.submit(sonic.StemsBasic(clip_id=song.clips[0].clip_id), timeout=600)
    except JobFailed as error:
        print(f"{theme}: {error}")
        return
    for path in await music.download(song, out) + await music.download(stems, out):
        print(f"{theme}: {path}")


async def main() -> None:
    """Open a session and make all songs at once; the session spends the tokens."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", action="store_true", help="use the service instead of the sandbox")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the audio (default: out)")
    arguments = parser.parse_args()
    try:
        session = MusicSession() if arguments.real else MusicSession.sandbox()
    except ConfigurationError as error:
        parser.error(str(error))
    async with session as music:
        await asyncio.gather(*(make(music, theme, arguments.out) for theme in THEMES))
        print(f"{music.stats.requests} requests, {(await music.credits()).total} credits left")


if __name__ == "__main__":
    try:
        run(main())
    except KeyboardInterrupt:
        print("stopped")
