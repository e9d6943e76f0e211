"""A program of threads: one has the loop and the session, the others hand their requests over."""

import asyncio
import concurrent.futures
import sys
import threading

from aimusic_async import MusicSession, WrongLoop, sonic

loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()


def there(coroutine):
    """Run a coroutine in the session's loop, and wait for it here."""
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)


music = there(MusicSession(journal=sys.argv[1]).__aenter__())


def make(number):
    """Make a song, after doing it wrong."""
    request = sonic.CreateMusic(prompt=str(number), mv="sonic-v5")
    try:
        music.submit(request)
    except WrongLoop as error:
        assert "run_coroutine_threadsafe" in str(error)
    else:
        raise AssertionError("taken")
    return there(music.run(request)).task_id


with concurrent.futures.ThreadPoolExecutor(8) as pool:
    songs = set(pool.map(make, range(8)))
there(music.__aexit__(None, None, None))
assert len(songs) == 8
print("OK")
