"""Where the service calls back, and the secret of each call: checked when it is configured, not when it is needed."""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import parse_qsl, urlsplit

import attrs

from .errors import ConfigurationError, InvalidRequest
from .hiding import hide_arguments
from .settings import is_loopback, scheme_and_host

JOB = "job"
"""The query field of a callback address that names the job."""

_LONGEST_URL = 1024  # characters, the service's own limit
_SHORTEST_SECRET = 16
_JOB_ID = re.compile(r"[0-9a-f]{32}")
_PURPOSE = b"aimusic_async/webhook-task-secret/1:"


@attrs.frozen
class WebhookConfig:
    """Where the service reports finished tasks, and the secret from which every task's own secret is derived.

    `url`: https (http for this machine only), without user, password or fragment; a query of its own is kept. It and
    `?job=…` together take 1024 characters at most. `secret`: 16 printable characters or more, for example
    `secrets.token_urlsafe(32)`; it is never sent and not in the repr. Every process that makes jobs or receives
    deliveries needs the same. Raises `ConfigurationError`.
    """

    url: str
    secret: str = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        _check_url(self.url)
        _check_secret(self.secret)

    def url_for(self, job_id: str) -> str:
        """Return the address for one job's deliveries: `url` with `job=…` at the end of its query.

        `job_id` is 32 lower-case hex characters; raises `InvalidRequest` for anything else.
        """
        _check_job_id(job_id)
        joint = "" if self.url.endswith(("?", "&")) else "&" if "?" in self.url else "?"
        return f"{self.url}{joint}{JOB}={job_id}"

    def secret_for(self, job_id: str) -> str:
        """Return the secret that signs one job's deliveries, as 64 hex characters.

        It reveals neither `secret` nor another job's: whoever learns one can forge deliveries for that job only.
        Raises `InvalidRequest` like `url_for`.
        """
        _check_job_id(job_id)
        return hmac.new(self.secret.encode(), _PURPOSE + job_id.encode(), hashlib.sha256).hexdigest()


WebhookConfig.__init__ = hide_arguments(WebhookConfig.__init__)  # type: ignore[method-assign]  # as it was, for types


def job_of(query: str) -> str | None:
    """Return the job that a callback address's query names, None when it names none.

    Raises `ValueError` when what it names is no job, or when it names two.
    """
    named = [value for name, value in parse_qsl(query, keep_blank_values=True) if name == JOB]
    if not named:
        return None
    if len(named) > 1 or not _JOB_ID.fullmatch(named[0]):
        raise ValueError("the address names no job")
    return named[0]


def _check_job_id(job_id: str) -> None:
    if not isinstance(job_id, str) or not _JOB_ID.fullmatch(job_id):
        raise InvalidRequest("job_id", "must be 32 lower-case hex characters", job_id)


def _check_url(url: str) -> None:
    # The address may hold somebody's token: no message shows more of it than the host.
    if not isinstance(url, str):
        raise ConfigurationError(f"the webhook's url must be a string, not {type(url).__name__}")
    if not url.isascii() or not url.isprintable() or set(url) & set(' \\"<>'):
        raise ConfigurationError("the webhook's url holds a character that no address has; percent-encode it")
    scheme, host = scheme_and_host(url)
    if not host:
        raise ConfigurationError("the webhook's url must be a whole https:// address")
    if scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"the webhook's url must be https (http is for loopback hosts only); got http to {host}"
        )
    if "@" in urlsplit(url).netloc:
        raise ConfigurationError("the webhook's url must not hold a user name or password")
    if "#" in url:
        raise ConfigurationError("the webhook's url must not hold a fragment (#…): it would never be sent")
    query = urlsplit(url).query
    if JOB in dict(parse_qsl(query, keep_blank_values=True)):
        raise ConfigurationError(f"the webhook's url must not hold a query field {JOB!r}: that one is set for each job")
    most = _LONGEST_URL - len(f"?{JOB}=") - 32
    if len(url) > most:
        raise ConfigurationError(f"the webhook's url must have at most {most} characters; got {len(url)}")


def _check_secret(secret: str) -> None:
    if not isinstance(secret, str):
        raise ConfigurationError(f"the webhook's secret must be a string, not {type(secret).__name__}")
    if len(secret) < _SHORTEST_SECRET:
        raise ConfigurationError(
            f"the webhook's secret must have at least {_SHORTEST_SECRET} characters; try secrets.token_urlsafe(32)"
        )
    if not secret.isprintable() or secret != secret.strip():
        raise ConfigurationError(
            "the webhook's secret holds a line break or the like, or a space at an end; copy it again"
        )
