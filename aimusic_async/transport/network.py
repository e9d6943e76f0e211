"""The way out of this machine, for the API and for files alike: proxies, certificates, and the name that we give."""

from __future__ import annotations

import asyncio
import os
import platform
import ssl
import sys
from collections.abc import Mapping
from typing import Any

import aiohttp
from yarl import URL

from .. import __version__
from ..errors import ConfigurationError
from ..proxies import Proxies, Proxy
from ..settings import Settings, is_loopback

USER_AGENT: str = f"aimusic-async/{__version__} ({sys.platform}; py{platform.python_version()})"
"""aiohttp's own name is refused by some firewalls."""

HEADER_LIMITS: Mapping[str, Any] = {"max_line_size": 2**16, "max_field_size": 2**17, "max_headers": 1000}
"""Bytes and numbers that an answer's head may have; proxies and CDNs add what aiohttp's own limits refuse."""


class Network:
    """Proxies and certificates of one session. `open` reads the file of certificates; nothing is connected."""

    def __init__(self, settings: Settings, environ: Mapping[str, str] | None = None) -> None:
        self._ca_file = settings.ca_file
        self._proxies = Proxies(settings.proxy, os.environ if environ is None else environ)
        self.names_proxy: bool = settings.proxy is not None
        """Whether the user named a proxy, or none on purpose; else the environment counts."""
        self.certificates: ssl.SSLContext | None = None
        """The user's own beside the system's; None: the system's alone."""

    async def open(self) -> None:
        """Read the user's certificates. Raises `ConfigurationError`."""
        if self._ca_file is not None and self.certificates is None:
            self.certificates = await asyncio.to_thread(_certificates, self._ca_file)

    def proxy(self, url: URL) -> Proxy | None:
        """Return the proxy for an address; None: none, and never one for this machine itself."""
        host = url.host or ""
        if is_loopback(host) or host.endswith(".localhost"):
            return None
        try:
            return self._proxies.of(url.scheme, host, url.port)
        except ConfigurationError as error:
            raise error.with_traceback(None) from None  # whose frames hold the password

    def options(self, proxy: Proxy | None) -> dict[str, Any]:
        """Return the options with which aiohttp goes through a proxy, and trusts the user's certificates."""
        options: dict[str, Any] = {} if proxy is None else {"proxy": proxy.url}
        if self.certificates is not None:
            options["ssl"] = self.certificates
        return options

    def advice(self, url: URL, *, own_session: bool) -> str:
        """Return what to try when there is no connection and no proxy: one may be needed here."""
        if is_loopback(url.host or ""):
            return ""
        if own_session and not self.names_proxy:
            return "; if a proxy is needed here, name it: proxy=, or in your aiohttp session"
        if name := self._proxies.unused():
            return f"; {name} names a SOCKS proxy, which is not used: see proxy="
        return "; if a proxy is needed here, name it: proxy=, AIMUSIC_PROXY or HTTPS_PROXY"


def connector(network: Network, **options: Any) -> aiohttp.TCPConnector:
    """Return a connector without a limit, which trusts what the user trusts."""
    return aiohttp.TCPConnector(limit=0, ssl=network.certificates or True, **options)


def _certificates(path: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise ConfigurationError(f"ca_file {path} cannot be used: it holds no certificate in PEM form") from None
    except (OSError, ValueError) as error:  # the latter is of a name with a null byte
        why = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"ca_file {path} cannot be used: {why}") from None
    context.set_alpn_protocols(["http/1.1"])
    return context
