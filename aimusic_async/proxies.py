"""Which proxy a request goes through: the one that was named, else the environment's. Pure.

The environment is read here and handed to aiohttp address by address: its own `trust_env` would also send passwords
from `~/.netrc`.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

import attrs

from .errors import ConfigurationError

DIRECT = "none"
"""The word that means: no proxy, whatever the environment says."""

_KNOWN = frozenset({"http", "https"})
_PORTS = {"http": 80, "https": 443}


@attrs.frozen(kw_only=True)
class Proxy:
    """One proxy, and what names it."""

    url: str = attrs.field(repr=False)
    """With user name and password, where it has them: a secret."""
    shown: str
    """Host and port: what may be shown."""
    source: str
    """What names it, as `proxy=` or `HTTPS_PROXY`."""
    secrets: tuple[str, ...] = attrs.field(default=(), repr=False)
    """The forms of its password that could come back in an error."""

    @classmethod
    def parse(cls, text: str, source: str) -> Self:
        """Read an address; raises `ConfigurationError`, which does not show it: it may hold a password."""
        if not isinstance(text, str):
            raise ConfigurationError(f"{source} must be a string, not {type(text).__name__}")
        given = text.strip()
        scheme, separator, _ = given.partition("://")
        if separator and scheme.lower() not in _KNOWN:
            raise ConfigurationError(_unknown_scheme(source, scheme))
        parts = _split(given if separator else f"http://{given}")
        if parts is None:
            raise ConfigurationError(
                f"{source} must look like http://host:port or http://user:password@host:port, with special characters "
                f"of the password as %40; or be {DIRECT!r}"
            )
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        return cls(
            url=parts.geturl(),
            shown=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            source=source,
            secrets=_forms(parts.username or "", parts.password or ""),
        )

    def __str__(self) -> str:
        return f"the proxy {self.shown} ({self.source})"


def _split(url: str) -> SplitResult | None:
    """Return the parts of a proxy's address, None when it is none."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    usable = usable and parts.path in {"", "/"} and not parts.query and not parts.fragment
    return parts._replace(path="") if usable and (parts.hostname or "").strip(".") else None


def _unknown_scheme(source: str, scheme: str) -> str:
    kind = scheme if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,15}", scheme) else "another kind"
    message = f"{source} names a proxy of the kind {kind}; http:// and https:// are known"
    if kind.lower().startswith("socks"):
        message += ". For SOCKS, pass http= an aiohttp session with the connector of the package aiohttp-socks"
    return message


def _forms(user: str, password: str) -> tuple[str, ...]:
    if not password:
        return ()
    plain = f"{unquote(user)}:{unquote(password)}".encode(errors="replace")
    return tuple(dict.fromkeys((base64.b64encode(plain).decode(), password, unquote(password))))


@attrs.frozen
class Proxies:
    """The proxies that were named, by an argument or by the environment."""

    _named: str | None = attrs.field(default=None, repr=False)
    """What the user named: an address, `DIRECT`, or None for the environment's."""
    _environ: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    def of(self, scheme: str, host: str, port: int | None) -> Proxy | None:
        """Return the proxy for requests to a host; None: none. Raises `ConfigurationError` for one of an odd kind."""
        if self._named is not None:
            return None if self._named == DIRECT else Proxy.parse(self._named, "proxy=")
        if self._bypassed(host, port or _PORTS.get(scheme, 0)):
            return None
        for name in (f"{scheme}_proxy", "all_proxy"):
            found, text = self._variable(name)
            if name == "all_proxy" and text.lower().startswith("socks"):
                return None  # it is for other programs, and `unused` reports it
            if text and not (found == "HTTP_PROXY" and "REQUEST_METHOD" in self._environ):  # in CGI, a caller sets it
                return Proxy.parse(text, found)
        return None

    def unused(self) -> str:
        """Return the name of the variable that names a proxy of a kind that is not known; empty without one."""
        found, text = self._variable("all_proxy")
        return found if self._named is None and text.lower().startswith("socks") else ""

    def _variable(self, name: str) -> tuple[str, str]:
        """Return the name and value of a variable; the name in small letters goes before the one in capitals."""
        found = name if name in self._environ else name.upper()
        return found, self._environ.get(found, "").strip()

    def _bypassed(self, host: str, port: int) -> bool:
        entries = re.split(r"[\s,]+", self._variable("no_proxy")[1].lower())
        return any(_matches(entry, host.lower().rstrip("."), port) for entry in entries if entry)


def _matches(entry: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY means a host: `*`, a name and what is below it, an address, a network, host:port."""
    if entry == "*":
        return True
    if (network := _network(entry)) is not None:
        try:
            return ipaddress.ip_address(host) in network
        except ValueError:
            return False
    name, separator, number = entry.rpartition(":")
    if separator and number.isdecimal():
        if int(number) != port:
            return False
        entry = name
    bare = entry.strip("[]").removeprefix("*").strip(".")
    return bool(bare) and (host == bare or host.endswith(f".{bare}"))


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None
