"""Hostile and faulty file hosts, over real sockets: a clear error, and nothing under the final name but whole files."""

import asyncio
import contextlib
import re
import signal
import sys

import pytest

from aimusic_async import Clip, MusicSession, TransportError
from aimusic_async.files.download import DownloadFailed

BODY = bytes(range(256)) * 4096  # 1 MiB
WHOLE = len(BODY)
NAME = "Song [a].mp3"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("aimusic_async.files.fetch._pause", lambda *_: 0.0)


class Host:
    """A file host that does what a test says: `answer(head, writer)` for each request."""

    def __init__(self):
        self.asked = []

    async def serve(self, reader, writer):
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                self.asked.append(head)
                await self.answer(head, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def sends(self, *pieces, close=True):
        async def answer(head, writer):
            for piece in pieces:
                writer.write(piece if isinstance(piece, bytes) else piece.encode())
            await writer.drain()
            if close:
                await asyncio.sleep(0.02)  # aiohttp drops what it has not handed out when the connection breaks
                writer.close()

        self.answer = answer


@pytest.fixture
async def host():
    raw = Host()
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    raw.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield raw
    server.close()
    await server.wait_closed()


@pytest.fixture
async def music():
    async with MusicSession("s3cret-key", "http://127.0.0.1:9") as opened:
        yield opened


def head(status="200 OK", length=WHOLE, kind="audio/mpeg", more=""):
    length = "" if length is None else f"Content-Length: {length}\r\n"
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{length}{more}\r\n"


ETAG = 'ETag: "one"\r\n'


def clip(host, path="/a.mp3"):
    return Clip(clip_id="a", title="Song", audio_url=f"{host.url}{path}")


def names(folder):
    return {path.name for path in folder.iterdir()}


async def fails(music, host, folder, match, *, left=0, **more):
    """Download one clip, see it fail; return the error. `left`: parts that may stay."""
    with pytest.raises(DownloadFailed, match=match) as caught:
        await music.download(clip(host), folder, tags=False, **more)
    assert isinstance(caught.value, TransportError)
    assert "clip a" in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    assert NAME not in names(folder)
    assert len(names(folder)) == left
    return caught.value


# --- what a host may do wrong ----------------------------------------------------------------------------------------


async def test_a_host_that_sends_less_than_it_promised_is_tried_again_and_reported(host, music, tmp_path):
    host.sends(head(), BODY[:1000])
    await fails(music, host, tmp_path, "could not be downloaded")
    assert len(host.asked) == 5


async def test_each_further_try_is_logged_with_host_and_reason_and_nothing_is_printed(
    host, music, tmp_path, caplog, capfd
):
    caplog.set_level("INFO", "aimusic_async")
    host.sends("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    await fails(music, host, tmp_path, "HTTP 503 Busy")
    lines = [one.getMessage() for one in caplog.records if "again" in one.getMessage()]
    assert len(lines) == 4
    assert all(line.startswith("audio from 127.0.0.1: HTTP 503 Busy; it is tried again in") for line in lines)
    assert capfd.readouterr() == ("", "")


async def test_a_host_that_always_breaks_off_leaves_a_part_which_the_next_call_goes_on_with(host, music, tmp_path):
    host.sends(head(more=ETAG), BODY[:1000])
    await fails(music, host, tmp_path, "has changed|could not be", left=2)

    async def answer(asked, writer):
        start = int(re.search(r"Range: bytes=(\d+)-\r\n", asked)[1])
        assert 'If-Range: "one"' in asked
        part = BODY[start:]
        writer.write(
            head(
                "206 Partial", len(part), more=f"{ETAG}Content-Range: bytes {start}-{len(BODY) - 1}/{len(BODY)}\r\n"
            ).encode()
        )
        writer.write(part)

    host.answer = answer
    before = len(host.asked)
    (path,) = await music.download(clip(host), tmp_path, tags=False)
    assert path.read_bytes() == BODY
    assert len(host.asked) == before + 1
    assert names(tmp_path) == {NAME}


async def test_each_break_goes_on_where_the_last_one_stopped(host, music, tmp_path):
    sent = []

    async def answer(asked, writer):
        found = re.search(r"Range: bytes=(\d+)-", asked)
        start = int(found[1]) if found else 0
        sent.append(start)
        rest = BODY[start:]
        status = "206 Partial" if found else "200 OK"
        more = f"{ETAG}Content-Range: bytes {start}-{len(BODY) - 1}/{len(BODY)}\r\n"
        writer.write(head(status, len(rest), more=more).encode() + rest[: 300 * 1024])
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()

    host.answer = answer
    (path,) = await music.download(clip(host), tmp_path, tags=False)
    assert path.read_bytes() == BODY
    assert sent[0] == 0
    assert sent == sorted(set(sent))


async def test_more_bytes_than_promised_are_not_taken(host, music, tmp_path):
    host.sends(head(length=1000) + "x" * 2000)
    with contextlib.suppress(TransportError):  # whether they are seen at all depends on when they come
        (path,) = await music.download(clip(host), tmp_path, tags=False)
        assert path.read_bytes() == b"x" * 1000
    assert names(tmp_path) <= {NAME}


async def test_a_host_that_stalls_is_given_up(host, music, tmp_path):
    host.sends(head(), BODY[:1000], close=False)
    await fails(music, host, tmp_path, "the host stalled", stall_timeout=0.1)
    assert len(host.asked) == 5


async def test_a_host_that_stalls_before_it_answers_is_given_up(host, music, tmp_path):
    host.sends(close=False)
    await fails(music, host, tmp_path, "the host stalled", stall_timeout=0.1)


async def test_a_file_that_says_it_is_too_large_is_not_read(host, music, tmp_path):
    host.sends(head(length=10 * 2**30), BODY)
    await fails(music, host, tmp_path, "larger than most_bytes=1073741824: it has 10737418240 bytes")
    assert len(host.asked) == 1


async def test_a_file_without_end_is_broken_off_at_the_limit_and_removed(host, music, tmp_path):
    written = 0

    async def answer(asked, writer):
        nonlocal written
        writer.write(head(length=None, more=f"{ETAG}Transfer-Encoding: chunked\r\n").encode())
        for _ in range(800):  # 50 MB: nearly without end, lest a broken limit fill the disk
            writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            await writer.drain()
            written += 0x10000

    host.answer = answer
    await fails(music, host, tmp_path, "larger than most_bytes=2000000: more keeps coming", most_bytes=2_000_000)
    assert len(host.asked) == 1
    assert written < 20_000_000


async def test_a_part_cannot_grow_past_the_limit_either(host, music, tmp_path):
    host.sends(head(more=ETAG), BODY[:1000])
    await fails(music, host, tmp_path, "could not be", left=2)
    await fails(music, host, tmp_path, "larger than most_bytes=5000", most_bytes=5000)


@pytest.mark.parametrize(
    "kind",
    [
        "text/html",
        "text/html; charset=utf-8",
        "text/plain",
        "application/json",
        "application/xml",
        "image/png",
        "x/" + "y" * 4000,
    ],
)
async def test_a_page_is_not_saved_as_audio(host, music, tmp_path, kind):
    host.sends(head(kind=kind), BODY)
    error = await fails(music, host, tmp_path, "the host sent ")
    assert len(str(error)) < 300
    assert len(host.asked) == 1


@pytest.mark.parametrize(
    "kind", ["audio/mpeg", "Audio/X-Whatever", "video/mp4", "application/octet-stream", "binary/octet-stream"]
)
async def test_what_may_be_audio_is_saved(host, music, tmp_path, kind):
    host.sends(head(kind=kind), BODY)
    (path,) = await music.download(clip(host), tmp_path, tags=False)
    assert path.read_bytes() == BODY


async def test_a_name_that_the_host_proposes_is_not_heard(host, music, tmp_path):
    host.sends(head(more='Content-Disposition: attachment; filename="../../evil.mp3"\r\n'), BODY)
    (path,) = await music.download(clip(host, "/..%2f..%2fevil.mp3"), tmp_path / "in", tags=False)
    assert path == tmp_path / "in" / NAME
    assert names(tmp_path) == {"in"}


async def test_a_body_that_is_packed_unasked_is_refused_and_not_unpacked(host, music, tmp_path):
    host.sends(head(more="Content-Encoding: gzip\r\n"), BODY)
    await fails(music, host, tmp_path, "compressed, unasked")


@pytest.mark.parametrize("more", ["", "Connection: close\r\n"])
async def test_a_host_that_does_not_say_the_length_is_refused(host, music, tmp_path, more):
    host.sends(head(length=None, more=more), BODY)
    await fails(music, host, tmp_path, "does not say how long")


async def test_chunks_tell_their_end(host, music, tmp_path):
    start = head(length=None, more="Transfer-Encoding: chunked\r\n")
    host.sends(start, b"5\r\nsound\r\n", b"0\r\n\r\n")
    (path,) = await music.download(clip(host), tmp_path, tags=False)
    assert path.read_bytes() == b"sound"


async def test_chunks_without_their_end_are_not_whole(host, music, tmp_path):
    host.sends(head(length=None, more="Transfer-Encoding: chunked\r\n"), b"5\r\nsound\r\n")
    await fails(music, host, tmp_path, "could not be downloaded")


async def test_an_empty_file_is_no_audio(host, music, tmp_path):
    host.sends(head(length=0))
    await fails(music, host, tmp_path, "it is empty")


@pytest.mark.parametrize(
    "junk", [b"", b"\x00\xff" * 5000, b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n"]
)
async def test_what_is_not_http_is_reported(host, music, tmp_path, junk):
    host.sends(junk)
    error = await fails(music, host, tmp_path, "could not be downloaded")
    assert len(str(error)) < 300
    assert str(error).isprintable()


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_an_expired_address_says_what_to_do(host, music, tmp_path, status):
    host.sends(head(f"{status} X", length=0))
    error = await fails(music, host, tmp_path, f"HTTP {status}; the address may have expired: poll the task again")
    assert (error.expired, error.clip_id, error.host) == (True, "a", "127.0.0.1")
    assert len(host.asked) == 1


async def test_a_busy_host_is_asked_again(host, music, tmp_path):
    async def answer(asked, writer):
        if len(host.asked) < 4:
            writer.write(head("503 Busy", length=0, more="Retry-After: 1\r\n").encode())
        else:
            writer.write(head().encode() + BODY)

    host.answer = answer
    (path,) = await music.download(clip(host), tmp_path, tags=False)
    assert path.read_bytes() == BODY


async def test_no_error_shows_the_signature_of_an_address_or_the_key(host, music, tmp_path):
    import traceback

    one = clip(host, "/a.mp3?Signature=t0psecret")
    for reply in (head("404 X", length=0), head(kind="text/html"), head(), "junk" * 5000):
        host.sends(reply)
        with pytest.raises(DownloadFailed) as caught:
            await music.download(one, tmp_path)
        shown = "".join(traceback.format_exception(caught.value))
        assert "t0psecret" not in shown
        assert "s3cret-key" not in shown
        assert len(str(caught.value)) < 300
    assert not any("s3cret-key" in asked for asked in host.asked)


async def test_a_redirect_to_this_machine_is_refused_when_the_service_is_elsewhere(host, tmp_path):
    host.sends(head(), BODY)
    async with MusicSession("key") as music:  # the service itself: nothing is sent to it here
        error = await fails(music, host, tmp_path, "127.0.0.1 is not a public address; nothing was sent there")
    assert host.asked == []
    assert not error.expired


# --- going on --------------------------------------------------------------------------------------------------------


async def broken_off(host, music, folder, more=ETAG):
    """Leave a part."""
    host.sends(head(more=more), BODY[:1000])
    await fails(music, host, folder, "could not be", left=2)
    host.asked.clear()


@pytest.mark.parametrize(
    "answer",
    [
        ("206 Partial", 'ETag: "two"\r\nContent-Range: bytes 1000-1048575/1048576\r\n', BODY[1000:]),
        ("206 Partial", ETAG + "Content-Range: bytes 1000-1048574/1048575\r\n", BODY[1001:]),
        ("206 Partial", ETAG + "Content-Range: bytes 0-1048575/1048576\r\n", BODY),
        ("206 Partial", ETAG + "Content-Range: bytes 500-1048075/1048576\r\n", BODY[500:1048076]),
        ("206 Partial", ETAG + "Content-Range: nonsense\r\n", BODY[1000:]),
        ("206 Partial", ETAG, BODY[1000:]),
        ("416 Not there", "Content-Range: bytes */5\r\n", b""),
    ],
)
async def test_a_file_that_is_not_the_same_any_more_starts_over(host, music, tmp_path, answer):
    await broken_off(host, music, tmp_path)
    status, more, body = answer

    async def twice(asked, writer):
        if "Range:" in asked:
            writer.write(head(status, len(body), more=more).encode() + body)
        else:
            writer.write(head(more='ETag: "two"\r\n').encode() + BODY[::-1])

    host.answer = twice
    (path,) = await music.download(clip(host), tmp_path, tags=False)
    assert path.read_bytes() == BODY[::-1]
    assert len(host.asked) == 2
    assert names(tmp_path) == {NAME}


async def test_a_host_that_gives_less_than_was_asked_for_is_asked_for_the_rest(host, music, tmp_path):
    await broken_off(host, music, tmp_path)

    async def little(asked, writer):
        start = int(re.search(r"Range: bytes=(\d+)-", asked)[1])
        some = BODY[start : start + 300_000]
        more = f"{ETAG}Content-Range: bytes {start}-{start + len(some) - 1}/{len(BODY)}\r\n"
        writer.write(head("206 Partial", len(some), more=more).encode() + some)

    host.answer = little
    (path,) = await music.download(clip(host), tmp_path, tags=False)
    assert path.read_bytes() == BODY
    assert len(host.asked) == 4


async def test_a_host_that_ignores_ranges_starts_over(host, music, tmp_path):
    await broken_off(host, music, tmp_path)
    host.sends(head(more=ETAG), BODY)
    (path,) = await music.download(clip(host), tmp_path, tags=False)
    assert path.read_bytes() == BODY
    assert len(host.asked) == 1


async def test_another_address_is_another_file_but_a_new_signature_is_not(host, music, tmp_path):
    await broken_off(host, music, tmp_path)
    host.sends(head("404 X", length=0))
    for path in ("/a.mp3?sig=2", "/b.mp3"):
        with pytest.raises(DownloadFailed):
            await music.download(clip(host, path), tmp_path, tags=False)
    assert ["Range: bytes=1000-" in asked for asked in host.asked] == [True, False]


@pytest.mark.parametrize("more", ["", 'ETag: W/"weak"\r\n', ETAG + "Accept-Ranges: none\r\n"])
async def test_what_cannot_be_recognised_again_leaves_no_part(host, music, tmp_path, more):
    host.sends(head(more=more), BODY[:1000])
    await fails(music, host, tmp_path, "could not be")
    assert not any("Range:" in asked for asked in host.asked)


async def test_a_date_will_do_where_there_is_no_tag(host, music, tmp_path):
    date = "Mon, 02 Mar 2026 10:00:00 GMT"
    await broken_off(host, music, tmp_path, f'ETag: W/"weak"\r\nLast-Modified: {date}\r\n')
    host.sends(
        head("206 Partial", len(BODY) - 1000, more=f"Content-Range: bytes 1000-{len(BODY) - 1}/{len(BODY)}\r\n"),
        BODY[1000:],
    )
    (path,) = await music.download(clip(host), tmp_path, tags=False)
    assert f"If-Range: {date}" in host.asked[0]
    assert path.read_bytes() == BODY


async def test_a_cancelled_download_leaves_a_part_to_go_on_with_and_nothing_under_the_name(host, music, tmp_path):
    host.sends(head(more=ETAG), BODY[: 700 * 1024], close=False)
    progress = []
    task = asyncio.create_task(music.download(clip(host), tmp_path, tags=False, progress=progress.append))
    while not progress or progress[-1].done < 1:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert NAME not in names(tmp_path)
    (part,) = tmp_path.glob(".*.part")
    content = part.read_bytes()
    assert content == BODY[: len(content)]
    assert content
    host.sends(
        head(
            "206 X",
            len(BODY) - len(content),
            more=f"{ETAG}Content-Range: bytes {len(content)}-{len(BODY) - 1}/{len(BODY)}\r\n",
        ),
        BODY[len(content) :],
    )
    (path,) = await music.download(clip(host), tmp_path, tags=False)
    assert path.read_bytes() == BODY


PROGRAM = """
import asyncio, sys
from aimusic_async import Clip, MusicSession

async def main():
    async with MusicSession("key", "http://127.0.0.1:9") as music:
        clip = Clip(clip_id="a", title="Song", audio_url=sys.argv[1])
        await music.download(clip, sys.argv[2], tags=False)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
async def test_a_killed_process_leaves_a_part_that_the_next_one_goes_on_with(host, music, tmp_path):
    host.sends(head(more=ETAG), BODY[: 600 * 1024], close=False)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, f"{host.url}/a.mp3", str(tmp_path))
    while not any(path.stat().st_size for path in tmp_path.glob(".*.part")):
        await asyncio.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    (part,) = tmp_path.glob(".*.part")
    had = part.stat().st_size
    assert NAME not in names(tmp_path)
    host.sends(
        head("206 X", len(BODY) - had, more=f"{ETAG}Content-Range: bytes {had}-{len(BODY) - 1}/{len(BODY)}\r\n"),
        BODY[had:],
    )
    (path,) = await music.download(clip(host), tmp_path, tags=False)
    assert f"Range: bytes={had}-" in host.asked[-1]
    assert path.read_bytes() == BODY
    assert names(tmp_path) == {NAME}


async def test_two_processes_at_once_both_come_to_a_whole_file(host, music, tmp_path):
    async def slowly(asked, writer):
        writer.write(head(more=ETAG).encode())
        for start in range(0, len(BODY), 100_000):
            writer.write(BODY[start : start + 100_000])
            await writer.drain()
            await asyncio.sleep(0.02)

    host.answer = slowly
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, f"{host.url}/a.mp3", str(tmp_path))
    while not list(tmp_path.glob(".*.part")):
        await asyncio.sleep(0.01)
    paths = await asyncio.gather(*(music.download(clip(host), tmp_path, tags=False) for _ in range(2)))
    assert await process.wait() == 0
    assert paths[0] == paths[1]
    assert paths[0][0].read_bytes() == BODY
    assert names(tmp_path) == {NAME}
    assert not any("Range:" in asked for asked in host.asked)


async def test_cancelling_at_any_moment_leaves_a_whole_file_or_none_and_no_lock(host, music, tmp_path):
    async def in_pieces(asked, writer):
        found = re.search(r"Range: bytes=(\d+)-", asked)
        start = int(found[1]) if found else 0
        more = f"{ETAG}Content-Range: bytes {start}-{WHOLE - 1}/{WHOLE}\r\n"
        writer.write(head("206 Partial" if found else "200 OK", WHOLE - start, more=more).encode())
        for at in range(start, WHOLE, 300_000):
            writer.write(BODY[at : at + 300_000])
            await writer.drain()
            await asyncio.sleep(0)

    host.answer = in_pieces
    ended = 0
    for steps in range(80):
        folder = tmp_path / str(steps)
        task = asyncio.create_task(music.download(clip(host), folder, tags=False))
        for _ in range(steps):
            await asyncio.sleep(0.0005 if steps > 40 else 0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        whole = folder / NAME
        ended += whole.exists()
        assert not whole.exists() or whole.read_bytes() == BODY
        (path,) = await music.download(clip(host), folder, tags=False)
        assert path.read_bytes() == BODY
        assert names(folder) == {NAME}
    assert ended < 80
