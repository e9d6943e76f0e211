"""One run of a program that makes an album; the soak starts it again and again, and kills it."""

from __future__ import annotations

import argparse
import logging

from aimusic_async import MusicSession, Settings, run, sonic

ALBUM = "album"


def title_of(number: int) -> str:
    """Name a song, in the books; in the journal the same is its key."""
    return f"song-{number:05}"


async def make(url: str, journal: str, *, songs: int, speed: float) -> None:
    """Make what is not made yet, and say so in one line at the end."""
    settings = Settings(api_key="sandbox-key", base_url=url, speed=speed, stuck_after=1200)
    async with (
        MusicSession(settings=settings, journal=journal) as music,
        music.group(ALBUM, on_failure="keep") as group,
    ):
        for number in range(songs):
            title = title_of(number)
            request = sonic.CreateMusic(title=title, prompt=f"[Verse]\nThis is {title}", mv="sonic-v5")
            group.submit(request, key=title)
    print(f"{len(group.results())} of {songs} songs, {len(group.failures())} failures")  # noqa: T201 - what it is for


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("journal")
    parser.add_argument("--songs", type=int, required=True)
    parser.add_argument("--speed", type=float, required=True)
    given = parser.parse_args()
    logging.getLogger("aimusic_async").setLevel(logging.ERROR)  # that requests fail is the point
    run(make(given.url, given.journal, songs=given.songs, speed=given.speed))


if __name__ == "__main__":
    main()
