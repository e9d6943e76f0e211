"""Fetches recordings that are uploaded by address, as the service does: HEAD first, then GET."""

import ipaddress

import aiohttp
from yarl import URL

from aimusic_async.sandbox import texts
from aimusic_async.sandbox.audio import Audio, seconds_of
from aimusic_async.sandbox.options import Options

SECONDS = 30.0
"""How long a host may take to hand the recording over."""
KNOWN_RECORDING = "known-recording"
"""An address with this in it stands for a recording that the service's fingerprint check refuses."""


def is_loopback(url: URL) -> bool:
    """Whether `url` leads to this machine."""
    host = url.host or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def fetch(http: aiohttp.ClientSession, address: str, options: Options) -> Audio:
    """The recording at `address`.

    Raises a `Refusal` when the host does not answer HEAD with 200, is another machine (unless
    `Options.fetch_any_host`), or sends what is not audio, too long or too large. Redirects are not followed.
    """
    try:
        url = URL(address)
    except ValueError:
        raise texts.invalid(texts.AUDIO_UNREACHABLE) from None
    if url.scheme not in ("http", "https") or not (options.fetch_any_host or is_loopback(url)):
        raise texts.invalid(texts.AUDIO_UNREACHABLE)
    if KNOWN_RECORDING in address:
        raise texts.invalid(texts.AUDIO_KNOWN)
    patience = aiohttp.ClientTimeout(total=SECONDS)
    try:
        async with http.head(url, allow_redirects=False, timeout=patience) as head:
            if head.status != 200:
                raise texts.invalid(texts.AUDIO_UNREACHABLE)
            kind = head.content_type
        if not kind.startswith("audio/"):
            raise texts.invalid(texts.AUDIO_INVALID)
        async with http.get(url, allow_redirects=False, timeout=patience) as got:
            if got.status != 200:
                raise texts.invalid(texts.AUDIO_UNREACHABLE)
            data = bytearray()
            async for chunk in got.content.iter_chunked(1 << 16):
                data += chunk
                if len(data) > options.upload_max_bytes:
                    raise texts.invalid(f"The audio file should be at most {options.upload_max_bytes} bytes.")
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise texts.invalid(texts.AUDIO_UNREACHABLE) from None
    if not data:
        raise texts.invalid(texts.AUDIO_INVALID)
    seconds = seconds_of(bytes(data))
    if seconds is not None and seconds > options.upload_max_seconds:
        raise texts.invalid(f"The audio should last at most {options.upload_max_seconds:g} seconds.")
    return Audio(data=bytes(data), content_type=kind, seconds=seconds)
