"""Recordings are fetched as the service does it, and refused with its words."""

import aiohttp
import pytest
from yarl import URL

from aimusic_async.sandbox import Options
from aimusic_async.sandbox.fetch import fetch, is_loopback
from aimusic_async.sandbox.texts import Refusal

UNREACHABLE = "Audio URL is not accessible. Please provide a public direct audio file URL."


async def refusal(address, **options):
    async with aiohttp.ClientSession() as http:
        with pytest.raises(Refusal) as no:
            await fetch(http, address, Options(**options))
    return no.value.text


async def test_head_comes_before_get_and_the_length_is_measured(recordings):
    async with recordings() as at, aiohttp.ClientSession() as http:
        audio = await fetch(http, at("12.5.wav"), Options())
        assert at.asked == [("HEAD", "12.5.wav"), ("GET", "12.5.wav")]
        assert (audio.seconds, audio.content_type, audio.suffix) == (12.5, "audio/wav", "wav")


async def test_a_format_that_cannot_be_measured_is_taken(recordings):
    async with recordings() as at, aiohttp.ClientSession() as http:
        audio = await fetch(http, at("odd.ogg"), Options())
        assert (audio.seconds, audio.suffix) == (None, "ogg")


async def test_what_is_wrong_with_a_recording_is_said(recordings):
    async with recordings() as at:
        for name, text in (
            ("no-head.mp3", UNREACHABLE),
            ("moved.mp3", UNREACHABLE),
            ("missing.mp3", UNREACHABLE),
            ("page.html", "Invalid audio file"),
            ("empty.mp3", "Invalid audio file"),
            ("known-recording.mp3", "The uploaded audio matches an existing recording in our catalog."),
            ("481.wav", "The audio should last at most 480 seconds."),
        ):
            assert await refusal(at(name)) == text
        assert ("GET", "no-head.mp3") not in at.asked
        assert await refusal(at("20.wav"), upload_max_bytes=1000) == "The audio file should be at most 1000 bytes."


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:1/x.mp3", "https://example.com/x.mp3", "ftp://127.0.0.1/x.mp3", "nonsense", "http://["],
)
async def test_hosts_that_are_down_or_elsewhere_are_unreachable(address):
    assert await refusal(address) == UNREACHABLE


@pytest.mark.parametrize(
    ("address", "ours"),
    [
        ("http://127.0.0.1/x", True),
        ("http://127.8.8.8/x", True),
        ("http://[::1]/x", True),
        ("http://localhost/x", True),
        ("http://10.0.0.1/x", False),
        ("http://127.0.0.1.example.com/x", False),
        ("http://169.254.169.254/x", False),
    ],
)
def test_this_machine_is_distinguished_from_others(address, ours):
    assert is_loopback(URL(address)) is ours
