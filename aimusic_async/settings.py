"""What a session needs to know before it starts: the key, the host, the time-outs; checked, never printed."""

from __future__ import annotations

import functools
import inspect
import ipaddress
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

import attrs

from .errors import ConfigurationError
from .hiding import hide_arguments
from .proxies import DIRECT, Proxy

API_KEY = "AIMUSIC_API_KEY"
BASE_URL = "AIMUSIC_BASE_URL"
SPEED = "AIMUSIC_SPEED"
RATE = "AIMUSIC_RATE"
CAPACITY = "AIMUSIC_CAPACITY"
PRICES = "AIMUSIC_PRICES"
PROXY = "AIMUSIC_PROXY"
CA_FILE = "AIMUSIC_CA_FILE"
TRUSTED_NETWORKS = "AIMUSIC_TRUSTED_NETWORKS"
DEFAULT_BASE_URL = "https://api.aimusicapi.ai"


def _path(given: str | os.PathLike[str] | None) -> str | None:
    return os.fspath(given) if isinstance(given, os.PathLike) else given


def _networks(given: str | Iterable[str]) -> tuple[str, ...]:
    try:
        names = given.split(",") if isinstance(given, str) else list(given)
        return tuple(str(ipaddress.ip_network(name.strip())) for name in names if name.strip())
    except (ValueError, AttributeError, TypeError):
        raise ConfigurationError(f"trusted_networks must hold networks such as 198.18.0.0/15; got {given!r}") from None


@attrs.frozen(kw_only=True)
class Settings:
    """Checked settings of one session; make them with `Settings.load`.

    `api_key` and `proxy` are omitted from the repr. `base_url` is scheme, host and port, without `/api/v1`. Times are
    in seconds.
    """

    api_key: str = attrs.field(repr=False)
    base_url: str = DEFAULT_BASE_URL
    poll_interval: float | None = None
    """Least time between two polls of one task; None: as the service recommends (sonic 15 s, others 5 s)."""
    connect_timeout: float = 10.0
    """Longest wait for a connection; nothing was sent when it runs out."""
    stuck_after: float = 3600.0
    """A task that still runs this long after its acceptance ends as `JobTimeout`, even without a timeout."""
    prices: Mapping[str, int] = attrs.field(factory=dict, hash=False)
    """Credits that differ from those of the request classes, by operation (`{"sonic.create_music": 14}`), or by
    operation and model (`{"sonic.create_music sonic-v5": 12}`), which goes first. Budgets, plans, `Job.credits` and the
    journal count with them."""
    speed: float = 1.0
    """How much faster than real time the service runs: 1, but for a sandbox. Every other time is in its seconds."""
    rate: float | None = None
    """Requests per second of the account's plan; None: the standard plan's, one in three seconds."""
    capacity: int | None = None
    """Requests that the plan takes at once after a quiet time; None: one."""
    from_environment: frozenset[str] = attrs.field(default=frozenset(), repr=False, eq=False)
    """Which of these the environment named: what is given beside them goes first."""
    proxy: str | None = attrs.field(default=None, repr=False)
    """Proxy for the API and for files, as `http://user:password@host:port`, or `"none"`. None: as HTTPS_PROXY,
    HTTP_PROXY, ALL_PROXY and NO_PROXY in the environment say. This machine itself is never reached through one."""
    ca_file: str | None = attrs.field(default=None, converter=_path)
    """A PEM file with certificates to trust beside the system's: of a company that inspects TLS, say."""
    trusted_networks: tuple[str, ...] = attrs.field(default=(), converter=_networks)
    """Networks that are not of the public internet, and from which files may be fetched all the same: for VPN programs
    that give every name an address of 198.18.0.0/15, that network."""

    def __attrs_post_init__(self) -> None:
        _check_key(self.api_key)
        _check_url(self.base_url)
        if self.poll_interval is not None:
            check_positive("poll_interval", self.poll_interval)
        check_positive("connect_timeout", self.connect_timeout)
        check_positive("stuck_after", self.stuck_after)
        check_positive("speed", self.speed)
        _check_prices(self.prices)
        if self.rate is not None:
            check_rate(self.rate)
        if self.capacity is not None:
            check_capacity(self.capacity)
        if self.proxy is not None and self.proxy != DIRECT:
            _check_proxy(self)
        if self.ca_file is not None and not isinstance(self.ca_file, str):
            raise ConfigurationError(f"ca_file must be the path of a file, not {type(self.ca_file).__name__}")
        if self.speed != 1 and not is_loopback(scheme_and_host(self.base_url)[1]):
            raise ConfigurationError(f"speed is for a sandbox on this machine; {self.base_url} runs at speed 1")

    def plan_given(self) -> str | None:
        """Return which number of the plan was given, but by the environment; None if none was."""
        given = (("rate", RATE, self.rate), ("capacity", CAPACITY, self.capacity))
        named = (name for name, variable, value in given if value is not None and variable not in self.from_environment)
        return next(named, None)

    @classmethod
    @hide_arguments
    def load(
        cls,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        poll_interval: float | None = None,
        connect_timeout: float = 10.0,
        stuck_after: float = 3600.0,
        prices: Mapping[str, int] | None = None,
        speed: float | None = None,
        rate: float | None = None,
        capacity: int | None = None,
        proxy: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        trusted_networks: Iterable[str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Settings:
        """Take what is given, else what the environment says, else the defaults.


        The variables are AIMUSIC_API_KEY, AIMUSIC_BASE_URL, AIMUSIC_SPEED, AIMUSIC_RATE, AIMUSIC_CAPACITY, and
        AIMUSIC_PRICES, such as `sonic.create_music=14, sonic.create_music sonic-v5=12`. Raises `ConfigurationError`
        without a key, with a host that the key should not be sent to, or for a senseless number.
        """
        env = os.environ if environ is None else environ
        key = api_key if api_key is not None else env.get(API_KEY)
        if not key:
            raise ConfigurationError(
                f"no API key: set the environment variable {API_KEY}, or pass MusicSession(api_key=…). "
                "To try without one: MusicSession.sandbox()"
            )
        url = base_url or env.get(BASE_URL) or DEFAULT_BASE_URL
        if isinstance(url, str):
            url = url.rstrip("/").removesuffix("/api/v1")
        found = {name for name, given in ((RATE, rate), (CAPACITY, capacity)) if given is None and env.get(name)}
        return cls(
            api_key=key,
            base_url=url,
            poll_interval=poll_interval,
            connect_timeout=connect_timeout,
            stuck_after=stuck_after,
            prices=read_prices(env.get(PRICES, "").split(",")) if prices is None else prices,
            speed=_speed(env.get(SPEED)) if speed is None else speed,
            rate=to_rate(env[RATE], RATE) if RATE in found else rate,
            capacity=to_capacity(env[CAPACITY], CAPACITY) if CAPACITY in found else capacity,
            from_environment=frozenset(found),
            proxy=proxy if proxy is not None else env.get(PROXY) or None,
            ca_file=ca_file if ca_file is not None else env.get(CA_FILE) or None,
            trusted_networks=env.get(TRUSTED_NETWORKS, "") if trusted_networks is None else trusted_networks,
        )


Settings.__init__ = hide_arguments(Settings.__init__)  # type: ignore[method-assign]  # the same, for who reads types


def check_positive(name: str, value: float) -> None:
    """Raise `ConfigurationError` unless `value` is a finite number above zero."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value <= sys.float_info.max:
        raise ConfigurationError(f"{name} must be a finite number above 0; got {value!r:.60}")


def check_flag(name: str, value: object) -> None:
    """Raise `ConfigurationError` unless `value` is a bool: the word "no" counts as true."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False; got {value!r}")


def check_function(name: str, value: object) -> None:
    """Raise `ConfigurationError` for what cannot be called back, or would only return a coroutine."""
    if not callable(value):
        raise ConfigurationError(f"{name} must be a function; got {type(value).__name__}")
    plain: object = value
    while isinstance(plain, functools.partial):
        plain = plain.func
    if inspect.iscoroutinefunction(plain) or inspect.iscoroutinefunction(getattr(plain, "__call__", None)):  # noqa: B004
        raise ConfigurationError(
            f"{name} must be a plain function, not an async one, which nobody would await; let it start a task: "
            "asyncio.create_task(…)"
        )


def check_rate(rate: float) -> None:
    """Raise `ConfigurationError` unless it is a number of requests per second."""
    check_positive("rate", rate)
    if not math.isfinite(1 / rate):
        raise ConfigurationError(f"rate is in requests per second, such as 1/3; got {rate!r}")


def check_capacity(capacity: int) -> None:
    """Raise `ConfigurationError` unless it is a number of requests."""
    check_positive("capacity", capacity)
    if capacity < 1 or capacity != int(capacity):
        raise ConfigurationError(f"capacity must be a whole number of requests, 1 or more; got {capacity!r}")


def to_rate(text: str, name: str = "rate") -> float:
    """Read requests per second: `0.5`, or `1/3` for one in three seconds. Raises `ConfigurationError`."""
    count, slash, seconds = text.partition("/")
    try:
        rate = float(count) / float(seconds if slash else 1)
    except (ValueError, ZeroDivisionError):
        rate = 0.0
    if not (0 < rate < math.inf and math.isfinite(1 / rate)):
        raise ConfigurationError(f"{name} must be requests per second above 0, such as 0.5 or 1/3; got {text!r}")
    return rate


def to_capacity(text: str, name: str = "capacity") -> int:
    """Read how many requests may be sent at once. Raises `ConfigurationError`."""
    capacity = int(text) if re.fullmatch(r"\s*[0-9]{1,9}\s*", text) else 0
    if capacity < 1:
        raise ConfigurationError(f"{name} must be a whole number of requests, 1 or more; got {text!r}")
    return capacity


def _speed(text: str | None) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        raise ConfigurationError(f"{SPEED} must be a number; got {text!r}") from None


def read_prices(written: Iterable[str]) -> dict[str, int]:
    """Read prices such as `sonic.create_music=14`; raises `ConfigurationError` for what is none."""
    prices: dict[str, int] = {}
    for one in filter(str.strip, written):
        name, _, credits_ = one.rpartition("=")
        if not name.strip() or not credits_.strip().isascii() or not credits_.strip().isdigit():
            raise ConfigurationError(f"a price looks like sonic.create_music=14; got {one.strip()!r}")
        prices[" ".join(name.split())] = int(credits_)
    return prices


def _check_prices(prices: Mapping[str, int]) -> None:
    if not isinstance(prices, Mapping):
        raise ConfigurationError(f"prices must map operations to credits, not be a {type(prices).__name__}")
    for name, price in prices.items():
        if not isinstance(name, str):
            raise ConfigurationError(f"prices must name operations such as 'sonic.create_music'; got {name!r}")
        if not isinstance(price, int) or isinstance(price, bool) or price < 0:
            raise ConfigurationError(f"prices[{name!r}] must be a whole number of credits, 0 or more; got {price!r}")


def _check_key(key: str) -> None:
    if not isinstance(key, str):
        raise ConfigurationError(f"the API key must be a string, not {type(key).__name__}")
    # A line break would let the key write headers of its own; a space is nearly always a bad copy.
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError("the API key holds a space, a line break or a non-ASCII character; copy it again")


def _check_proxy(settings: Settings) -> None:
    try:
        Proxy.parse(settings.proxy or "", "proxy=")
    except ConfigurationError as error:
        raise error.with_traceback(None) from None  # whose frames hold the password


def _check_url(base_url: str) -> None:
    if not isinstance(base_url, str):
        raise ConfigurationError(f"base_url must be a string, not {type(base_url).__name__}")
    if "@" in base_url:
        raise ConfigurationError("base_url must not hold a user name or password")
    if not base_url.isprintable() or " " in base_url:
        raise ConfigurationError(f"base_url holds a blank or a line break; copy it again: {base_url!r}")
    scheme, host = scheme_and_host(base_url)
    if not host or set(base_url.partition("://")[2]) & set("/?#"):
        raise ConfigurationError(f"base_url must look like https://host, without a path; got {base_url!r}")
    try:
        host.encode("idna")
    except UnicodeError:
        raise ConfigurationError(f"base_url names a host that cannot exist; got {base_url!r}") from None
    if scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"plain http to {host} would send the API key unprotected; use https (http is for loopback hosts only)"
        )


def scheme_and_host(url: str) -> tuple[str, str]:
    """Return the scheme and host of an http or https address; both empty for anything else."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.port != 0
    except ValueError:
        return "", ""
    return (parts.scheme, parts.hostname or "") if usable else ("", "")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
