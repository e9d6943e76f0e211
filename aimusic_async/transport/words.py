"""What went wrong on the network, in one short line that is safe to print: some of it was said by the other side."""

from __future__ import annotations

import os
import ssl

import aiohttp

from ..errors import one_line

_NOT_KNOWN = frozenset({18, 19, 20, 21})
"""OpenSSL's codes for a certificate that nobody known has signed."""


def describe_error(error: BaseException) -> str:
    """Return what went wrong on the network, in one short line."""
    if isinstance(error, aiohttp.ClientResponseError):
        words = f"HTTP {error.status} {error.message}"
    elif isinstance(error, aiohttp.ConnectionTimeoutError):
        words = "no connection was made in time"
    elif isinstance(error, aiohttp.ClientProxyConnectionError):
        words = f"the proxy cannot be reached: {_describe_os_error(error.os_error)}"
    elif isinstance(error, aiohttp.ClientConnectorDNSError):
        words = f"{error.host} cannot be resolved: {_describe_os_error(error.os_error)}"
    elif isinstance(error, aiohttp.ClientConnectorError):
        words = _describe_os_error(error.os_error)
    elif isinstance(error, ssl.SSLError):
        words = _describe_os_error(error)
    else:
        words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return one_line(words.partition("\n")[0]).rstrip(": ")


def _describe_os_error(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        words = f"the certificate is not trusted: {error.verify_message or error}".rstrip(". ")
        if error.verify_code in _NOT_KNOWN:
            words += "; if you trust who signed it, name a file with its CA's certificate: ca_file= or AIMUSIC_CA_FILE"
        return words
    if isinstance(error, ssl.SSLError):  # whose errno is OpenSSL's own
        return f"TLS failed: {error.reason or error}"
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)


def passes(error: Exception) -> bool:
    """Whether it may go well later by itself: as the network's errors do, and not those of how things are set up."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return error.status != 407  # the proxy wants other credentials
    if _is_of_socks(error):
        return "auth" not in str(error).lower()
    # A bad address and an untrusted certificate are both `ValueError`, like two credentials in conflict.
    return isinstance(error, (aiohttp.ClientError, OSError)) and not isinstance(error, ValueError)


def _is_of_socks(error: Exception) -> bool:
    """Whether it is an error of the connector for SOCKS that many users bring; not all of them are `OSError`."""
    return any(cls.__module__.partition(".")[0] in {"aiohttp_socks", "python_socks"} for cls in type(error).__mro__)
