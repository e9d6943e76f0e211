"""Connections to file hosts: without key or cookies, and never to addresses that only an attacker would name."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import attrs
from yarl import URL

from ..errors import one_line
from ..proxies import Proxy
from ..settings import Settings, is_loopback, scheme_and_host
from ..transport.network import HEADER_LIMITS, USER_AGENT, Network, connector
from ..transport.words import describe_error, passes

AT_ONCE = 4
_REDIRECTS = 5
_CONNECT_WITHIN = 30.0
_READ_AT_ONCE = 256 * 1024

_REDIRECT = frozenset({301, 302, 303, 307, 308})
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_EXPIRED = frozenset({401, 403, 404, 410})
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class FileTrouble(Exception):
    """Why a file cannot be fetched, in words without its address, which may be signed and so is a secret."""

    def __init__(self, reason: str, *, again: bool = False, wait: float | None = None, expired: bool = False) -> None:
        """`again`: it may work later, after `wait` seconds if the host said so. `expired`: not at this address."""
        self.reason: str = one_line(reason[:200])  # some of it comes from the host
        self.again = again
        self.wait = wait
        self.expired = expired
        super().__init__(self.reason)


class AddressRefused(OSError):
    """A host's name resolves to an address from which files are not fetched."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, also when it is wrapped in another."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # a spelling such as 2130706433 or 0177.0.0.1, which the system would understand
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def any_address(_address: str) -> bool:
    """Allow every address: for a service that runs on this machine itself."""
    return True


def allowed(settings: Settings) -> Callable[[str], bool]:
    """Return the check of addresses for a session: public ones, and those of networks that the user trusts."""
    if is_loopback(scheme_and_host(settings.base_url)[1]):
        return any_address
    trusted = [ipaddress.ip_network(name) for name in settings.trusted_networks]

    def allows(address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        return is_public(address) or any(ip in network for network in trusted)

    return allows if trusted else is_public


@attrs.define(eq=False)
class _Pool:
    """Two sessions: in one each connection's address is checked; the other connects to proxies only."""

    direct: aiohttp.ClientSession
    proxied: aiohttp.ClientSession
    at_once: asyncio.Semaphore
    users: int = 0


@attrs.define(eq=False)
class FileHosts:
    """Opens connections to file hosts. Downloads that run at once share them; they close with the last."""

    allows: Callable[[str], bool]
    """Whether to connect to an IP address."""
    network: Network
    titles: dict[str, str] = attrs.field(factory=dict, init=False)
    """Titles of clips, by their ids: the other files of a clip are named after its song."""
    _pool: _Pool | None = attrs.field(default=None, init=False)

    @asynccontextmanager
    async def connections(self) -> AsyncIterator[Connections]:
        """Open connections, or share those that are open."""
        await self.network.open()
        if self._pool is None:
            direct = self._session(connector(self.network, socket_factory=self._socket))
            self._pool = _Pool(direct, self._session(connector(self.network)), asyncio.Semaphore(AT_ONCE))
        pool = self._pool
        pool.users += 1
        try:
            yield Connections(self, pool.direct, pool.proxied, pool.at_once)
        finally:
            pool.users -= 1
            if not pool.users:
                self._pool = None
                await pool.direct.close()
                await pool.proxied.close()

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=_READ_AT_ONCE,
            headers={"Accept-Encoding": "identity", "Accept": "*/*", "User-Agent": USER_AGENT},
            trust_env=False,  # which would read passwords from ~/.netrc
            **HEADER_LIMITS,
        )

    def _socket(self, address: tuple[int, int, int, str, tuple[str | int, ...]]) -> socket.socket:
        """Create the socket of one connection, and check the address that it really connects to.

        So it does not matter how or how often a name was resolved, nor how an address was spelled.
        """
        family, kind, protocol, _, target = address
        if not self.allows(str(target[0])):
            raise AddressRefused("not a public address")
        return socket.socket(family, kind, protocol)

    def may_name(self, host: str) -> bool:
        """Whether a proxy may be asked for a host: its name says nothing of its address, unless it is one."""
        last = host.rstrip(".").rpartition(".")[2]
        is_address = ":" in host or re.fullmatch("[0-9]+|0x[0-9a-f]*", last, re.IGNORECASE) is not None
        return self.allows(host) if is_address else True


@attrs.frozen
class Connections:
    """Open connections to file hosts."""

    _hosts: FileHosts
    _direct: aiohttp.ClientSession
    _proxied: aiohttp.ClientSession
    at_once: asyncio.Semaphore
    """Held while a file is fetched."""

    @asynccontextmanager
    async def ask(
        self, address: str, headers: Mapping[str, str], *, stall_timeout: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """GET an address, following redirects; the block reads the body.

        Raises `FileTrouble` for a bad address, connection or status (but 416), also when the connection breaks or
        stalls inside the block.
        """
        timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_WITHIN, sock_read=stall_timeout)
        answered, proxy = False, None
        try:
            url = _url(address)
            for _ in range(_REDIRECTS + 1):
                proxy = self._hosts.network.proxy(url)
                async with self._request(url, proxy, headers, timeout) as response:
                    target = response.headers.get("Location") if response.status in _REDIRECT else None
                    if target is None:
                        _check_status(response)
                        answered = True
                        yield response
                        return
                    url = _redirected(url, target)
            raise FileTrouble(f"more than {_REDIRECTS} redirects")
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            trouble = _trouble(error, proxy)
        except ValueError:  # not only ours: some host names cannot be resolved
            if answered:
                raise
            trouble = FileTrouble("the address is invalid")
        raise trouble  # outside of the handler: aiohttp's errors may hold the whole address

    def _request(
        self, url: URL, proxy: Proxy | None, headers: Mapping[str, str], timeout: aiohttp.ClientTimeout
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if proxy is None:
            return self._direct.get(url, headers=headers, timeout=timeout, allow_redirects=False)
        if not self._hosts.may_name(url.host or ""):
            raise _not_public(url.host or "")
        return self._proxied.get(url, headers=headers, timeout=timeout, allow_redirects=False, proxy=proxy.url)


def _redirected(url: URL, target: str) -> URL:
    there = _url(str(url.join(URL(target, encoded=_is_plain(target)))))
    if url.scheme == "https" and there.scheme == "http":
        raise FileTrouble("it redirects from https to plain http")
    return there


def _check_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status in {200, 206, 416}:
        return
    wait = response.headers.get("Retry-After", "")
    reason = response.reason if status >= 500 else None
    raise FileTrouble(
        f"HTTP {status} {reason or ''}".rstrip(),
        again=status in _TRY_AGAIN,
        wait=min(float(wait), 60.0) if re.fullmatch("[0-9]{1,6}", wait) else None,
        expired=status in _EXPIRED,
    )


def _not_public(host: str) -> FileTrouble:
    return FileTrouble(f"{host} is not a public address; nothing was sent there (see `Settings.trusted_networks`)")


def _trouble(error: Exception, proxy: Proxy | None) -> FileTrouble:
    if proxy is not None and isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        words = describe_error(error)
        for secret in proxy.secrets:
            words = words.replace(secret, "…")
        return FileTrouble(f"no connection through {proxy}: {words}", again=passes(error))
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, AddressRefused):
        return _not_public(error.host)
    if isinstance(error, aiohttp.InvalidURL):
        return FileTrouble("the address is invalid")
    if isinstance(error, TimeoutError):
        return FileTrouble("the host stalled", again=True)
    if isinstance(error, aiohttp.ClientResponseError):  # its text would be the junk that came
        return FileTrouble("its answer is not HTTP", again=True)
    untrusted = isinstance(error, aiohttp.ClientConnectorCertificateError)
    return FileTrouble(describe_error(error), again=not untrusted)


def _url(address: str) -> URL:
    if not scheme_and_host(address)[1]:
        raise ValueError
    return URL(address, encoded=_is_plain(address))


def _is_plain(address: str) -> bool:
    """Whether an address can be sent as it is: quoting it again would break a signature."""
    return re.fullmatch("[!-~]+", address) is not None
