"""The webhook's settings: refused when they would hurt, and one address and one secret for each job."""

import hashlib
import hmac
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimusic_async import ConfigurationError, InvalidRequest
from aimusic_async.callbacks import WebhookConfig, job_of

SECRET = "a-secret-that-is-long-enough"
JOB = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32

job_ids = st.text("0123456789abcdef", min_size=32, max_size=32)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/hooks/music",
        "https://example.com:8443/hooks/",
        "https://example.com/hooks?tenant=7",
        "https://example.com/hooks?",
        "https://example.com/hooks?tenant=7&",
        "https://[2001:db8::1]/hooks",
        "http://127.0.0.1:8000/hooks",
        "http://localhost/hooks",
        "http://[::1]:8000/hooks",
    ],
)
def test_the_address_of_a_job_is_the_configured_one_with_the_job_in_its_query(url):
    made = WebhookConfig(url, SECRET).url_for(JOB)
    assert made.startswith(url)
    before, after = urlsplit(url), urlsplit(made)
    assert (after.scheme, after.netloc, after.path) == (before.scheme, before.netloc, before.path)
    assert parse_qsl(after.query, strict_parsing=True) == [*parse_qsl(before.query), ("job", JOB)]
    assert job_of(after.query) == JOB


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/hooks", "https"),
        ("http://127.0.0.1.evil.example/hooks", "https"),
        ("http://localhost.evil.example/hooks", "https"),
        ("http://10.0.0.1/hooks", "https"),
        ("ftp://example.com/hooks", "whole https"),
        ("example.com/hooks", "whole https"),
        ("https://", "whole https"),
        ("https://example.com:port/", "whole https"),
        ("https://example.com:99999/", "whole https"),
        ("", "whole https"),
        ("https://me:hush@example.com/hooks", "user name or password"),
        ("https://me@example.com/hooks", "user name or password"),
        ("https://example.com/hooks#hush", "fragment"),
        ("https://example.com/hooks#", "fragment"),
        ("https://example.com/hooks?job=1", "'job'"),
        ("https://example.com/hooks?job=", "'job'"),
        ("https://example.com/hooks?a=1&j%6Fb=2", "'job'"),
        ("https://example.com/ho oks", "percent-encode"),
        ("https://example.com/hooks\n", "percent-encode"),
        ("https://example.com\\@evil.example/", "percent-encode"),
        ("https://exämple.com/hooks", "percent-encode"),
        (None, "string"),
        (b"https://example.com/hooks", "string"),
    ],
)
def test_an_address_that_would_fail_or_leak_is_refused_when_configured(url, why):
    with pytest.raises(ConfigurationError, match=why) as caught:
        WebhookConfig(url, SECRET)
    assert "hush" not in str(caught.value)


def test_the_address_of_a_job_never_exceeds_what_the_service_takes():
    start = "https://example.com/"
    longest = start + "x" * (1024 - len("?job=") - 32 - len(start))
    for url in (longest, longest[:-2] + "?x"):
        assert len(WebhookConfig(url, SECRET).url_for(JOB)) == 1024
    with pytest.raises(ConfigurationError, match="at most 987 characters; got 988"):
        WebhookConfig(longest + "x", SECRET)


@pytest.mark.parametrize(
    "secret",
    ["", "hush", "x" * 15, "hush-hush-hush-hush\n", " hush-hush-hush-hush", "hush-hush\0hush-hush", None, b"x" * 32],
)
def test_a_poor_secret_is_refused_when_configured_and_not_shown(secret):
    with pytest.raises(ConfigurationError, match="secret") as caught:
        WebhookConfig("https://example.com/hooks", secret)
    assert "hush" not in str(caught.value)


def test_the_secret_is_not_in_the_repr():
    assert repr(WebhookConfig("https://example.com/h", SECRET)) == "WebhookConfig(url='https://example.com/h')"


def test_a_job_s_secret_is_always_the_same_and_nobody_else_s():
    config = WebhookConfig("https://example.com/h", SECRET)
    assert config.secret_for(JOB) == WebhookConfig("https://example.org/other", SECRET).secret_for(JOB)
    others = {
        config.secret_for(OTHER),
        WebhookConfig("https://example.com/h", SECRET + "!").secret_for(JOB),
        SECRET,
        hmac.new(SECRET.encode(), JOB.encode(), hashlib.sha256).hexdigest(),
    }
    assert config.secret_for(JOB) not in others
    assert len(bytes.fromhex(config.secret_for(JOB))) == 32


def test_a_job_s_secret_stays_what_it_is_from_version_to_version():
    """Tasks that run while the SDK is upgraded are signed with what the older one derived."""
    expected = "18aec8d07239"
    assert WebhookConfig("https://example.com/h", SECRET).secret_for(JOB)[:12] == expected


@pytest.mark.parametrize("job_id", ["", "x", JOB[:-1], JOB + "0", JOB.upper(), JOB[:-1] + "g", JOB + "\n", None, 7])
def test_what_is_no_job_gets_neither_address_nor_secret(job_id):
    config = WebhookConfig("https://example.com/h", SECRET)
    for method in (config.url_for, config.secret_for):
        with pytest.raises(InvalidRequest, match="job_id"):
            method(job_id)


@pytest.mark.parametrize("query", ["", "x=1", "jobs=1", "x=job"])
def test_an_address_may_name_no_job(query):
    assert job_of(query) is None


@pytest.mark.parametrize(
    "query", ["job", "job=", "job=1", f"job={JOB}0", f"job={JOB.upper()}", f"job={JOB}&job={JOB}", f"job={JOB}&job="]
)
def test_an_address_that_names_nonsense_or_two_jobs_is_an_error(query):
    with pytest.raises(ValueError, match="no job"):
        job_of(query)


@given(job_id=job_ids, query=st.text(st.characters(codec="ascii", categories=["L", "N"]) | st.just("&"), max_size=20))
def test_whatever_the_query_was_the_job_is_found_again(job_id, query):
    config = WebhookConfig(f"https://example.com/h?x={query}", SECRET)
    assert job_of(urlsplit(config.url_for(job_id)).query) == job_id
