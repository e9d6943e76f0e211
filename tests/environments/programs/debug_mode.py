"""asyncio's debug mode, with `python -X dev -W error`: nothing slow, nothing unawaited, nothing left open."""

import asyncio
import sys

from aimusic_async import MusicError, MusicSession, sonic


async def main(journal):
    """Make a song, fail, cancel, resume, and close."""
    assert asyncio.get_running_loop().get_debug()
    async with MusicSession(journal=journal) as music:
        await music.sonic.create_music(prompt="rain", mv="sonic-v5")
        async with music.group("album", on_failure="keep") as group:
            group.submit(sonic.Remaster(continue_clip_id="nobody", mv="sonic-v5"))
            group.submit(sonic.CreateMusic(prompt="sun", mv="sonic-v5")).cancel()
        assert len(group.failures()) == 1
        try:
            async with asyncio.timeout(0.001):
                await music.run(sonic.CreateMusic(prompt="late", mv="sonic-v5"))
        except TimeoutError:
            pass
        except MusicError as error:
            print(error)
        await music.resume()
    print("OK")


asyncio.run(main(sys.argv[1]), debug=True)
